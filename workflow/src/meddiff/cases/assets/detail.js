// One case: what was decided, in words; the picture and maps over it; votes; noise levels; what other models said.

function verdictOf(dataset, run, image, shares) {
  const found = decisionOf(dataset, run, image);
  const name = (k) => bdi(dataset.classes[k]);
  const below = shareOf(run.u, (other) => other < found.u), above = shareOf(run.u, (other) => other > found.u);
  const parts = [
    made("strong", {}, bdi(run.title), " decided ", name(found.prediction), "."),
    found.right
      ? made("span", { class: "good" }, " ✓ Right.")
      : made("span", { class: "bad" }, " ✗ Wrong: the image is ", name(found.label), "."),
    ` It gives this class a ${run.calibrated ? "calibrated " : ""}probability of ${percent(found.p)}`,
    below >= above
      ? ` and is less certain of it than of ${percent(below)} of the test images.`
      : ` and is more certain of it than of ${percent(above)} of the test images.`,
  ];
  const likely = shares ? shares.indexOf(Math.max(...shares)) : found.prediction;
  if (run.calibrated && likely !== found.prediction) {
    parts.push(" After calibration ", name(likely), ` is more probable (${percent(shares[likely] / 1000)}): among validation images with such scores this class was more frequent.`);
  }
  if (found.set && dataset.classes.length === 2) {
    parts.push(found.set.length === 1
      ? " By the promise of the triage it is sure enough to decide this without a person."
      : " It is not sure enough to decide this alone: a person should look.");
  } else if (found.set) {
    const names = found.set.flatMap((k, i) => [i ? ", " : "", name(k)]);
    parts.push(...(names.length ? [" Predicted set: ", ...names, "."] : [" The predicted set is empty: no class fits well."]));
  }
  if (found.ood !== null && found.ood > 0) {
    parts.push(" The image is unlike what the model was trained on: of twenty known images at most one is so.");
  }
  return made("p", { class: "verdict" }, parts);
}

// What models other than this one say, in a sentence.
function othersSay(dataset, run, image) {
  const others = dataset.runs.filter((other) => other.model !== run.model);
  if (!others.length) return null;
  const same = others.filter((other) => other.prediction[image] === run.prediction[image]).length;
  const some = same ? `${same} of ${others.length} decisions of other models agree` : "No other model agrees";
  return made("li", {}, `${same === others.length ? "All other models agree" : some}; see the table below.`);
}

function panel(title, ...children) {
  const id = freshId();
  return made("section", { class: "panel", "aria-labelledby": id }, made("h4", { id }, title), children);
}

function picturePanel(dataset, details, scored) {
  const sides = Object.keys(details.pictures).map(Number);
  if (!sides.length) return panel("Image", made("p", { class: "note" }, "The image is not here: this run was restored without its images."));
  const source = details.pictures[Math.max(...sides)];
  const stack = made("div", { class: "stack" }, made("img", { src: source, alt: "The test image" }));
  const parts = [stack];
  if (scored && scored.evidence) {
    const map = made("canvas", { class: "over", role: "img", "aria-label": "Evidence map over the image" });
    drawMap(map, scored.evidence, scored.best, scored.rival);
    map.style.opacity = 0.6;
    stack.append(map);
    parts.push(slider("Evidence map", 60, (value) => { map.style.opacity = value / 100; }));
    const kind = scored.wavelet === null ? " The map is of the latent space, enlarged." : "";
    parts.push(made("p", { class: "note" },
      "What speaks for ", made("span", { class: `swatch ${classMark(scored.best)}`, "aria-hidden": "true" }),
      bdi(dataset.classes[scored.best]), " and what for ",
      made("span", { class: `swatch ${classMark(scored.rival)}`, "aria-hidden": "true" }), bdi(dataset.classes[scored.rival]),
      `: where the noise is predicted better for that class.${kind}`));
  }
  return panel(scored && scored.evidence ? "Image and evidence" : "Image", parts);
}

function votesPanel(dataset, scored) {
  const holder = made("div", { class: "chart" });
  fitted(holder, (width) => votesChart(width, scored, dataset.classes));
  const final = scored.vote.shares.map((share) => share[share.length - 1]);
  const wanted = final.map((share, k) => k).filter((k) => final[k] > 0).sort((a, b) => final[b] - final[a]);
  return panel("The vote, step by step", holder,
    legend(dataset.classes, wanted, (k) => percent(final[k] / 1000)),
    made("p", { class: "note" }, "Share of votes after each step. A step noises the image anew and votes for the class that predicts the noise best."));
}

