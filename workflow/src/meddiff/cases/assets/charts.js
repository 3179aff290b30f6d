// The two charts of a case, drawn for the width that they have. Colours are classes of the style sheet.

const CHART = { height: 260, left: 54, right: 16, top: 28, bottom: 40 };

function classMark(number) {
  return `class-${number % 14}`;
}

function scaleOf(low, high, from, to) {
  return (value) => from + ((value - low) / (high - low || 1)) * (to - from);
}

function chartText(x, y, text, attributes = {}) {
  return madeSvg("text", { x, y, class: "tick", ...attributes }, text);
}

function chartFrame(width, title, xTitle, yTitle) {
  const chart = madeSvg("svg", {
    width, height: CHART.height, viewBox: `0 0 ${width} ${CHART.height}`, role: "img", "aria-label": title,
  });
  const middle = (CHART.left + width - CHART.right) / 2;
  chart.append(chartText(middle, CHART.height - 4, xTitle, { "text-anchor": "middle" }));
  chart.append(chartText(0, 12, yTitle));
  return chart;
}

function addTicks(chart, axis, ticks) {
  const right = Number(chart.getAttribute("width")) - CHART.right, bottom = CHART.height - CHART.bottom;
  for (const [at, text] of ticks) {
    if (axis === "y") {
      chart.append(madeSvg("line", { x1: CHART.left, x2: right, y1: at, y2: at, class: "gridline" }));
      chart.append(chartText(CHART.left - 6, at + 4, text, { "text-anchor": "end" }));
    } else {
      chart.append(madeSvg("line", { x1: at, x2: at, y1: bottom, y2: bottom + 4, class: "axis" }));
      const edge = at > right - 8 ? "end" : "middle";
      chart.append(chartText(edge === "end" ? right + CHART.right : at, bottom + 17, text, { "text-anchor": edge }));
    }
  }
}

function niceTicks(low, high, wanted) {
  const raw = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((digit) => digit * power).find((size) => size >= raw);
  const ticks = [];
  for (let tick = Math.ceil(low / step) * step; tick <= high + 1e-9; tick += step) {
    ticks.push(Math.abs(tick) < 1e-9 ? 0 : Number(tick.toPrecision(6)));
  }
  return ticks;
}

// Share of the votes of each class after every step, and where the outcome was certain.
function votesChart(width, scored, classes) {
  const { at, shares } = scored.vote, last = at[at.length - 1];
  const x = scaleOf(1, Math.max(last, 2), CHART.left, width - CHART.right);
  const y = scaleOf(0, 1000, CHART.height - CHART.bottom, CHART.top);
  const chart = chartFrame(width, `Votes after each of ${scored.used} steps`, "steps", "share of the votes");
  addTicks(chart, "y", [0, 250, 500, 750, 1000].map((tick) => [y(tick), `${tick / 10} %`]));
  const steps = niceTicks(1, Math.max(last, 2), width < 360 ? 3 : 6).filter((tick) => tick >= 1 && tick % 1 === 0);
  addTicks(chart, "x", steps.map((tick) => [x(tick), tick]));
  const stop = scored.used < scored.total ? scored.used : scored.certain;
  let label = null;
  if (stop !== null && (stop < scored.used || scored.used < scored.total)) {
    const words = scored.used < scored.total ? `stopped after ${stop}` : `certain after ${stop}`;
    const near = x(stop) > width / 2;
    chart.append(madeSvg("line", { x1: x(stop), x2: x(stop), y1: CHART.top, y2: y(0), class: "stop" }));
    // Where it is furthest from the curves.
    const here = shares.map((share) => share[at.findIndex((step) => step >= stop)]);
    const distance = (place) => Math.min(...here.map((share) => Math.abs(share - place)));
    const place = [150, 350, 650, 850].reduce((best, one) => (distance(one) > distance(best) ? one : best));
    label = chartText(x(stop) + (near ? -6 : 6), y(place), words, {
      "text-anchor": near ? "end" : "start", class: "tick strong",
    });
  }
  shares.forEach((share, k) => {
    if (share.every((value) => value === 0)) return;
    const points = at.map((step, i) => `${x(step).toFixed(1)},${y(share[i]).toFixed(1)}`).join(" ");
    chart.append(madeSvg("polyline", { points, class: `curve ${classMark(k)}` }, madeSvg("title", {}, classes[k])));
    if (at.length === 1) chart.append(madeSvg("circle", { cx: x(at[0]), cy: y(share[0]), r: 4, class: classMark(k) }));
  });
  if (label) chart.append(label);
  return chart;
}

