// Pictures that are computed here: noised images, maps over images, differences.

function loaded(source) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error("a picture cannot be shown"));
    image.src = source;
  });
}

// RGBA bytes of a picture, at the size it has.
async function pixelsOf(source) {
  const image = await loaded(source);
  const canvas = made("canvas", { width: image.naturalWidth, height: image.naturalHeight });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function drawPixels(canvas, pixels, width, height) {
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

const BRIGHTER = [230, 110, 20], DARKER = [20, 100, 220];

// Signed values, -1 to 1, as two colours that are the less transparent the larger a value is.
function drawSigned(canvas, values, width, height, positive, negative) {
  const pixels = new Uint8ClampedArray(4 * width * height);
  values.forEach((value, i) => {
    pixels.set(value > 0 ? positive : negative, 4 * i);
    pixels[4 * i + 3] = 255 * Math.min(1, Math.abs(value));
  });
  drawPixels(canvas, pixels, width, height);
}

// The colour of a class in charts, as the style sheet says it: #rrggbb.
function colourOf(number) {
  const said = getComputedStyle(document.getElementById("cases")).getPropertyValue(`--${classMark(number)}`).trim();
  return [1, 3, 5].map((place) => parseInt(said.slice(place, place + 2), 16));
}

// What speaks for one class and what for another, in the colours that they have in the charts.
function drawMap(canvas, map, best, rival) {
  const bytes = Int8Array.from(atob(map.bytes), (letter) => letter.charCodeAt(0));
  drawSigned(canvas, Array.from(bytes, (byte) => byte / 127), map.width, map.height, colourOf(best), colourOf(rival));
}

// Counterfactual minus factual: brighter and darker, against the 99.5 % quantile of the sizes.
async function drawDifference(canvas, factual, counterfactual) {
  const [before, after] = await Promise.all([pixelsOf(factual), pixelsOf(counterfactual)]);
  const values = [];
  for (let i = 0; i < after.data.length; i += 4) {
    let sum = 0;
    for (let c = 0; c < 3; c += 1) sum += after.data[i + c] - before.data[i + c];
    values.push(sum / 3);
  }
  const sizes = values.map(Math.abs).sort((a, b) => a - b);
  const limit = Math.max(sizes[Math.floor(0.995 * (sizes.length - 1))], 2.55);
  drawSigned(canvas, values.map((value) => value / limit), after.width, after.height, BRIGHTER, DARKER);
}

// A thumbnail of the sheets. Rules of a style sheet hold the sheets, so that each is decoded once.
let sheetsReady = false;
function thumbnail(number, image) {
  const sheets = CASES.datasets[number].sheets;
  if (!sheets) return made("span", { class: "thumb none", "aria-hidden": "true" }, "no image");
  if (!sheetsReady) {
    const rules = CASES.datasets.flatMap((dataset, d) => (dataset.sheets ? dataset.sheets.files : []).map((file, s) => {
      const inside = document.getElementById(`cases-sheet-${file}`);
      const source = inside ? inside.textContent.trim() : `cases/${file}`;
      return `#cases .sheet-${d}-${s} { background-image: url("${source}"); }`;
    }));
    document.head.append(made("style", {}, rules.join("\n")));
    sheetsReady = true;
  }
  const sheet = Math.floor(image / sheets.images), place = image % sheets.images;
  const column = place % sheets.columns, row = Math.floor(place / sheets.columns);
  const here = Math.min(sheets.images, CASES.datasets[number].ids.length - sheet * sheets.images);
  const rows = Math.ceil(here / sheets.columns);
  const share = (at, count) => `${count > 1 ? (100 * at) / (count - 1) : 0}%`;
  return made("span", {
    class: `thumb sheet-${number}-${sheet}`,
    "aria-hidden": "true",
    style: {
      backgroundSize: `${100 * sheets.columns}% ${100 * rows}%`,
      backgroundPosition: `${share(column, sheets.columns)} ${share(row, rows)}`,
    },
  });
}
