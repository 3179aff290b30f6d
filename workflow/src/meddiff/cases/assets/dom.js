// Elements from code. Text only ever becomes text: nothing here reads HTML.

// made("p", {class: "note", onclick: f}, "text", element, ...): `null` children are left out.
function made(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === false || value === undefined) continue;
    if (typeof value === "function") element.addEventListener(key.slice(2), value);
    else if (key === "style") Object.assign(element.style, value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function madeSvg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

// A name in a direction of its own.
function bdi(text) {
  return made("bdi", {}, text);
}

function percent(share) {
  return `${Math.round(100 * share)} %`;
}

function withMinus(text) {
  return String(text).replace("-", "−");
}

let lastNumber = 0;
function freshId() {
  lastNumber += 1;
  return `cases-${lastNumber}`;
}

// A slider from 0 to 100 with its label; `change` gets its value.
function slider(text, value, change, attributes = {}) {
  const id = freshId();
  const input = made("input", {
    type: "range", id, min: 0, max: 100, value, ...attributes,
    oninput: (event) => change(Number(event.target.value)),
  });
  return made("div", { class: "slider" }, made("label", { for: id }, text), input);
}

function select(text, options, chosen, change) {
  const id = freshId();
  const box = made("select", { id, onchange: (event) => change(event.target.value) });
  for (const [value, title] of options) {
    box.append(made("option", { value, selected: String(value) === String(chosen) }, title));
  }
  return made("div", { class: "field" }, made("label", { for: id }, text), box);
}