// Linear around zero, logarithmic beyond the usual size: at a few noise levels errors differ far more.
function signedLog(values) {
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const usual = sizes[Math.floor(sizes.length / 2)] || sizes[sizes.length - 1] || 1;
  const bent = (value) => {
    const size = Math.abs(value) / usual;
    return Math.sign(value) * (size <= 1 ? size : 1 + Math.log10(size));
  };
  return { bent, usual, limit: bent(sizes[sizes.length - 1] || 1) * 1.15 };
}

// 1, 2 and 5 times powers of ten, as far as their names do not run into each other.
function signedTicks(scale, y) {
  const shown = [];
  let last = y(0);
  for (let power = -5; power < 5; power += 1) {
    for (const digit of [1, 2, 5]) {
      const size = Number((digit * 10 ** power).toPrecision(3)), at = y(scale.bent(size));
      if (scale.bent(size) > scale.limit || last - at < 14) continue;
      shown.push(size);
      last = at;
    }
  }
  return [...shown.map((size) => -size), 0, ...shown];
}

// One mark a step: above zero the decision has the smaller error. `choose` gets the place of the step.
function errorsChart(width, scored, classes, choose) {
  const { logsnr, difference, winner } = scored.steps;
  const low = Math.min(...logsnr), high = Math.max(...logsnr), pad = (high - low || 1) * 0.03;
  const x = scaleOf(high + pad, low - pad, CHART.left, width - CHART.right);
  const scale = signedLog(difference);
  const y = scaleOf(-scale.limit, scale.limit, CHART.height - CHART.bottom, CHART.top);
  const title = `Difference in error at ${logsnr.length} noise levels; the slider below reads them one by one`;
  const chart = chartFrame(width, title, "logSNR (more noise to the right)",
    width < 380 ? "error difference, % (linear near 0, then log)" : "error difference, % (linear near 0, logarithmic beyond)");
  addTicks(chart, "y", signedTicks(scale, y).map((tick) => [y(scale.bent(tick)), withMinus(tick)]));
  addTicks(chart, "x", niceTicks(low, high, width < 360 ? 4 : 8).map((tick) => [x(tick), withMinus(tick)]));
  const mid = y(0);
  chart.append(madeSvg("line", { x1: CHART.left, x2: width - CHART.right, y1: mid, y2: mid, class: "axis" }));
  const places = logsnr.map((value, i) => [x(value), y(scale.bent(difference[i]))]);
  places.forEach(([cx, cy], i) => {
    const look = winner[i] < 0 ? "divided" : classMark(winner[i]);
    chart.append(winner[i] === scored.best
      ? madeSvg("circle", { cx, cy, r: 4, class: `mark ${look}` })
      : madeSvg("path", { d: `M${cx} ${cy - 5.5}l5 9h-10z`, class: `mark ${look}` }));
  });
  const ring = madeSvg("circle", { r: 8, class: "ring" });
  chart.append(ring);
  chart.addEventListener("pointermove", (event) => {
    const box = chart.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const far = places.map(([cx, cy]) => (cx - px) ** 2 + ((cy - py) / 3) ** 2);
    choose(far.indexOf(Math.min(...far)));
  });
  chart.mark = (place) => {
    ring.setAttribute("cx", places[place][0]);
    ring.setAttribute("cy", places[place][1]);
  };
  return chart;
}

function legend(classes, wanted, text) {
  return made("ul", { class: "legend" }, wanted.map((k) =>
    made("li", {}, made("span", { class: `swatch ${classMark(k)}`, "aria-hidden": "true" }), bdi(classes[k]), ` ${text(k)}`)));
}
