"""A draft of the section of methods, sentence by sentence from what was run; citations are those of "
"Pandoc."""

from __future__ import annotations

from typing import Any

from meddiff.writing.bibliography import bibtex, cited
from meddiff.writing.explanations import explanations_text
from meddiff.writing.facts import Facts
from meddiff.writing.models import models_text, training_text
from meddiff.writing.settings import WritingSettings, WrittenDataset, WrittenModel
from meddiff.writing.statistics import statistics_text
from meddiff.writing.wording import listed, number, percent, plain, several

_RULES = {
    "majority": "by majority, where every noise level is one vote for the class with the smallest error",
    "mean": "by the smallest error averaged over noise levels [@li2023]",
    "t_score": "by the t statistic of the errors' differences over noise levels",
}
_LEVELS = {
    "uniform": "drawn uniformly in time",
    "low_discrepancy": "drawn with low discrepancy over time",
    "antithetic": "drawn in antithetic pairs",
}


def sections(settings: WritingSettings, facts: Facts) -> dict[str, list[str]]:
    """Heading -> paragraphs, in Markdown."""
    found = {
        "Data": [_dataset(dataset, facts) for dataset in settings.datasets] + _across(settings),
        "Models": models_text(settings, facts),
        "Training": training_text(settings, facts),
        "Classification": _classification(settings),
        "Fitted on the validation split": _fitted(settings),
        "Statistics": statistics_text(settings, facts),
        "Explanations": explanations_text(settings),
        "Images unlike the training data": _unlike(settings),
        "Software": [_software(settings, facts)],
    }
    return {heading: paragraphs for heading, paragraphs in found.items() if paragraphs}


def methods_markdown(settings: WritingSettings, facts: Facts) -> str:
    """The draft as one Markdown file."""
    lines = [
        f"# Methods: {plain(settings.title)}",
        "",
        "A draft from what was run: it says how, and not why. Keys in brackets are "
        "entries of `references.bib`; `pandoc --citeproc` puts the references in.",
        "",
    ]
    for heading, paragraphs in sections(settings, facts).items():
        lines += [f"## {heading}", "", *(line for text in paragraphs for line in (text, ""))]
    return "\n".join(lines)


def references(markdown: str) -> str:
    """BibTeX of what a text cites."""
    return bibtex(cited(markdown))


def _dataset(dataset: WrittenDataset, facts: Facts) -> str:
    name = plain(dataset.title)
    classes = listed(plain(one) for one in dataset.classes)
    origin = "generated images (a phantom)" if dataset.source == "phantom" else "images"
    text = f"**{name}**: {origin} of {several(len(dataset.classes), 'class', 'classes')}: {classes}. "
    found, left_out = facts.listed(dataset.name), facts.left_out(dataset.name)
    if found:
        out = f"{number(left_out)} {'was' if left_out == 1 else 'were'}" if left_out else "none was"
        text += f"Of {several(found, 'image')} in its list, {out} left out. "
    text += _divided(dataset, facts)
    parts = []
    for split, word in (("train", "training"), ("valid", "validation"), ("test", "test")):
        images, groups = (facts.count(dataset.name, split, what) for what in ("images", "groups"))
        of = (
            f" of {several(groups, 'patient or other group', 'patients or other groups')}"
            if groups < images
            else ""
        )
        by_class = [f"{facts.count(dataset.name, split, 'class', one):,}" for one in dataset.classes]
        counted = f" ({'/'.join(by_class)} by class)" if any(count != "0" for count in by_class) else ""
        parts.append(f"{number(images)} for {word}{of}{counted}")
    colour = "grey" if dataset.channels == 1 else "colour"
    return (
        f"{text} {listed(parts)}. All were resized to {dataset.image_size} × {dataset.image_size} {colour} "
        "pixels of 8 bits."
    )


def _divided(dataset: WrittenDataset, facts: Facts) -> str:
    kind = dataset.split.get("kind")
    if kind == "recipe":
        how = f"drawn by lot, stratified by class (seed {dataset.split.get('seed', 0)})"
    elif kind == "folds":
        how = (
            f"of {dataset.split.get('folds')} folds, stratified by class (seed "
            f"{dataset.split.get('seed', 0)})"
        )
    else:
        how = "taken as they were given" if kind in ("files", "column") else "the published ones"
    shared = "No patient or other group of images is in two of them. " if kind in ("recipe", "folds") else ""
    looked = {
        "error": "Images of equal pixels in two splits would have ended the run",
        "report": "Images of equal pixels in two splits were counted and kept",
        "move_to_train": "Images of equal pixels in two splits were moved to the training split",
    }[dataset.leaks.get("duplicates", "error")]
    alike, test = facts.alike(dataset.name), facts.count(dataset.name, "test")
    found = "" if alike is None else f", which found {number(alike) if alike else 'none'}"
    if alike:
        found += f" ({percent(round(alike / test, 3))} of the test images)" if test else ""
        found += "; they were kept, and results without them are in the table of leaks"
    return (
        f"Splits are {how}. {shared}{looked}. Test images that look like one of training or validation were "
        f"searched by a perceptual hash{found}. There are"
    )


