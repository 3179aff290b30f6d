"""What test images share with other splits, as `tables/leaks` says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from markupsafe import Markup

from meddiff.config.datasets.folds import whole

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.given import Given

ANYTHING = "anything of these"


def shared(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Dataset -> rows of `tables/leaks` on what test images share with another split; empty if nothing."""
    counts = table[(table["metric"] == "shared") & (table["split"] == "test") & (table["class"] == "all")]
    parts = counts[(counts["part"] != ANYTHING) & ~counts["other_split"].str.contains(" or ")]
    some = parts[parts["value"] > 0]
    return {name: some[some["dataset"] == name] for name in dict.fromkeys(counts["dataset"])}


def no_leaks(given: Given, dataset: str) -> Markup | None:
    """That nothing was found, where it was looked for; None otherwise."""
    table = given.table("tables/leaks")
    if table is None:
        return None
    # Folds are looked at one by one, and share their images among them.
    here = [rows for name, rows in shared(table).items() if dataset in (name, whole(name))]
    if not here or any(len(rows) for rows in here):
        return None
    return Markup(
        "Leaks were looked for: no test image was found to share pixels, looks or a known group with another "
        "split."
    )
