"""Tables and figures of an experiment that never ran, as small as the report's page can be tried with."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from meddiff.artifacts.render import Block, Cell, Column, Grid, to_markdown
from meddiff.reporting.given import Given
from meddiff.reporting.settings import ReportSettings

DATASET, DIFFUSION, BASELINE = "chest", "unet", "resnet"
TITLES = {DATASET: "Chest", DIFFUSION: "UNet", BASELINE: "ResNet"}
FAMILIES = {DIFFUSION: "diffusion", BASELINE: "cnn"}


def rows_of_accuracy(
    model: str, decision: str, value: float, low: float, high: float, n: int = 120
) -> dict[str, Any]:
    """A row of the table of classification."""
    shown = {"dataset": DATASET, "family": FAMILIES[model], "model": model, "decision": decision}
    none = dict.fromkeys(("published", "difference", "difference_ci_low", "difference_ci_high"), "nan")
    return {**shown, "metric": "accuracy", "value": value, "ci_low": low, "ci_high": high, "n": n, **none}


def comparison(
    difference: float, low: float, high: float, p: float, chosen_on: str = "validation"
) -> dict[str, Any]:
    """A row of the table of comparisons."""
    who = {"dataset": DATASET, "model": DIFFUSION, "decision": "majority", "seed": 0, "baseline": BASELINE}
    numbers = {
        "baseline_accuracy": 80.0,
        "difference": difference,
        "ci_low": low,
        "ci_high": high,
        "p_holm": p,
    }
    return {**who, "chosen_on": chosen_on, **numbers}


def participants(classes: Sequence[str], test: Sequence[int]) -> list[dict[str, Any]]:
    """Rows of the table of participants: test images of each class, and ten times as many to train."""
    rows = []
    for split, times in (("train", 10), ("valid", 1), ("test", 1)):
        shown = {"dataset": DATASET, "split": split}
        for what in ("images", "groups"):
            rows.append({**shown, "what": what, "level": "", "images": times * sum(test)})
        for name, number in zip(classes, test, strict=True):
            rows.append({**shown, "what": "class", "level": name, "images": times * number})
    return rows


def sample(
    folder: Path,
    tables: dict[str, Sequence[dict[str, Any]]],
    *,
    classes: Sequence[str] = ("healthy", "ill"),
    models: Sequence[str] = (DIFFUSION, BASELINE),
    titles: dict[str, str] | None = None,
    phantom: bool = False,
) -> Given:
    """What the page is made from: `tables` (``tables/...`` or ``figures/...`` -> rows), in `folder`."""
    named, entries, files = {**TITLES, **(titles or {})}, [], {"csv": [], "shown": []}
    for stem, rows in tables.items():
        path = folder / f"{stem}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        shown = path.with_suffix(".md" if stem.startswith("tables") else ".png")
        if shown.suffix == ".md":
            columns = [Column(name) for name in rows[0]]
            cells = [[Cell(str(value)) for value in row.values()] for row in rows]
            shown.write_text(to_markdown(Grid("A caption.", stem, columns, [Block("", cells)])), "utf-8")
        else:
            Image.new("RGB", (4, 3)).save(shown)
        entries.append({"stem": stem, "name": stem, "part": "", "caption": f"What {stem} shows."})
        files["csv"].append(path)
        files["shown"].append(shown)
    settings = {
        "name": "tiny",
        "title": named.get("experiment", "A tiny experiment"),
        "preset": "fixed",
        "released": False,
        "confidence": 0.95,
        "results": str(folder),
        "datasets": [
            {
                **{"name": DATASET, "title": named[DATASET], "classes": list(classes), "phantom": phantom},
                "store": str(folder / "store"),
            }
        ],
        "models": [{"name": name, "title": named[name], "family": FAMILIES[name]} for name in models],
        "titles": {DATASET: named[DATASET]},
        "runs": [
            {"dataset": DATASET, "model": name, "seed": 0, "folder": str(folder / name)} for name in models
        ],
        "artifacts": entries,
        "configuration": {"experiment": {"title": named[DATASET]}, "datasets": {}},
    }
    return Given.of(ReportSettings.model_validate(settings), files)
