"use strict";
// Tables that sort and filter, charts in place of pictures, and the contents' mark. Without this script the page
// is plain tables and pictures.
(() => {
  // --- tables -------------------------------------------------------------------------------------------------
  const NONE = "–";

  const keyOf = (row, column) => {
    const cell = row.cells[column];
    const number = parseFloat(cell.dataset.v);
    const text = (cell.dataset.text || cell.textContent).trim();
    return { number, text, none: Number.isNaN(number) && (text === NONE || text === "") };
  };

  const compare = (a, b, direction) => {
    if (a.none || b.none) return a.none - b.none; // last, whatever the direction
    const numbers = !Number.isNaN(a.number) && !Number.isNaN(b.number);
    if (numbers) return direction * (a.number - b.number);
    return direction * a.text.localeCompare(b.text, undefined, { numeric: true });
  };

  const table = (figure) => {
    const element = figure.querySelector("table"), body = element.tBodies[0];
    const all = [...body.rows], rows = all.filter((row) => !row.classList.contains("block"));
    const heads = [...element.querySelectorAll("thead th[data-col]")];
    const tools = figure.querySelector(".tools"), input = tools.querySelector("input");
    const status = tools.querySelector("[role=status]");
    let sorted = null;

    const order = () => {
      element.classList.toggle("mixed", sorted !== null);
      if (sorted === null) return body.append(...all);
      const keyed = rows.map((row) => [keyOf(row, sorted.column), row]);
      keyed.sort((a, b) => compare(a[0], b[0], sorted.direction));
      body.append(...keyed.map(([, row]) => row));
    };

    const filter = () => {
      const words = input.value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLocaleLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      let block = null;
      for (const row of all) {
        if (row.classList.contains("block")) { block = row; block.hidden = true; }
        else if (block && !row.hidden && sorted === null) block.hidden = false;
      }
      status.textContent = words.length ? `${shown} of ${rows.length} rows` : `${rows.length} rows`;
    };

    heads.forEach((head) => {
      const column = Number(head.dataset.col);
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      head.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const first = rows.some((row) => !Number.isNaN(keyOf(row, column).number)) ? -1 : 1;
        if (sorted === null || sorted.column !== column) sorted = { column, direction: first };
        else if (sorted.direction === first) sorted.direction = -first;
        else sorted = null;
        const names = { 1: "ascending", "-1": "descending" };
        for (const other of heads) other.setAttribute("aria-sort", "none");
        if (sorted) head.setAttribute("aria-sort", names[sorted.direction]);
        order();
        filter();
        figure.querySelector(".scroll").scrollTop = 0; // the first rows are what was asked for
      });
    });
    input.addEventListener("input", filter);
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { input.value = ""; filter(); }
    });
    tools.hidden = rows.length < 2;
    filter();
  };

  // --- charts -------------------------------------------------------------------------------------------------
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const looks = () => {
    const [fg, muted, line, card] = ["--fg", "--muted", "--line", "--card"].map(colour);
    return {
      background: card,
      aria: false,
      font: "system-ui, sans-serif",
      view: { stroke: line },
      axis: { labelColor: muted, titleColor: fg, gridColor: line, domainColor: line, tickColor: line,
              labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal" },
      header: { labelColor: fg, titleColor: fg, labelFontSize: 13, labelFontWeight: "bold" },
      legend: { labelColor: fg, titleColor: muted, labelFontSize: 12.5, titleFontSize: 12.5, symbolSize: 120,
                symbolBaseStrokeColor: muted, symbolBaseFillColor: muted },
      title: { color: fg, fontSize: 14, anchor: "start" },
    };
  };

  const chart = (figure) => {
    const spec = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const live = figure.querySelector(".live"), picture = figure.querySelector(".picture");
    const button = figure.querySelector("button.plain");
    let view = null;
    const draw = async () => {
      view?.finalize();
      const wide = live.clientWidth || picture.clientWidth || figure.clientWidth;
      live.style.minHeight = `${live.clientHeight}px`; // nothing below it jumps while it is drawn again
      const config = { ...spec.config, ...looks() };
      const result = await window.vegaEmbed(live, fitted(spec, wide, config), { actions: false, renderer: "svg" });
      view = result.view;
      live.style.minHeight = "";
      live.setAttribute("role", "img");
      live.querySelector("svg").setAttribute("aria-hidden", "true"); // the label says what it is, the CSV has its values
      live.setAttribute("aria-label", figure.querySelector("h3").textContent + ", interactive chart");
    };
    const show = async (interactive) => {
      if (interactive) await draw(); // the picture keeps its place until there is something to see
      live.hidden = !interactive;
      picture.hidden = interactive;
      button.textContent = interactive ? "Show the figure as printed" : "Show the interactive figure";
    };
    button.closest("li").hidden = false;
    button.addEventListener("click", () => show(live.hidden));
    let width = Math.round(figure.clientWidth);
    const observer = new ResizeObserver(() => {
      const now = Math.round(figure.clientWidth);
      if (now !== width && !live.hidden) { width = now; draw(); }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (!live.hidden && view) draw(); });
    return show(true).then(() => observer.observe(figure));
  };

  // Facets side by side where there is room, else below each other, and legends likewise.
  const fitted = (spec, wide, config) => {
    const copy = { ...spec, config };
    const columns = Math.max(1, Math.min(spec.usermeta.facets, Math.floor(wide / 300), 3));
    const inner = Math.min(700, Math.max(180, Math.floor(wide / columns) - 78));
    const narrow = wide < 620;
    config.header.labelLimit = inner + 50;
    Object.assign(config.legend, {
      orient: "top", direction: narrow ? "vertical" : "horizontal", labelLimit: inner,
      columns: narrow ? 1 : Math.max(2, Math.floor(wide / 320)),
      layout: { top: { direction: narrow ? "vertical" : "horizontal", margin: 6 } },
    });
    copy.columns = columns;
    copy.spec = { ...spec.spec, width: inner, height: Math.round(Math.min(300, Math.max(200, inner * 0.7))) };
    // A black line would not be seen on a dark ground.
    const text = JSON.stringify(copy).replaceAll("\"#000000\"", JSON.stringify(colour("--fg")));
    return JSON.parse(text);
  };

  // --- where the reader was sent ------------------------------------------------------------------------------
  // What a link or an address names stays on top while charts above it change their height, until the reader
  // does something.
  const LONGEST_MS = 20000;
  let held = null, heldSince = 0;

  const aim = () => {
    if (held?.isConnected && performance.now() - heldSince < LONGEST_MS) held.scrollIntoView({ block: "start" });
    else held = null;
  };

  const hold = (element) => {
    [held, heldSince] = [element, performance.now()];
    mark(element.closest("section.part"));
    aim();
  };
  window.meddiffHold = hold; // the case explorer has addresses of its own

  const holding = () => {
    new ResizeObserver(aim).observe(document.body);
    for (const doing of ["wheel", "pointerdown", "touchstart", "keydown"]) {
      addEventListener(doing, () => { held = null; }, { passive: true, capture: true });
    }
    document.addEventListener("click", (event) => {
      const target = document.getElementById(event.target.closest?.("a[href^='#']")?.hash.slice(1));
      if (target) setTimeout(() => hold(target)); // after the browser went there
    });
    const named = document.getElementById(decoded(location.hash.slice(1)));
    const again = performance.getEntriesByType("navigation")[0]?.type;
    // Who loads a page again, or comes back to it, is left where the browser brings them.
    if (named && again !== "reload" && again !== "back_forward") hold(named);
  };

  const decoded = (text) => {
    try { return decodeURIComponent(text); } catch { return text; }
  };

  // --- contents -----------------------------------------------------------------------------------------------
  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));

  const mark = (part) => {
    if (!links.has(part?.id)) return;
    for (const [id, link] of links) {
      if (id === part.id) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  };

  const contents = () => {
    const observer = new IntersectionObserver((entries) => {
      // The last parts never come to the top: where one was sent is where one is.
      for (const entry of entries) if (entry.isIntersecting && !held) mark(entry.target);
    }, { rootMargin: "-10% 0px -80% 0px" });
    document.querySelectorAll("section.part").forEach((part) => observer.observe(part));
    if (matchMedia("(max-width: 69.99rem)").matches) document.querySelector(".contents details").open = false;
  };

  contents();
  document.querySelectorAll("figure.table").forEach(table);
  holding();
  // All of them, one after the other: a chart that is drawn when it comes into sight moves what is read.
  const start = async () => {
    if (!window.vegaEmbed) return;
    for (const figure of document.querySelectorAll("figure.chart")) await chart(figure);
  };
  document.addEventListener("DOMContentLoaded", start);
})();
