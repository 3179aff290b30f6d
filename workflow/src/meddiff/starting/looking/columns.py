"""What the columns of a table are likely to be, by their names and cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

import pandas as pd

PARTS = {
    "train": {"train", "training", "train_val", "trainval", "tr"},
    "valid": {"valid", "val", "validation", "validate", "dev"},
    "test": {"test", "testing", "test_v2", "holdout", "te"},
}
_AGE = re.compile(r"(patient_?)?age(_(approx|years?|at_.*))?")
_SEX = re.compile(r"(patient_?)?(sex|gender)")
_VIEW = re.compile(r"view(_?position)?|projection|ap_pa")
_GROUP = re.compile(r".*(patient|subject|person|participant|lesion|individual|case_?id|mrn|^pid$).*")
_STUDY = re.compile(r".*(study|exam|series).*(id|uid|no|number)?")
# Columns that say something about an image but not what is to be told apart.
_ELSE = re.compile(
    r".*(site|anatom|locali[sz]ation|body_?part|position|view|projection|dataset|source|device|camera|manufact|"
    r"modality|version|fold|width|height|spacing|pixel|size|laterality|quality|confirm|year|date|time|race|"
    r"ethnic|country|hospital|table|boxes|frontal|lateral|folder|dir$|type$|_id$|^id$|follow_up).*"
)
_SAMPLE = 400


def plain(name: str) -> str:
    """A column's name in lower case, with underscores for all else: ``Patient ID`` -> ``patient_id``."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.sub(r"[\W_]+", "_", split).strip("_").lower()


def participant(name: str) -> str | None:
    """``age``, ``sex`` or ``view``, where a column is called like that."""
    word = plain(name)
    for what, pattern in (("age", _AGE), ("sex", _SEX), ("view", _VIEW)):
        if pattern.fullmatch(word):
            return what
    return None


def is_view(name: str) -> bool:
    """Whether a column is called like one that says from where an image is taken."""
    return participant(name) == "view" or bool(re.fullmatch(r"frontal_lateral|frontal", plain(name)))


def is_group(name: str) -> bool:
    """Whether a column is called like one that names a patient or a lesion."""
    return (
        bool(_GROUP.fullmatch(plain(name))) and participant(name) is None and not _ELSE.fullmatch(_rest(name))
    )


def is_study(name: str) -> bool:
    """Whether a column is called like one that names an examination."""
    return bool(_STUDY.fullmatch(plain(name)))


def is_else(name: str) -> bool:
    """Whether a column is called like one that labels nothing that is to be learned."""
    return bool(_ELSE.fullmatch(plain(name))) or participant(name) is not None or is_study(name)


def part_of(cell: str) -> str | None:
    """``train``, ``valid`` or ``test``, where a word means one of them."""
    word = plain(cell)
    return next((part for part, words in PARTS.items() if word in words), None)


def is_split(cells: pd.Series) -> bool:
    """Whether cells say which split a row is of: most are words for at least two of train, valid and test."""
    counts = cells[cells != ""].value_counts()
    if len(counts) > 10 or not len(counts):
        return False
    known = {cell: part_of(cell) for cell in counts.index}
    named = sum(number for cell, number in counts.items() if known[cell])
    return len({part for part in known.values() if part}) > 1 and named > 0.5 * counts.sum()


def image_column(cells: pd.DataFrame, images: Sequence[str]) -> tuple[str | None, float]:
    """The column whose cells are names of files, and the share of its cells that are.

    Args:
        cells: a table.
        images: paths of the files there are.
    """
    names = {PurePosixPath(path).name for path in images}
    known = names | {name.rsplit(".", 1)[0] for name in names}
    best: tuple[float, float, str] | None = None
    for column in cells:
        filled = cells[column][cells[column] != ""]
        if filled.empty:
            continue
        seen = spread(list(filled.unique()), _SAMPLE)
        share = sum(_base(cell) in known for cell in seen) / len(seen)
        rank = (share, filled.nunique() / len(filled), column)
        if share > 0 and (best is None or rank[:2] > best[:2]):
            best = rank
    return (None, 0.0) if best is None else (best[2], best[0])


def spread(items: Sequence, number: int) -> list:
    """`number` of the items (or all), evenly from the first to the last."""
    if len(items) <= number:
        return list(items)
    return [items[i * len(items) // number] for i in range(number)]


def described(cells: pd.DataFrame, names: Iterable[str] | None = None) -> list[str]:
    """A line for each column: how many values it has, and the most frequent ones."""
    lines = []
    for name in cells if names is None else names:
        counts = cells[name].value_counts()
        if len(counts) > 0.5 * len(cells) and len(counts) > 10:
            shown = f"such as {shorten(str(counts.index[0]))}"
        else:
            shown = ", ".join(f"{shorten(str(cell)) or 'blank'} {n:,}" for cell, n in counts.head(8).items())
        lines.append(f"{name}: {len(counts):,} value{'s' * (len(counts) != 1)} ({shown})")
    return lines


def shorten(text: str) -> str:
    """At most forty characters of a cell."""
    return text if len(text) <= 40 else text[:37] + "..."


def _base(cell: str) -> str:
    return PurePosixPath(cell.replace("\\", "/")).name


def _rest(name: str) -> str:
    """The name without what makes it a group's: of `patient_id` nothing is left that is something else."""
    return re.sub(
        r"_?(patient|subject|person|participant|lesion|individual|case|mrn|id|pid)_?", "", plain(name)
    )