function errorsPanel(dataset, details, scored) {
  const { steps } = scored, order = steps.logsnr.map((_, i) => i).sort((a, b) => steps.logsnr[b] - steps.logsnr[a]);
  const facts = made("p", { class: "note facts", "aria-live": "polite" });
  const source = details.pictures[scored.size];
  const canNoise = source !== undefined && scored.wavelet !== null;
  const picture = canNoise ? made("canvas", { class: "noised", role: "img" }) : null;
  const pixels = canNoise ? pixelsOf(source) : null;
  let chart = null, place = order[Math.floor(order.length / 5)];

  const show = async (chosen) => {
    place = chosen;
    if (chart) chart.mark(chosen);
    input.value = order.indexOf(chosen);
    const best = steps.difference[chosen] >= 0, size = Math.abs(steps.difference[chosen]);
    const better = dataset.classes[best ? scored.best : scored.rival];
    input.setAttribute("aria-valuetext", `logSNR ${withMinus(steps.logsnr[chosen].toFixed(1))}`);
    facts.replaceChildren(`Step ${steps.number[chosen] + 1}, logSNR ${withMinus(steps.logsnr[chosen].toFixed(1))}: the error for `,
      bdi(better), ` is ${size.toPrecision(2)} % smaller.`);
    if (!canNoise) return;
    const image = await pixels;
    if (place !== chosen) return;
    const noised = noisedPixels(image.data, image.width, dataset.sheets.channels, scored, steps.number[chosen], steps.logsnr[chosen]);
    drawPixels(picture, noised, image.width, image.height);
    picture.setAttribute("aria-label", `The image with the noise of step ${steps.number[chosen] + 1}`);
  };
  const id = freshId();
  const input = made("input", { type: "range", id, min: 0, max: order.length - 1, oninput: (event) => show(order[Number(event.target.value)]) });
  const holder = made("div", { class: "chart" });
  fitted(holder, (width) => {
    chart = errorsChart(width, scored, dataset.classes, (chosen) => show(chosen));
    chart.mark(place);
    return chart;
  });
  show(place);
  const why = scored.wavelet === null
    ? "The model noises a latent image, which cannot be shown as pixels."
    : "The image that was noised is not here.";
  const shown = panel("Where the classes differ, by noise level",
    made("div", { class: "with-noised" },
      made("div", { class: "plot" }, holder,
        made("div", { class: "slider" }, made("label", { for: id }, "Noise level"), input)),
      made("div", { class: "noised-box" }, picture, canNoise ? null : made("p", { class: "note" }, why), facts)),
    made("p", { class: "note" }, "Above zero the error is smaller for ", bdi(dataset.classes[scored.best]), " (circles), below for ",
      bdi(dataset.classes[scored.rival]), ". Triangles are votes for another class than the decision. ",
      canNoise ? "The picture has the very noise that was scored." : ""));
  shown.classList.add("wide");
  return shown;
}

function editsPanel(dataset, edits, label) {
  let target = edits.targets[0], shown = 100;
  const stack = made("div", { class: "stack" });
  const words = made("p", { class: "note" });
  const after = made("img", { alt: "Counterfactual" });
  const before = made("img", { src: edits.factual, alt: "Factual reconstruction" });
  const difference = made("canvas", { class: "over", role: "img", "aria-label": "Difference of the counterfactual to the reconstruction" });
  difference.style.opacity = 0;
  stack.append(before, after, difference);
  after.classList.add("over");
  const show = () => {
    after.src = target.picture;
    after.style.opacity = shown / 100;
    drawDifference(difference, edits.factual, target.picture);
    const judged = [["The model itself", target.own], ["The oracle, a baseline trained on its own,", target.oracle]].filter(([, k]) => k !== null);
    words.replaceChildren("As ", bdi(dataset.classes[label]), " (left) and as ", bdi(dataset.classes[target.to]), " (right) it would look like this to the model. ",
      ...judged.flatMap(([who, k]) => [`${who} sees `, bdi(dataset.classes[k]), " in the counterfactual. "]),
      "Difference: orange is brighter, blue darker.");
  };
  const choices = edits.targets.map((one, i) => [i, dataset.classes[one.to]]);
  const choice = choices.length > 1
    ? select("Counterfactual of class", choices, 0, (value) => { target = edits.targets[Number(value)]; show(); })
    : null;
  show();
  return panel("Counterfactual", choice, stack,
    slider("From factual to counterfactual", shown, (value) => { shown = value; after.style.opacity = value / 100; }, { class: "blend" }),
    slider("Difference", 0, (value) => { difference.style.opacity = value / 100; }, { class: "difference" }),
    words);
}

