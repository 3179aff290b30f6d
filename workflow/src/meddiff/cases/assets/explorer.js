// The explorer: filters, the grid, one case; the address of the page says which case is open.

const PRESETS = {
  "Most uncertain errors": { outcome: "wrong", sort: "uncertain" },
  "Surest errors": { outcome: "wrong", sort: "probable" },
  "Models disagree": { disputed: "yes", sort: "uncertain" },
  "All cases": {},
};
const NO_FILTER = {
  outcome: "", label: "", predicted: "", stratum: "", set: "", unlike: "", disputed: "", query: "", sort: "errors",
};

function startExplorer(root) {
  const HOME = `#${root.parentElement.closest("[id]").id}`;
  const diffusion = (dataset) => Math.max(0, dataset.runs.findIndex((run) => run.family === "diffusion"));
  const view = { dataset: 0, run: diffusion(CASES.datasets[0]), ...NO_FILTER };
  let found = [], open = null;

  const filters = made("div", { class: "filters" });
  const presets = made("div", { class: "presets", role: "group", "aria-label": "Views" });
  const count = made("p", { class: "count", role: "status" });
  const address = (image, run = view.run) => {
    const dataset = CASES.datasets[view.dataset], { model, decision } = dataset.runs[run];
    const parts = [dataset.name, dataset.ids[image], model, decision].map(encodeURIComponent);
    return `#case=${parts[0]}/${parts[1]}&model=${parts[2]}/${parts[3]}`;
  };
  const grid = caseGrid(address);
  const browse = made("div", { class: "browse" }, presets, filters, count, grid.element);
  const detail = made("article", { class: "case", hidden: true });
  root.replaceChildren(browse, detail);

  function refresh() {
    found = foundCases(view);
    const all = CASES.datasets[view.dataset].ids.length;
    count.textContent = found.length ? `${found.length} of ${all} test images` : "No test image fits these filters.";
    grid.show(found, view);
    for (const button of presets.children) {
      const wanted = { ...NO_FILTER, ...PRESETS[button.textContent] };
      button.setAttribute("aria-pressed", Object.keys(wanted).every((key) => wanted[key] === view[key]));
    }
  }

  function set(changes) {
    Object.assign(view, changes);
    showFilters();
    refresh();
  }

  function showFilters() {
    const dataset = CASES.datasets[view.dataset], run = dataset.runs[view.run];
    const classes = dataset.classes.map((name, k) => [k, name]);
    const change = (name) => (value) => set({ [name]: value });
    const active = document.activeElement;
    const label = filters.contains(active) ? active.dataset.name : null;
    const boxes = {
      dataset: CASES.datasets.length > 1
        ? select("Dataset", CASES.datasets.map((one, d) => [d, one.title]), view.dataset, (d) => set({ ...NO_FILTER, sort: view.sort, outcome: view.outcome, dataset: Number(d), run: sameRun(Number(d)) }))
        : null,
      run: select("Model", dataset.runs.map((one, r) => [r, runTitle(one)]), view.run, (r) => set({ run: Number(r) })),
      outcome: select("Decision", [["", "right or wrong"], ["wrong", "wrong"], ["right", "right"]], view.outcome, change("outcome")),
      label: select("True class", [["", "any"], ...classes], view.label, change("label")),
      predicted: select("Decided class", [["", "any"], ...classes], view.predicted, change("predicted")),
      stratum: dataset.strata
        ? select(dataset.strata.title, [["", "any"], ...dataset.strata.names.map((name, s) => [s, name])], view.stratum, change("stratum"))
        : null,
      set: run.sets
        ? select("Predicted set", [["", "any"], ["one", "one class: sure"], ["several", "several: for a person"], ["none", "empty"], ["missed", "without the true class"],
          ...dataset.classes.map((name, k) => [k, `with ${name}`])], view.set, change("set"))
        : null,
      unlike: run.ood ? select("Unlike the training data", [["", "or not"], ["yes", "yes"]], view.unlike, change("unlike")) : null,
      disputed: dataset.runs.length > 1 ? select("Models", [["", "agree or not"], ["yes", "disagree"]], view.disputed, change("disputed")) : null,
      sort: select("Order", Object.entries(SORTS), view.sort, change("sort")),
    };
    const shown = Object.entries(boxes).filter(([, box]) => box);
    for (const [name, box] of shown) box.querySelector("select").dataset.name = name;
    filters.replaceChildren(search, ...shown.map(([, box]) => box));
    if (label) filters.querySelector(`[data-name="${label}"]`)?.focus();
  }

  // The run of the same model and decision on another dataset.
  function sameRun(number) {
    const { model, decision } = CASES.datasets[view.dataset].runs[view.run];
    return Math.max(0, CASES.datasets[number].runs.findIndex((run) => run.model === model && run.decision === decision));
  }

  const searchId = freshId();
  const input = made("input", {
    type: "search", id: searchId, "data-name": "query", placeholder: "part of an id", autocomplete: "off",
    "aria-keyshortcuts": "/", oninput: () => { view.query = input.value.trim(); refresh(); },
  });
  const search = made("div", { class: "field" }, made("label", { for: searchId }, "Search ( / )"), input);
  for (const [title, wanted] of Object.entries(PRESETS)) {
    presets.append(made("button", { type: "button", onclick: () => { input.value = ""; set({ ...NO_FILTER, ...wanted }); } }, title));
  }

  async function show(image) {
    const dataset = CASES.datasets[view.dataset], run = dataset.runs[view.run];
    open = image;
    const place = found.indexOf(image);
    const previous = place > 0 ? found[place - 1] : null, next = place >= 0 && place < found.length - 1 ? found[place + 1] : null;
    const jump = (text, target, key) => made("a", {
      class: "button", href: target === null ? null : address(target), "aria-disabled": target === null, "aria-keyshortcuts": key, role: target === null ? "link" : null,
    }, text);
    const heading = made("h3", { tabindex: -1 }, bdi(dataset.ids[image]), made("span", { class: "muted" }, ` · ${runTitle(run)}`));
    const stratum = dataset.strata && dataset.strata.of[image] >= 0 ? dataset.strata.names[dataset.strata.of[image]] : null;
    const bar = made("div", { class: "case-bar" },
      made("a", { class: "button", href: HOME, "aria-keyshortcuts": "Escape" }, "← Cases"),
      made("span", { class: "muted" }, place >= 0 ? `${place + 1} of ${found.length}` : ""),
      jump("‹ Previous", previous, "k"), jump("Next ›", next, "j"));
    const facts = made("p", { class: "muted" }, bdi(dataset.title), stratum === null ? "" : ` · ${dataset.strata.title}: ${stratum}`);
    detail.replaceChildren(bar, heading, facts, made("p", { class: "note" }, "Loading …"));
    browse.hidden = true;
    detail.hidden = false;
    heading.focus({ preventScroll: true });
    history.scrollRestoration = "manual"; // who loads the page again comes to the case, not to a number of pixels
    window.meddiffHold(detail);
    let details = null, problem = null;
    try {
      details = await detailsOf(view.dataset, image);
    } catch (error) {
      problem = error;
    }
    if (open !== image || !heading.isConnected) return;
    detail.replaceChildren(bar, heading, facts, ...caseDetail(view, image, details, problem, address).flat());
    if (!document.activeElement || document.activeElement === document.body) heading.focus({ preventScroll: true });
  }

  function close() {
    if (open === null) return;
    const image = open;
    open = null;
    history.scrollRestoration = "auto";
    detail.hidden = true;
    browse.hidden = false;
    detail.replaceChildren();
    refresh();
    // Who follows a link to another part of the page is not called back here.
    if (location.hash !== HOME && location.hash !== "") {
      document.getElementById(location.hash.slice(1))?.scrollIntoView();
      return;
    }
    root.scrollIntoView({ block: "nearest" });
    grid.focusImage(image);
  }

  // Opens the case that the address names, or closes the one that is open.
  function follow() {
    const named = /^#case=([^&/]*)\/([^&]*)(?:&model=([^&/]*)\/([^&]*))?$/.exec(location.hash);
    if (!named) return close();
    let words;
    try {
      words = named.slice(1).map((part) => (part === undefined ? undefined : decodeURIComponent(part)));
    } catch {
      return unknown();
    }
    const [name, id, model, decision] = words;
    const number = CASES.datasets.findIndex((one) => one.name === name);
    const image = number < 0 ? -1 : CASES.datasets[number].ids.indexOf(id);
    if (image < 0) return unknown();
    const run = CASES.datasets[number].runs.findIndex((one) => one.model === model && one.decision === decision);
    if (number !== view.dataset || (run >= 0 && run !== view.run)) {
      const kept = number === view.dataset ? {} : NO_FILTER;
      set({ ...kept, dataset: number, run: Math.max(0, run) });
    }
    return show(image);
  }

  function unknown() {
    close();
    count.textContent = "The address names a case that this report does not have.";
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input:not([type=range]), select, textarea, [contenteditable]");
    const box = root.getBoundingClientRect();
    const mine = root.contains(event.target) || (event.target === document.body && box.top < innerHeight && box.bottom > 0);
    if (!mine || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (open !== null) location.hash = HOME;
      else if (event.target === input && input.value) {
        input.value = "";
        set({ query: "" });
      } else grid.step(0);
      event.preventDefault();
    } else if (!typing && event.key === "/") {
      if (open !== null) location.hash = HOME;
      setTimeout(() => { input.focus(); input.select(); });
      event.preventDefault();
    } else if (!typing && (event.key === "j" || event.key === "k")) {
      const by = event.key === "j" ? 1 : -1, place = found.indexOf(open);
      if (open === null) grid.step(by);
      else if (place >= 0 && found[place + by] !== undefined) location.hash = address(found[place + by]);
      event.preventDefault();
    }
  });
  window.addEventListener("hashchange", follow);

  showFilters();
  refresh();
  const missing = CASES.datasets.filter((dataset) => !dataset.sheets).map((dataset) => dataset.title);
  if (missing.length) browse.prepend(made("p", { class: "note" }, `This run was restored without the images of ${missing.join(", ")}: decisions are shown without pictures.`));
  follow();
}

startExplorer(document.getElementById("cases-explorer"));
