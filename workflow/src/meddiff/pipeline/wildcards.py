"""The wildcards of Snakemake's jobs: the values that they have, and patterns of those that they may have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

from meddiff.runs import ScoringRun, TrainedRun

ELSEWHERE = "/tested_on/"  # and the name of a dataset, in the wildcard ``elsewhere``, which may be empty
ANY_ELSEWHERE = rf"{ELSEWHERE}\w+"


class Wildcards(Protocol):
    """The wildcards of a job, text from its file names.

    A job has those of its rule only. Each method that is given some reads those that its rule has.
    """

    dataset: str
    model: str
    seed: str
    elsewhere: str
    votes: str
    decision: str
    further: str
    split: str
    decided: str
    pretrained: str
    release: str


def trained_run(wildcards: Wildcards) -> TrainedRun:
    """The trained model that a job is about."""
    return TrainedRun(dataset=wildcards.dataset, model=wildcards.model, seed=int(wildcards.seed))


def scoring_run(wildcards: Wildcards) -> ScoringRun:
    """What a job scores or decides."""
    votes, elsewhere = (getattr(wildcards, name, "") for name in ("votes", "elsewhere"))
    return ScoringRun(
        **trained_run(wildcards).model_dump(),
        votes=int(votes) if votes else None,
        tested_on=elsewhere.removeprefix(ELSEWHERE) or None,
    )


def one_of(names: Iterable[str]) -> str:
    """A pattern that fits each of `names` and nothing else; where there are none, it fits nothing."""
    return "|".join(map(re.escape, names)) or "(?!)"
