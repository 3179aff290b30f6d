// The index of all cases, what is filtered and sorted of it, and details, which are loaded when they are needed.

const CASES = JSON.parse(document.getElementById("cases-data").textContent);
const DETAILS = new Map(); // "dataset-chunk" -> what waits for it, or its content

const SORTS = {
  errors: "errors first, most uncertain first",
  uncertain: "most uncertain first",
  certain: "most certain first",
  probable: "highest probability first",
  improbable: "lowest probability first",
  id: "by id",
};
const DECISIONS = { softmax: "softmax", majority: "majority", mean: "mean error", t_score: "t-score" };
const KINDS = { vote_entropy: "vote entropy", softmax_entropy: "entropy of probabilities", t_score: "t-score" };

function runTitle(run) {
  const alone = run.decision === "softmax";
  return alone ? run.title : `${run.title} (${DECISIONS[run.decision] || run.decision.replaceAll("_", " ")})`; // as tables say it
}

// What one model decided of one image.
function decisionOf(dataset, run, image) {
  const label = dataset.labels[image], prediction = run.prediction[image];
  return {
    label,
    prediction,
    right: label === prediction,
    p: run.p[image],
    u: run.u[image],
    set: run.sets ? run.sets[image] : null,
    ood: run.ood ? run.ood[image] : null,
    steps: run.steps[image],
  };
}

// Whether any other model of the dataset decides otherwise.
function isDisputed(dataset, image) {
  return dataset.runs.some((run) => run.prediction[image] !== dataset.runs[0].prediction[image]);
}

// Whether there is a counterfactual of an image with a model; models that have any.
function isEdited(dataset, model, image) {
  return dataset.scored.some((one) => one.model === model && one.edited.includes(image));
}

function editedModels(dataset) {
  return dataset.scored.filter((one) => one.edited.length);
}

const FILTERS = {
  outcome: (value, found) => found.right === (value === "right"),
  label: (value, found) => found.label === Number(value),
  predicted: (value, found) => found.prediction === Number(value),
  stratum: (value, found, dataset, image) => dataset.strata.of[image] === Number(value),
  set: (value, found) => {
    if (found.set === null) return true;
    if (value === "none") return found.set.length === 0;
    if (value === "one") return found.set.length === 1;
    if (value === "several") return found.set.length > 1;
    if (value === "missed") return !found.set.includes(found.label);
    return found.set.includes(Number(value));
  },
  unlike: (value, found) => found.ood !== null && found.ood > 0,
  disputed: (value, found, dataset, image) => isDisputed(dataset, image),
  edited: (value, found, dataset, image, run) =>
    dataset.scored.some((one) => (value === "any" || one.model === run.model) && one.edited.includes(image)),
  query: (value, found, dataset, image) => dataset.ids[image].toLowerCase().includes(value.toLowerCase()),
};

// Images that fit, in order: indices of the dataset.
function foundCases(view) {
  const dataset = CASES.datasets[view.dataset], run = dataset.runs[view.run];
  const active = Object.entries(FILTERS).filter(([name]) => view[name]);
  const images = dataset.ids
    .map((_, image) => image)
    .filter((image) => {
      const found = decisionOf(dataset, run, image);
      return active.every(([name, fits]) => fits(view[name], found, dataset, image, run));
    });
  const wrong = (image) => Number(run.prediction[image] !== dataset.labels[image]);
  const byId = (a, b) => (dataset.ids[a] < dataset.ids[b] ? -1 : Number(dataset.ids[a] > dataset.ids[b]));
  const orders = {
    errors: (a, b) => wrong(b) - wrong(a) || run.u[b] - run.u[a],
    uncertain: (a, b) => run.u[b] - run.u[a],
    certain: (a, b) => run.u[a] - run.u[b],
    probable: (a, b) => run.p[b] - run.p[a],
    improbable: (a, b) => run.p[a] - run.p[b],
    id: byId,
  };
  return images.sort((a, b) => orders[view.sort](a, b) || byId(a, b));
}

function shareOf(values, fits) {
  return values.filter(fits).length / values.length;
}

// Where the details of an image are: null where it has none.
function chunkOf(number, image) {
  const kept = CASES.datasets[number].details;
  const place = kept === "all" ? image : kept.indexOf(image);
  return place < 0 ? null : `${number}-${Math.floor(place / CASES.chunk)}`;
}

// Scripts of details call this.
window.meddiffDetails = (number, part) => {
  for (const image of Object.keys(part)) DETAILS.set(`${number}/${image}`, part[image]);
};

// A promise of the details of an image; null where there are none. It fails where their file is not there.
function detailsOf(number, image) {
  const chunk = chunkOf(number, image), name = `${number}/${image}`;
  if (chunk === null) return Promise.resolve(null);
  if (DETAILS.has(name)) return Promise.resolve(DETAILS.get(name));
  const inside = document.getElementById(`cases-details-${chunk}`);
  if (inside) {
    window.meddiffDetails(number, JSON.parse(inside.textContent));
    return Promise.resolve(DETAILS.get(name));
  }
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `cases/${chunk}.js`;
    script.onload = () => resolve(DETAILS.get(name));
    script.onerror = () => reject(new Error(script.src));
    document.head.append(script);
  });
}
