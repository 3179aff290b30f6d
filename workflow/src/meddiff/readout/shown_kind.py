"""Which uncertainty is shown with a decision where there is room for one."""

from __future__ import annotations

from collections.abc import Collection

_OWN = {"majority": "vote_entropy", "mean": "softmax_entropy", "softmax": "softmax_entropy"}


def shown_kind(decision: str, kinds: Collection[str]) -> str:
    """The kind of uncertainty, one of `kinds`, that goes with a decision rule; of other rules the first."""
    own = _OWN.get(decision, "")
    return own if own in kinds else next(iter(kinds))
