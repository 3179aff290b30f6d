// The grid of cases. Only rows in sight are in the document: thousands of cases have no lag.

const CELL = { width: 108, height: 170 };
const MORE_ROWS = 2;

// `open` gets the address of a case. The grid has `show(images, view)`, `focus(image)` and `step(by)`.
function caseGrid(address) {
  const inner = made("div", { class: "grid-inner", role: "presentation" });
  const grid = made("div", {
    class: "grid", role: "grid", "aria-label": "Cases", tabindex: -1,
    onscroll: () => fill(),
    onkeydown: (event) => move(event),
    onfocusin: (event) => {
      const cell = event.target.closest("[data-place]");
      if (cell) current = Number(cell.dataset.place);
    },
  }, inner);
  let images = [], view = null, columns = 1, current = 0;

  function rowHeight(row) {
    return row * CELL.height;
  }

  function fill() {
    const first = Math.max(0, Math.floor(grid.scrollTop / CELL.height) - MORE_ROWS);
    const last = Math.ceil((grid.scrollTop + grid.clientHeight) / CELL.height) + MORE_ROWS;
    const focused = grid.contains(document.activeElement) && document.activeElement !== grid;
    const rows = [];
    for (let row = first; row < last && row * columns < images.length; row += 1) rows.push(madeRow(row));
    inner.replaceChildren(...rows);
    if (!inner.querySelector('[tabindex="0"]')) inner.querySelector(".cell")?.setAttribute("tabindex", "0");
    if (focused) focusPlace(current, false);
  }

  function madeRow(row) {
    const places = images.slice(row * columns, (row + 1) * columns);
    const cells = places.map((image, i) => madeCell(image, row * columns + i, i));
    const style = { top: `${rowHeight(row)}px` };
    return made("div", { class: "grid-row", role: "row", "aria-rowindex": row + 1, style }, cells);
  }

  function madeCell(image, place, column) {
    const dataset = CASES.datasets[view.dataset], run = dataset.runs[view.run];
    const found = decisionOf(dataset, run, image);
    const verdict = found.right ? "right" : "wrong";
    const truth = found.right ? "" : ` (is ${dataset.classes[found.label]})`;
    const words = `${dataset.ids[image]}: ${dataset.classes[found.prediction]}, ${verdict}${truth}, probability ${percent(found.p)}`;
    const link = made("a", {
      href: address(image), class: `cell ${verdict}`, "aria-label": words, "data-place": place, "data-image": image,
      tabindex: place === current ? 0 : -1, title: dataset.ids[image],
    },
    thumbnail(view.dataset, image),
    made("span", { class: "cell-class" }, bdi(dataset.classes[found.prediction])),
    made("span", { class: "cell-facts" }, made("span", { class: "verdict-mark" }, found.right ? "✓" : "✗"), ` ${percent(found.p)}`),
    found.right ? null : made("span", { class: "cell-class muted" }, "is ", bdi(dataset.classes[found.label])));
    return made("div", { role: "gridcell", "aria-colindex": column + 1, class: "grid-cell" }, link);
  }

  function layOut() {
    columns = Math.max(1, Math.floor(grid.clientWidth / CELL.width));
    const rows = Math.ceil(images.length / columns);
    grid.setAttribute("aria-rowcount", rows);
    grid.setAttribute("aria-colcount", columns);
    inner.style.height = `${rows * CELL.height}px`;
    fill();
  }

  function focusPlace(place, scroll = true) {
    if (!images.length) return;
    current = Math.min(Math.max(place, 0), images.length - 1);
    const top = rowHeight(Math.floor(current / columns)), bottom = top + CELL.height;
    if (scroll && top < grid.scrollTop) grid.scrollTop = top;
    if (scroll && bottom > grid.scrollTop + grid.clientHeight) grid.scrollTop = bottom - grid.clientHeight;
    if (scroll) fill();
    const cell = inner.querySelector(`[data-place="${current}"]`);
    for (const other of inner.querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    if (cell) {
      cell.tabIndex = 0;
      cell.focus({ preventScroll: true });
    } else {
      grid.focus({ preventScroll: true }); // the cell was scrolled out of sight; keys still work from here
    }
  }

  function move(event) {
    const page = columns * Math.max(1, Math.floor(grid.clientHeight / CELL.height));
    const rtl = getComputedStyle(grid).direction === "rtl" ? -1 : 1;
    const row = Math.floor(current / columns) * columns;
    const targets = {
      ArrowLeft: current - rtl, ArrowRight: current + rtl, ArrowUp: current - columns,
      ArrowDown: current + columns, PageUp: current - page, PageDown: current + page,
      Home: event.ctrlKey ? 0 : row, End: event.ctrlKey ? images.length - 1 : row + columns - 1,
    };
    if (!(event.key in targets) || event.altKey || event.metaKey) return;
    event.preventDefault();
    const target = targets[event.key];
    if (target >= 0 && target < images.length) focusPlace(target);
    else if (event.key.startsWith("Page") || event.key === "End") focusPlace(target);
  }

  new ResizeObserver(() => { if (view && grid.clientWidth) layOut(); }).observe(grid);

  return {
    element: grid,
    show(found, shown) {
      [images, view, current] = [found, shown, 0];
      grid.scrollTop = 0;
      layOut();
    },
    focusImage(image) {
      focusPlace(Math.max(0, images.indexOf(image)));
    },
    step(by) {
      focusPlace(grid.contains(document.activeElement) && document.activeElement !== grid ? current + by : current);
    },
  };
}
