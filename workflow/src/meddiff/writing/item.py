"""An item of a check list, and what answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from meddiff.config.schema.study import StudyConfig
from meddiff.writing.facts import Facts
from meddiff.writing.settings import WritingSettings

Status = Literal["run", "author", "open", "not_applicable"]
# How a statement of the authors begins that says that an item asks nothing here.
NOT_APPLICABLE = "not applicable"
# Text that answers, or None where the run does not know.
Answer = Callable[[WritingSettings, Facts], str | None]


@dataclass(frozen=True)
class Item:
    """One item.

    Attributes:
        number: in its list, such as ``12a``.
        section: of the list.
        asks: what is to be reported, in our words.
        study: keys of the experiment's ``study`` block that answer it; any of them is enough.
        answer: what the run says; without one only the author can answer.
        links: stems of tables and figures that show it, of which those that exist are linked, and sections of
            the report.
        needs_people: whether it asks nothing where all images are generated.
        why: why it asks nothing there.
        needs: says whether it applies; always where not given.
    """

    number: str
    section: str
    asks: str
    study: tuple[str, ...] = ()
    answer: Answer | None = None
    links: tuple[str, ...] = ()
    needs_people: bool = False
    why: str = "All images are generated: there are no people in them."
    needs: Callable[[WritingSettings], bool] = field(default=lambda settings: True)


@dataclass(frozen=True)
class Filled:
    """An item with its answer.

    Attributes:
        status: answered by the run, by the author's statement, still open, or not applicable.
        text: the answer, or who has to give it.
        links: anchors of the report.
    """

    number: str
    section: str
    asks: str
    status: Status
    text: str
    links: tuple[str, ...] = ()


def filled(item: Item, settings: WritingSettings, facts: Facts) -> Filled:
    """An item as far as the run and the author's statements answer it."""
    given = (item.number, item.section, item.asks)
    said = {key: text for key in item.study if (text := getattr(settings.study, key))}
    if item.needs_people and settings.only_phantoms and not said:
        return Filled(*given, "not_applicable", item.why)
    if not item.needs(settings) and not said:
        return Filled(*given, "not_applicable", "Nothing of the kind was done in this experiment.")
    text = item.answer(settings, facts) if item.answer else None
    sections = [link for link in item.links if "/" not in link]
    shown = [stem.replace("/", "-") for stem in settings.artifacts if _is_one(stem, item.links)]
    links = (*sections, *shown)
    if text is not None:
        return Filled(*given, "run", " ".join([text, *_labelled(said)]), links)
    if said:
        does_not_apply = all(one.casefold().startswith(NOT_APPLICABLE) for one in said.values())
        words = list(said.values()) if len(said) == 1 else _labelled(said)
        return Filled(*given, "not_applicable" if does_not_apply else "author", " ".join(words), links)
    if not item.study:
        return Filled(*given, "open", "To be said in the paper.", links)
    keys = " or ".join(item.study)
    return Filled(*given, "open", f"To be said by the authors, in study: {keys}.", links)


def _labelled(said: Mapping[str, str]) -> list[str]:
    """Statements that stand beside something else, each with what it is about."""
    return [f"{key.replace('_', ' ').capitalize()}: {text}" for key, text in said.items()]


def answered_share(items: list[Filled]) -> float:
    """The share of applicable items that the run or the author's statements answer, 0 to 1."""
    applicable = [item for item in items if item.status != "not_applicable"]
    answered = [item for item in applicable if item.status in ("run", "author")]
    return len(answered) / len(applicable) if applicable else 1.0


def study_keys() -> set[str]:
    """Keys of the ``study`` block."""
    return set(StudyConfig.model_fields)


def _is_one(stem: str, wanted: tuple[str, ...]) -> bool:
    return any(stem == one or stem.startswith(f"{one}_") for one in wanted)
