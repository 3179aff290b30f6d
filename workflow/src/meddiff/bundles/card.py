"""The model card of a bundle, in the format of Hugging Face, from the run's own numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import yaml

from meddiff.bundles.bundle import MANIFEST, SUMS
from meddiff.bundles.library import OURS, Part, parts_of
from meddiff.bundles.runs import RunFolder
from meddiff.bundles.usage import Usage
from meddiff.evaluate.audit import COLUMNS as AUDIT_COLUMNS
from meddiff.evaluate.audit import RULE
from meddiff.evaluate.metrics.catalogue import METRICS
from meddiff.result_csv import read_csv
from meddiff.text import one_line

_METRICS = ["dataset", "metric", "value", "ci_low", "ci_high", "n"]
# Of the Hub: its identifiers of metrics that mean the same.
_HUB_METRICS = {
    "accuracy": "accuracy",
    "auroc": "roc_auc",
    "f1": "f1",
    "precision": "precision",
    "recall": "recall",
}
_KINDS = {"same_pixels": "equal pixels", "alike": "look-alikes", "anything": "anything of these"}
_SPLITS = ("train", "valid", "test")


def model_card(run: RunFolder, usage: Usage, license_name: str) -> str:
    """The card.

    Args:
        run: whose model it is.
        usage: how it is used.
        license_name: of the weights.
    """
    metrics = _metrics(run, usage.decisions[0])
    parts = parts_of(run.spec)
    front = yaml.safe_dump(
        _front_matter(run, usage, metrics, parts, license_name), sort_keys=False, allow_unicode=True
    )
    sections = [
        f"---\n{front}---\n\n# {_text(usage.title)} on {_text(usage.dataset)}\n",
        _about(run, usage),
        f"## How to use it\n\n{_use(usage, parts)}",
        f"## Intended use\n\n{_INTENDED}",
        f"## Data\n\n{_data(run, usage)}",
        f"## Metrics\n\n{_metric_table(usage, metrics)}",
        f"## What the splits share\n\n{_leaks(run)}",
        f"## Audit of strata\n\n{_audit(run, usage)}",
        f"## Limits\n\n{_limits(usage)}",
        f"## Files\n\n{_files(usage, parts)}",
    ]
    return "\n".join(section.rstrip("\n") + "\n" for section in sections)


_INTENDED = """\
For research on classifiers of medical images: to reproduce results, to compare with other models, and
to study what decides. It is no medical device, was not tested in a clinical setting, and must not be used to
diagnose or to treat.
"""
_GENERATED = """\
**The images are generated** (a phantom, drawn by a program): they are no images of patients, and what is
learned from them is of no use on real ones.

