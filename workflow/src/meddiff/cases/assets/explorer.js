// The explorer: filters, the grid, one case; the address of the page says which case is open.

const PRESETS = {
  "Most uncertain errors": { outcome: "wrong", sort: "uncertain" },
  "Surest errors": { outcome: "wrong", sort: "probable" },
  "Models disagree": { disputed: "yes", sort: "uncertain" },
  "All cases": {},
};
const NO_FILTER = {
  outcome: "", label: "", predicted: "", stratum: "", set: "", unlike: "", disputed: "", edited: "", query: "", sort: "errors",
};

function startExplorer(root) {
  const HOME = `#${root.parentElement.closest("[id]").id}`;
  const diffusion = (dataset) => Math.max(0, dataset.runs.findIndex((run) => run.family === "diffusion"));
  const view = { dataset: 0, run: diffusion(CASES.datasets[0]), ...NO_FILTER };
  const fields = new Map(); // name of a filter -> what it was made of, and its element
  let found = [], open = null, notice = "";

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
    if (notice) count.textContent += ` ${notice}`;
    grid.show(found, view);
    for (const button of presets.children) {
      const wanted = { ...NO_FILTER, ...PRESETS[button.textContent] };
      button.setAttribute("aria-pressed", Object.keys(wanted).every((key) => wanted[key] === view[key]));
    }
  }

  function set(changes, said = "") {
    Object.assign(view, changes);
    notice = said;
    if (input.value.trim() !== view.query) input.value = view.query;
    showFilters();
    refresh();
  }

  // The field of a filter: the same element while its options are the same, so that who types the first letters
  // of an option, or holds an arrow key, is not interrupted.
  function field(name, title, options, change) {
    const key = JSON.stringify([title, options]);
    if (fields.get(name)?.key !== key) fields.set(name, { key, element: select(title, options, view[name], change) });
    const { element } = fields.get(name);
    element.querySelector("select").value = String(view[name]);
    return element;
  }

  function showFilters() {
    const dataset = CASES.datasets[view.dataset], run = dataset.runs[view.run];
    const classes = dataset.classes.map((name, k) => [k, name]);
    const filter = (name, title, options) => field(name, title, options, (value) => set({ [name]: value }));
    const wanted = [
      search,
      CASES.datasets.length > 1
        ? field("dataset", "Dataset", CASES.datasets.map((one, d) => [d, one.title]), (d) => changeDataset(Number(d)))
        : null,
      field("run", "Model", dataset.runs.map((one, r) => [r, runTitle(one)]), (r) => set({ run: Number(r) })),
      filter("outcome", "Decision", [["", "right or wrong"], ["wrong", "wrong"], ["right", "right"]]),
      filter("label", "True class", [["", "any"], ...classes]),
      filter("predicted", "Decided class", [["", "any"], ...classes]),
      dataset.strata ? filter("stratum", dataset.strata.title, [["", "any"], ...dataset.strata.names.map((name, s) => [s, name])]) : null,
      run.sets
        ? filter("set", "Predicted set", [["", "any"], ["one", "one class: sure"], ["several", "several: for a person"], ["none", "empty"], ["missed", "without the true class"],
          ...dataset.classes.map((name, k) => [k, `with ${name}`])])
        : null,
      run.ood ? filter("unlike", "Unlike the training data", [["", "or not"], ["yes", "yes"]]) : null,
      dataset.runs.length > 1 ? filter("disputed", "Models", [["", "agree or not"], ["yes", "disagree"]]) : null,
      editedModels(dataset).length ? filter("edited", "Counterfactual", [["", "or none"], ["yes", "of this model"], ["any", "of any model"]]) : null,
      filter("sort", "Order", Object.entries(SORTS)),
    ].filter(Boolean);
    for (const child of [...filters.children]) if (!wanted.includes(child)) child.remove();
    wanted.forEach((child, place) => {
      if (filters.children[place] !== child) filters.insertBefore(child, filters.children[place] || null);
    });
  }

  // Filters name classes, strata and ids of a dataset: another one is shown whole, in the same order.
  function changeDataset(number) {
    const filtered = Object.keys(NO_FILTER).some((name) => name !== "sort" && view[name] !== NO_FILTER[name]);
    set({ ...NO_FILTER, sort: view.sort, dataset: number, run: sameRun(number) }, filtered ? "(filters were reset for this dataset)" : "");
  }

  // The run of the same model and decision on another dataset.
  function sameRun(number) {
    const { model, decision } = CASES.datasets[view.dataset].runs[view.run];
    return Math.max(0, CASES.datasets[number].runs.findIndex((run) => run.model === model && run.decision === decision));
  }

  const searchId = freshId();
  const input = made("input", {
    type: "search", id: searchId, "data-name": "query", placeholder: "part of an id", autocomplete: "off",
    "aria-keyshortcuts": "/", oninput: () => { view.query = input.value.trim(); notice = ""; refresh(); },
  });
  const search = made("div", { class: "field" }, made("label", { for: searchId }, "Search ( / )"), input);
  for (const [title, wanted] of Object.entries(PRESETS)) {
    presets.append(made("button", { type: "button", onclick: () => set({ ...NO_FILTER, ...wanted }) }, title));
  }

  // `note`: what is to be said about how one came here.
  async function show(image, note = null) {
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
    const said = note === null ? "" : made("p", { class: "bad", role: "alert" }, note);
    detail.replaceChildren(bar, heading, facts, said, made("p", { class: "note" }, "Loading …"));
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
    detail.replaceChildren(bar, heading, facts, said, ...caseDetail(view, image, details, problem, address).flat());
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
      set({ ...kept, dataset: number, run: run >= 0 ? run : diffusion(CASES.datasets[number]) });
    }
    if (model === undefined || run >= 0) return show(image);
    const shown = CASES.datasets[view.dataset].runs[view.run];
    history.replaceState(history.state, "", address(image));
    return show(image, `The address names a model or decision that this report does not have of these images (${model}, ${decision}). Shown is ${runTitle(shown)}.`);
  }

  function unknown() {
    close();
    count.textContent = "The address names a case that this report does not have.";
    window.meddiffHold(count);
  }

  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input:not([type=range]), select, textarea, [contenteditable]");
    const box = root.getBoundingClientRect();
    const mine = root.contains(event.target) || (event.target === document.body && box.top < innerHeight && box.bottom > 0);
    // The key that searches does so from everywhere on the page.
    if (!(mine || event.key === "/") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      if (open !== null) location.hash = HOME;
      else if (event.target === input && input.value) set({ query: "" });
      else grid.step(0);
      event.preventDefault();
    } else if (!typing && event.key === "/") {
      if (open !== null) location.hash = HOME;
      setTimeout(() => {
        input.focus({ preventScroll: true });
        input.select();
        const { top, bottom } = input.getBoundingClientRect();
        if (top < 0 || bottom > innerHeight) browse.scrollIntoView({ block: "start" });
      });
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
