"""What the results do not show: generated images, few of them, leaks, shortcuts, and what was not tried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from meddiff.reporting.summary.found import datasets_of, shown_name
from meddiff.reporting.summary.leaks import shared
from meddiff.reporting.summary.words import counted, listed, named, percent, say

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.given import Given

FEW_IMAGES, FEW_OF_A_CLASS = 200, 10
FOLLOWS = "follows the cue"


def limits(given: Given) -> list[Markup]:
    """Sentences about what must not be concluded; only those that hold here."""
    found = [
        *_phantoms(given),
        *_few_images(given),
        *_trainings(given),
        *_leaks(given),
        *_audit(given),
        *_compared(given),
        *_made_how(given),
    ]
    return found


def _phantoms(given: Given) -> list[Markup]:
    titles = [dataset.title for dataset in given.settings.datasets if dataset.phantom]
    if not titles:
        return []
    return [
        say(
            "The images of {names} are generated: they show that the parts work, and nothing about medicine.",
            names=listed(titles),
        )
    ]


def _few_images(given: Given) -> list[Markup]:
    table = given.table("tables/classification")
    if table is None:
        return []
    found = []
    accuracy = table[(table["metric"] == "accuracy") & (table["n"] < FEW_IMAGES)]
    for dataset in datasets_of(given):
        rows = accuracy[accuracy["dataset"] == dataset]
        if rows.empty:
            continue
        width = ((rows["ci_high"] - rows["ci_low"]) / 2).max()
        images = int(rows["n"].iloc[0])
        known = f": accuracies are known to about ±{width:.0f} points at worst" if width == width else ""
        found.append(
            say(
                "{title} has {images} only{known}.",
                title=named(given.settings.dataset_title(dataset)),
                images=counted(images, "test image"),
                known=known,
            )
        )
    return found + _few_of_a_class(given)


def _few_of_a_class(given: Given) -> list[Markup]:
    people = given.table("tables/participants")
    if people is None:
        return []
    rows = people[(people["split"] == "test") & (people["what"] == "class")]
    rows = rows[rows["images"] < FEW_OF_A_CLASS]
    if rows.empty:
        return []
    shown = [
        say(
            "{level} ({title}, {images})",
            level=named(row.level),
            title=named(given.settings.dataset_title(row.dataset)),
            images=int(row.images),
        )
        for row in rows.itertuples()
    ]
    return [
        say(
            "Classes with fewer than {few} test images, which tell little of them: {classes}.",
            few=FEW_OF_A_CLASS,
            classes=Markup(", ").join(shown),
        )
    ]


def _trainings(given: Given) -> list[Markup]:
    runs = given.settings.runs
    if given.settings.released or not runs or len({run.seed for run in runs}) > 1:
        return []
    who = "Each model was" if len(runs) > 1 else "The model was"
    return [
        say(
            "{who} trained once, with one seed: how far another training would differ is in no interval.",
            who=who,
        )
    ]


def _leaks(given: Given) -> list[Markup]:
    table = given.table("tables/leaks")
    if table is None:
        return []
    found = []
    for dataset, here in shared(table).items():
        if here.empty:
            continue
        parts = ", ".join(
            f"{round(row.value * row.n):,} of {int(row.n):,} share {row.part} with {row.other_split}"
            for row in here.itertuples()
        )
        found.append(
            say(
                "Test images of {title} are not all new to its models: {parts}.",
                title=named(given.settings.dataset_title(dataset)),
                parts=parts,
            )
        )
    return found


def _audit(given: Given) -> list[Markup]:
    table = given.table("tables/audit")
    if table is None:
        return [
            Markup(
                "Whether models take a shortcut (the device, the archive, the view) was not audited: no "
                "dataset names what could give the label away."
            )
        ]
    found = []
    gaps = table[table["metric"] == "cue_gap"]
    for dataset in dict.fromkeys(gaps["dataset"]):
        here = gaps[gaps["dataset"] == dataset]
        followers = here[here["verdict"] == FOLLOWS]
        names = Markup(", ").join(
            shown_name(given, row.model, row.decision) for row in followers.itertuples()
        )
        title = named(given.settings.dataset_title(dataset))
        if len(followers):
            found.append(
                say(
                    "On {title}, {n} of {all} follow a cue that is no sign of the class: {names}.",
                    title=title,
                    n=len(followers),
                    all=counted(len(here), "classifier"),
                    names=names,
                )
            )
        else:
            found.append(say("On {title} no classifier was shown to follow the audited cue.", title=title))
    return found + _rule(given, table)


def _rule(given: Given, table: pd.DataFrame) -> list[Markup]:
    """What is reached without looking at the image."""
    rows = table[(table["model"] == "(rule)") & (table["split"] == "test") & (table["metric"] == "accuracy")]
    rows = rows[rows["stratum"] == "all"]
    return [
        say(
            "Where an image comes from alone gives the class of {accuracy} of the test images of {title}.",
            accuracy=percent(100 * row.value),
            title=named(given.settings.dataset_title(row.dataset)),
        )
        for row in rows.dropna(subset=["value"]).itertuples()
    ]


def _compared(given: Given) -> list[Markup]:
    table, found = given.table("tables/comparison"), []
    if table is None:
        return []
    missing = [name for name in datasets_of(given) if name not in set(table["dataset"])]
    if missing:
        titles = [given.settings.dataset_title(name) for name in missing]
        found.append(
            say(
                "On {names} nothing is compared: there are not both diffusion classifiers and baselines.",
                names=listed(titles),
            )
        )
    if "chosen_on" in table and (table["chosen_on"] == "test").any():
        found.append(
            Markup(
                "The best baseline is chosen on the test images themselves, since the validation split is "
                "not scored. That favours the baseline."
            )
        )
    if len(table) > 1:
        found.append(
            Markup(
                "That one of several classifiers is the most accurate on these test images is partly luck: "
                "its value is a little too high."
            )
        )
    return found


def _made_how(given: Given) -> list[Markup]:
    settings, found = given.settings, []
    if not given.has("tables/calibration"):
        found.append(
            Markup(
                "Probabilities are not calibrated, and there is no threshold to act on: both need the "
                "validation split, which is not scored here."
            )
        )
    if settings.released:
        found.append(Markup("The weights are those that the authors released; nothing was trained here."))
    if settings.preset == "official":
        found.append(Markup("Everything is done as the published code does it, known faults included."))
    return found