"""


def _text(value: object) -> str:
    """Text from a configuration on one line, as Markdown shows it and without HTML."""
    line = one_line(str(value)).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{c}" if c in "\\`*_[]|#" else c for c in line)


def _front_matter(
    run: RunFolder, usage: Usage, metrics: pd.DataFrame, parts: Sequence[Part], license_name: str
) -> dict[str, Any]:
    results = [
        {"type": hub, "value": round(float(row["value"]), 6), "name": METRICS[row["metric"]].title}
        for row in metrics.to_dict("records")
        if (hub := _HUB_METRICS.get(row["metric"])) and pd.notna(row["value"])
    ]
    task = {"type": "image-classification", "name": "Image classification"}
    dataset = {"type": usage.dataset, "name": usage.dataset, "split": "test"}
    index = {"name": usage.title, "results": [{"task": task, "dataset": dataset, "metrics": results}]}
    kind = "diffusion-classifier" if usage.scoring else "baseline"
    return {
        "license": license_name,
        "library_name": parts[0].library,
        "pipeline_tag": "image-classification",
        "tags": ["meddiff", "medical-imaging", kind, run.spec.model.kind],
        "metrics": [result["type"] for result in results],
        **({"model-index": [index]} if results else {}),
    }


def _about(run: RunFolder, usage: Usage) -> str:
    classes = ", ".join(map(_text, usage.class_names))
    network = run.spec.model.kind
    if usage.scoring is None:
        how = f"A discriminative baseline ({network}): one pass gives a probability of every class."
    else:
        score = usage.scoring
        how = (
            f"A diffusion classifier ({network}): an image is noised at up to {score.steps} levels, and each "
            "level votes for the class by which the noise is predicted best."
        )
    side, channels = usage.pixels.size, "colour" if usage.pixels.channels == 3 else "grey"
    return (
        f"{how}\n\nClasses, in their order: {classes}. Images: {channels}, {side} x {side} pixels.\n\n"
        f"Trained with the seed {usage.seed}; the weights are those that the run was scored with (the moving "
        "average of training where it keeps one).\n"
    )


def _use(usage: Usage, parts: Sequence[Part]) -> str:
    lines = [
        "```bash\nmeddiff classify BUNDLE image.png\n```\n",
        '```python\nfrom meddiff import Classifier\n\nclassifier = Classifier.from_folder("BUNDLE")\n'
        'table = classifier.predict(["image.png"])\n```\n',
    ]
    for part in parts:
        code = "\n".join(part.lines).format(bundle="BUNDLE")
        lines.append(f"The network alone, by {part.library}:\n\n```python\n{code}\n```\n")
    if usage.scoring is not None:
        lines.append(
            f"What is ours beside these parts is in `{OURS}` where there is anything, and how images become "
            f"inputs of the network in `{MANIFEST}` and in meddiff's `networks/`.\n"
        )
    else:
        lines.append(
            f"It takes images that are prepared as `{MANIFEST}` says (`pixels`), scaled to [0, 1] and "
            "normalised with the mean and deviation that timm has for the model.\n"
        )
    return "\n".join(lines)


def _data(run: RunFolder, usage: Usage) -> str:
    counts, made = [], _GENERATED if run.is_generated() else ""
    for split in _SPLITS:
        path = run.root / f"splits/{usage.dataset}/{split}.csv"
        if path.is_file():
            table = read_csv(path, ["label", "group"])
            of_class = table["label"].value_counts()
            cells = [str(int(of_class.get(k, 0))) for k in range(len(usage.class_names))]
            counts.append([split, str(len(table)), str(table["group"].nunique()), *cells])
    if not counts:
        return (
            f"{made}Trained on the dataset `{usage.dataset}`; its splits were not here when this card was "
            "made.\n"
        )
    heads = ["split", "images", "groups (patients or lesions)", *map(_text, usage.class_names)]
    return f"{made}Dataset `{usage.dataset}`; no group is in two splits.\n\n{_rows(heads, counts)}"


def _metrics(run: RunFolder, decision: str) -> pd.DataFrame:
    path = run.decided / f"metrics/{decision}.csv"
    if not path.is_file():
        return pd.DataFrame(columns=_METRICS)
    table = read_csv(path, _METRICS)
    return table[table["metric"].isin(METRICS)]


def _metric_table(usage: Usage, metrics: pd.DataFrame) -> str:
    if metrics.empty:
        return "The run has no metrics yet.\n"
    rows = [
        [
            _text(METRICS[row["metric"]].title),
            _number(row["value"]),
            f"{_number(row['ci_low'])} to {_number(row['ci_high'])}" if pd.notna(row["ci_low"]) else "",
            str(int(row["n"])) if pd.notna(row["n"]) else "",
        ]
        for row in metrics.to_dict("records")
    ]
    about = (
        f"On the test split, by the decision rule `{usage.decisions[0]}`, of this one trained model, with "
        f"the run's confidence intervals over test images.{_steps_of_metrics(usage)}\n\n"
    )
    return about + _rows(["metric", "value", "interval", "images"], rows)


def _steps_of_metrics(usage: Usage) -> str:
    """How many steps the metrics are of, and how many an image gets that is classified today."""
    if usage.scoring is None:
        return ""
    if usage.stopped_early:
        return (
            " The run stopped each image when its decision was clear, of "
            f"{usage.scoring.steps} noise levels at most, and `meddiff classify` does the same."
        )
    return (
        f" They are of all {usage.scoring.steps} noise levels. `meddiff classify` stops an image when its "
        "decision is clear, so that a few images may be decided otherwise; these metrics are those of "
        "`meddiff classify --all-steps`."
    )


def _leaks(run: RunFolder) -> str:
    path = run.root / f"splits/{run.dataset}/shared.csv"
    if not path.is_file():
        return "It was not looked for, or what was found is not here.\n"
    table = read_csv(path, ["kind", "split", "other_split", "class", "part", "images", "shared"])
    table = table[(table["class"] == "all") & (table["part"] == "all")]
    heads = ["what", "split", "with", "images", "of them shared"]
    table = table.assign(kind=table["kind"].replace(_KINDS))
    names = ("kind", "split", "other_split", "images", "shared")
    return _rows(heads, [[_text(row[name]) for name in names] for row in table.to_dict("records")])


def _audit(run: RunFolder, usage: Usage) -> str:
    path = run.root / run.name.parents[2] / "tables/audit.csv"
    if not path.is_file():
        return "The experiment has no audit: its dataset names no strata.\n"
    table = read_csv(path, AUDIT_COLUMNS)
    table = table[(table["dataset"] == usage.dataset) & (table["split"] == "test")]
    own = (table["model"] == run.name.parent.name) & (table["decision"] == usage.decisions[0])
    if not own.any():
        return "The experiment has no audit of this model.\n"
    about = (
        "Whether the label is given away by where an image comes from (its stratum), over all seeds of this "
        "model. The rule answers with the most frequent class of the stratum in the training split.\n\n"
    )
    rows = [
        [
            "the rule" if row["model"] == RULE else _text(usage.title),
            *(_text(row[name]) for name in ("stratum", "metric")),
            _number(row["value"]),
            f"{_number(row['ci_low'])} to {_number(row['ci_high'])}" if pd.notna(row["ci_low"]) else "",
            _text(row["verdict"]) if isinstance(row["verdict"], str) else "",
        ]
        for row in table[own | (table["model"] == RULE)].to_dict("records")
    ]
    return about + _rows(["who", "stratum", "metric", "value", "interval", "verdict"], rows)


def _limits(usage: Usage) -> str:
    known = [
        "Metrics are of the test split of one dataset. On images of another hospital, device or population "
        "they are not known.",
        "Every image gets one of the classes above, also where it shows none of them. `unlike` says where an "
        "image is less like those of the validation split than 19 of 20 of these; it does not notice all "
        "that is foreign.",
    ]
    if usage.deciding.triage is None:
        known.append("Nothing is promised of single decisions: no triage was fitted.")
    else:
        promised = usage.deciding.triage
        what = (
            f"PPV {promised.ppv:g} and NPV {promised.npv:g}"
            if len(usage.class_names) == 2
            else f"coverage {promised.coverage:g} of every class"
        )
        known.append(
            f"What is promised of sure decisions ({what}, with a confidence of {promised.confidence:g}) "
            "holds for images like those of the validation split."
        )
    if usage.scoring is not None:
        known.append("An answer depends on noise: it is the same whenever image, id and seed are.")
    return "".join(f"- {line}\n" for line in known)


def _files(usage: Usage, parts: Sequence[Part]) -> str:
    rows = [
        [f"`{part.file}`", f"weights by the names of {part.library} ({_text(part.kind)})"] for part in parts
    ]
    rows += [
        [f"`{OURS}`", "what the library has no place for; absent where there is none"],
        [f"`{MANIFEST}`", "preprocessing, classes, scoring, decision rules"],
        ["`config.yaml`", "configuration of the model, with a checksum of itself"],
        ["`fitted/`", "calibration, triage margins, and what errors of the validation split are like"],
        [f"`{SUMS}`", "checksums, compared on loading; this card may be edited"],
    ]
    return _rows(["file", "what"], rows)


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
