"""What speaks for and against a decision, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from meddiff.cases.steps import Votes
from meddiff.text import one_line

# Unicode's marks around what may run in another direction (first strong isolate, pop directional isolate).
_ISOLATE, _POP = "\u2068", "\u2069"
_AT_NOISE = ("where there is most noise", "at middle noise", "where there is least noise")
_FEW_STEPS = 9  # fewer steps make no thirds
_CLOSE = 0.6


def named(name: str) -> str:
    """A class as it stands in a sentence: on one line, and isolated from the direction of the text around."""
    return f"{_ISOLATE}{one_line(name)}{_POP}"


def sentences(votes: Votes, names: Sequence[str]) -> list[str]:
    """What the steps say about one image: the votes, the noise levels, mean errors, and when it was certain.

    Args:
        votes: of the image.
        names: K classes.
    """
    best, rival = (named(names[k]) for k in (votes.best, votes.rival))
    own, other = votes.counts[votes.best], votes.counts[votes.rival]
    close = " A close vote." if own < _CLOSE * votes.used else ""
    if own == other:
        close = " Equal votes: the lower mean error decides."
    said = [
        f"{_count(own)} of {votes.used} noised versions speak for {best}, {_count(other)} for {rival}.{close}"
    ]
    if votes.used >= _FEW_STEPS:
        said.append(_levels(votes, names))
    better = int(np.argmin(votes.means))
    if better != votes.best:
        said.append(f"Yet averaged over all noise levels {named(names[better])} has the smaller error.")
    certain = votes.shown["certain"]
    if votes.used < votes.shown["total"]:
        total = votes.shown["total"]
        said.append(f"It stopped after {votes.used} of {total} steps: the outcome was clear enough.")
    elif certain is not None and certain < votes.used:
        said.append(f"After {certain} of {votes.used} steps no other class could win any more.")
    elif certain is not None and votes.used > 1:
        said.append("The outcome was open until the last step.")
    return said


def _levels(votes: Votes, names: Sequence[str]) -> str:
    """Which class leads in each third of the noise levels."""
    leaders = []
    for band in votes.bands:
        first = np.flatnonzero(band == band.max())
        leaders.append(int(first[0]) if len(first) == 1 else None)
    if None not in leaders and len(set(leaders)) == 1:
        return f"All noise levels agree: most votes are for {named(names[leaders[0]])} at each of them."
    parts = [
        f"{words} {'votes are divided' if k is None else f'most votes are for {named(names[k])}'}"
        for words, k in zip(_AT_NOISE, leaders, strict=True)
    ]
    shapes = "Much noise leaves coarse shapes, little leaves detail."
    return f"Noise levels disagree: {'; '.join(parts)}. ({shapes})"


def _count(votes: float) -> str:
    return f"{votes:.4g}"