// Every decision on the same image.
function modelsPanel(dataset, number, runNumber, image, details, address) {
  const classes = dataset.classes, shown = classes.map((_, k) => k).filter((k) => details && details.p.some((p) => p[k] >= 50));
  const head = made("tr", {}, ["Model", "Decision", "", "Probability", "Uncertainty", "Predicted set", "Steps"].map((text) => made("th", { scope: "col" }, text)));
  const rows = dataset.runs.map((run, r) => {
    const found = decisionOf(dataset, run, image), p = details ? details.p[r] : null;
    const bars = p ? made("div", { class: "bars" }, p.map((share, k) =>
      made("span", { class: `bar ${classMark(k)}`, style: { width: `${share / 10}%` }, title: `${classes[k]} ${percent(share / 1000)}` }))) : null;
    const name = r === runNumber
      ? made("strong", {}, runTitle(run))
      : made("a", { href: address(image, r) }, runTitle(run));
    const steps = run.total > 1 ? `${found.steps} of ${run.total}` : "–";
    return made("tr", { class: r === runNumber ? "this" : "" },
      made("th", { scope: "row" }, name),
      made("td", {}, bdi(classes[found.prediction])),
      made("td", { class: found.right ? "good" : "bad" }, found.right ? "✓ right" : "✗ wrong"),
      made("td", {}, percent(found.p), bars),
      made("td", {}, withMinus(found.u.toPrecision(3)), made("span", { class: "muted" }, ` ${KINDS[run.kind] || run.kind}`)),
      made("td", {}, found.set === null ? "–" : found.set.flatMap((k, i) => [i ? ", " : "", bdi(classes[k])])),
      made("td", {}, steps));
  });
  return panel("The same image before every model",
    made("div", { class: "table-holder", tabindex: 0, role: "region", "aria-label": "Decisions of every model" },
      made("table", {}, made("thead", {}, head), made("tbody", {}, rows))),
    details ? made("p", { class: "note" }, "Bars: ", shown.flatMap((k) => [
      made("span", { class: `swatch ${classMark(k)}`, "aria-hidden": "true" }), bdi(classes[k]), " "])) : null);
}

// Draws for the width of `holder`, and again where that changes.
function fitted(holder, draw) {
  let before = 0;
  new ResizeObserver(() => {
    const width = Math.floor(holder.clientWidth);
    if (width && width !== before) holder.replaceChildren(draw(width));
    before = width;
  }).observe(holder);
}

// Why there is no counterfactual, and where there is one.
function noEdits(dataset, run, image, address) {
  const has = dataset.runs.map((other, r) => [other, r])
    .filter(([other], place, all) => isEdited(dataset, other.model, image) && all.findIndex(([one]) => one.model === other.model) === place);
  const rest = editedModels(dataset).map((one) => one.title);
  const own = editedModels(dataset).find((one) => one.model === run.model);
  return ["No counterfactual was made of this image with this model.",
    has.length ? [" There is one with ", has.flatMap(([other, r], i) => [i ? ", " : "", made("a", { href: address(image, r) }, bdi(other.title))]), "."] : null,
    !has.length && own ? ` There are ${own.edited.length} of other images: the filter “Counterfactual” shows them.` : null,
    !has.length && !own && rest.length ? ` Models with counterfactuals: ${rest.join(", ")}.` : null,
    !rest.length ? " This experiment has none of these images." : null];
}

// Everything about one image before one run. `address(image, run)` links to a case.
function caseDetail(view, image, details, problem, address) {
  const dataset = CASES.datasets[view.dataset], run = dataset.runs[view.run];
  const scored = details ? details.scored.find((one) => one.model === run.model && one.vote) : null;
  const ofModel = details ? details.scored.find((one) => one.model === run.model) : null;
  const about = dataset.scored.find((one) => one.model === run.model);
  const full = scored ? { ...about, ...scored } : null;
  const says = full ? full.says.map((sentence) => made("li", {}, sentence)) : [];
  if (full && full.best !== run.prediction[image]) {
    says.unshift(made("li", {}, "By votes it would be ", bdi(dataset.classes[full.best]), `; this decision is by ${DECISIONS[run.decision] || run.decision.replaceAll("_", " ")}.`));
  }
  const notes = [];
  if (problem) notes.push("The folder “cases” is not beside this page, so pictures and steps cannot be shown. Keep both together.");
  else if (!details) notes.push(`This test split is large: pictures and steps are kept of the ${dataset.details.length} images that models err in or are least sure of. This is none of them.`);
  else if (about && !full) notes.push("The errors of this model are not here: this run was restored without them. Votes and noise levels cannot be shown.");
  else if (!about) notes.push("This model decides in one pass; what it saw is not resolved by noise level as for diffusion models.");
  if (details && about && !ofModel.edits && dataset.scored.length) notes.push(noEdits(dataset, run, image, address));
  const panels = details ? [
    picturePanel(dataset, details, full),
    ofModel && ofModel.edits ? editsPanel(dataset, ofModel.edits, dataset.labels[image]) : null,
    full ? votesPanel(dataset, full) : null,
    full ? errorsPanel(dataset, details, full) : null,
  ] : [];
  return [
    verdictOf(dataset, run, image, details && details.p[view.run]),
    made("ul", { class: "says" }, says, othersSay(dataset, run, image)),
    notes.map((note) => made("p", { class: "note" }, note)),
    made("div", { class: "panels" }, panels),
    modelsPanel(dataset, view.dataset, view.run, image, details, address),
  ];
}