def _across(settings: WritingSettings) -> list[str]:
    titles = {dataset.name: plain(dataset.title) for dataset in settings.datasets}
    return [
        f"Models of {titles.get(name, name)} were also tested on the test split of "
        f"{listed(titles.get(other, other) for other in others)}. Nothing was fitted there."
        for name, others in settings.test_on.items()
        if others
    ]


def _classification(settings: WritingSettings) -> list[str]:
    found = []
    if settings.diffusion:
        score = settings.score
        rules = listed(_RULES.get(rule, f"by the rule {plain(rule)}") for rule in score.decisions)
        seeds = f" That was repeated with {several(len(score.seeds), 'vote seed')}." if score.seeds else ""
        found.append(
            "A diffusion model classifies an image by noising it and predicting the noise once for every "
            f"class [@favero2025; @li2023]. This was done at {several(score.steps, 'noise level')} "
            f"{_LEVELS[score.noise_levels]}; all classes of an image have the same noise. The image is "
            f"decided {rules}. Its uncertainty is the entropy of the votes. Networks ran in "
            f"{score.precision}.{seeds}{_stopping(score)}"
        )
    if settings.baselines:
        found.append(
            "The other models classify by the softmax of their logits; their uncertainty is its entropy."
        )
    return found


def _stopping(score: Any) -> str:
    rule = score.stopping
    if rule.kind == "none":
        return ""
    kept = "when its decision could not change any more"
    if rule.kind == "sequential":
        kept = f"when its decision was unlikely to change (delta = {number(rule.delta)})"
    return f" An image's evaluation stopped {kept}, at the earliest after {several(rule.min_steps, 'level')}."


def _fitted(settings: WritingSettings) -> list[str]:
    chosen = [model for model in settings.models if _selected(model)]
    texts = []
    if chosen:
        texts.append(
            f"Which weights were kept was chosen there for {listed(plain(m.title) for m in chosen)}."
        )
    if not settings.score.validation:
        texts.append("No probability and no threshold was fitted.")
        if settings.has("tables/comparison") and settings.baselines:
            texts.append(
                "The best baseline, with which diffusion models are compared, was chosen on the test images."
            )
        return [" ".join(texts)]
    more = any(len(dataset.classes) > 2 for dataset in settings.datasets)
    two = any(len(dataset.classes) == 2 for dataset in settings.datasets)
    ways = ["one slope and one offset a class for diffusion models"]
    ways[0] += " [@platt1999]" if two and not more else " [@platt1999; @alexandari2020]"
    texts += [
        f"Calibrated probabilities have {ways[0]}, and one temperature for the others [@guo2017]. They were "
        "fitted on the validation split, of which no image trained a model."
    ]
    if settings.prevalence:
        texts.append(
            "They were moved to another prevalence by the ratio of class frequencies [@saerens2002]."
        )
    if settings.has("tables/operating_point"):
        point = settings.evaluate.operating_point
        how = "the largest sum of sensitivity and specificity [@youden1950]"
        texts.append(
            "The threshold of the operating point was chosen there for "
            f"{how if point == 'youden' else str(point)}."
        )
    if settings.has("tables/triage"):
        promised = settings.evaluate.triage
        aims = f"a PPV of {percent(promised.ppv)} and an NPV of {percent(promised.npv)}"
        if more:
            aims += f" (two classes) or a coverage of {percent(promised.coverage)} of each class (more)"
        texts.append(
            "Which images are decided without a person was learned there by exact tests "
            f"[@angelopoulos2021], for {aims}, with a confidence of {percent(promised.confidence)}."
        )
    if settings.has("tables/comparison") and settings.baselines:
        texts.append("The best baseline, with which diffusion models are compared, was chosen there.")
    return [" ".join(texts)]


def _selected(model: WrittenModel) -> bool:
    """Whether the kept weights of a model are those that were best on the validation split."""
    trains = [config.get("train") or {} for config in model.configs.values()]
    return any(train.get("select") == "best_f1" for train in trains)


def _unlike(settings: WritingSettings) -> list[str]:
    if (shifts := settings.shifts) is None:
        return []
    kinds = shifts.kinds_for(settings.only_phantoms, len(settings.datasets) - 1)
    return [
        "Scores of how unlike the training data an image is have the 95 % quantile of the validation images "
        f"as their zero. They were tried on {several(shifts.images, 'image')} of each of "
        f"{several(len(kinds), 'kind')} a dataset: {listed(kind.replace('_', ' ') for kind in kinds)}."
    ]


def _software(settings: WritingSettings, facts: Facts) -> str:
    cites = {"torch": "paszke2019", "timm": "wightman2019", "diffusers": "vonplaten2022"}
    versions = [
        f"{name} {' and '.join(found)}" + (f" [@{cites[name]}]" if name in cites else "")
        for name, found in facts.versions().items()
    ]
    text = "Everything was run by the workflow meddiff with Snakemake [@molder2021]."
    if versions:
        text += f" Models were trained with {listed(versions)}."
    preset = {
        "fixed": "Known faults of the published code are corrected (preset fixed).",
        "official": "Known faults of the published code are kept (preset official).",
    }
    return f"{text} {preset[settings.preset]}"
