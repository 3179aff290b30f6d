"""What was asked: datasets, classes, numbers of images, and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from meddiff.config.datasets.folds import whole
from meddiff.reporting.summary.words import counted, listed, named, say

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.given import Given
    from meddiff.reporting.settings import ReportDataset

MOST_LISTED = 8
_SPLITS = {"train": "for training", "valid": "for validation", "test": "for the test"}


def asked(given: Given) -> list[Markup]:
    """Sentences about the question of an experiment."""
    settings = given.settings
    used = {run.model for run in settings.runs if run.dataset in {d.name for d in settings.datasets}}
    models = [model for model in settings.models if model.name in used]
    diffusion = [model.title for model in models if model.family == "diffusion"]
    baselines = [model.title for model in models if model.family != "diffusion"]
    kinds = []
    if diffusion:
        what = counted(len(diffusion), "diffusion classifier")
        kinds.append(say("{what} ({names})", what=what, names=listed(diffusion)))
    if baselines:
        what = counted(len(baselines), "ordinary classifier") + " as baseline" + "s" * (len(baselines) > 1)
        kinds.append(say("{what} ({names})", what=what, names=listed(baselines)))
    verb = "classifies" if len(models) == 1 else "classify"
    # Folds are of one dataset.
    datasets = counted(len({whole(dataset.name) for dataset in settings.datasets}), "dataset")
    found = [
        say(
            "The question is how well {kinds} {verb} images of {datasets}.",
            kinds=Markup(" and ").join(kinds),
            verb=verb,
            datasets=datasets,
        )
    ]
    people = given.table("tables/participants")
    for dataset in settings.datasets[:MOST_LISTED]:
        found.append(_of_dataset(dataset, people))
    if left := len(settings.datasets) - MOST_LISTED:
        found += [say("And {left} more, below.", left=left)] * (left > 0)
    return found


def _of_dataset(dataset: ReportDataset, people: pd.DataFrame | None) -> Markup:
    kind = "generated images" if dataset.phantom else "images"
    sentence = say(
        "{title}: {kind} of the classes {classes}.",
        title=named(dataset.title),
        kind=kind,
        classes=listed(dataset.classes),
    )
    if people is None:
        return sentence
    here = people[people["dataset"] == dataset.name]
    counts = []
    for split, words in _SPLITS.items():
        of_split = here[here["split"] == split].set_index(["what", "level"])["images"]
        images = of_split.get(("images", ""))
        if images is None:
            continue
        groups = of_split.get(("groups", ""), images)
        of = f" ({int(groups):,} patients or lesions)" if int(groups) != int(images) else ""
        counts.append(f"{int(images):,} {words}{of}")
    if not counts:
        return sentence
    return sentence + say(" Images: {counts}.", counts=", ".join(counts))
