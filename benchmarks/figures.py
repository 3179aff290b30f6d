"""The figures to reach: where they come from, and what was aimed at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

Parts = dict[str, Any]
PHANTOM, REAL = "scoring_phantom", "scoring_real"
TINY = ("tiny_unet", "tiny_dit")


@dataclass(frozen=True)
class Figure:
    """One number of ``latest.json``.

    Attributes:
        name: its key.
        what: as in the table.
        target: in words; None where none was set.
        values: parts -> one value a run (a single one where it is no time); KeyError if a part is missing.
        value: of these values, the one that is reported.
        reached: of that value.
    """

    name: str
    what: str
    target: str | None
    values: Callable[[Parts], list[Any]]
    value: Callable[[list[Any]], Any]
    reached: Callable[[Any], bool]

    def entry(self, parts: Parts) -> dict[str, Any] | None:
        """value, min, max, runs, reached; None if a part it is made from was not run."""
        try:
            values = self.values(parts)
        except KeyError:
            return None
        value = self.value(values)
        return {
            "value": value,
            "min": min(values),
            "max": max(values),
            "runs": len(values),
            "target": self.target,
            "reached": self.reached(value),
        }


def _ratio(name: str, what: str, least: float, values: Callable[[Parts], list[float]]) -> Figure:
    return Figure(name, what, f"at least {least:g}x", values, median, lambda value: value >= least)


def _speedup(name: str, part: str, rule: str, what: str, least: float) -> Figure:
    """Of scoring with a stopping rule against the plain procedure."""
    return _ratio(name, what, least, lambda parts: parts[part][f"{rule}_speedup"])


def _largest(values: list[float]) -> float:
    return max(values, key=abs)


FIGURES = (
    _speedup(
        "exact_speedup_phantom",
        PHANTOM,
        "exact",
        "exact stopping against the plain procedure, chest phantom",
        2.0,
    ),
    _speedup(
        "exact_speedup_real",
        REAL,
        "exact",
        "exact stopping against the plain procedure, chest X-rays",
        1.7,
    ),
    Figure(
        "exact_identical",
        "decisions of exact stopping are those of the plain procedure, on every image of both",
        "true",
        lambda parts: [parts[name]["exact_identical"] for name in (PHANTOM, REAL)],
        all,
        bool,
    ),
    _speedup(
        "sequential_speedup_phantom",
        PHANTOM,
        "sequential",
        "sequential stopping against the plain procedure, chest phantom",
        20.0,
    ),
    _speedup(
        "sequential_speedup_real",
        REAL,
        "sequential",
        "sequential stopping against the plain procedure, chest X-rays",
        10.0,
    ),
    Figure(
        "sequential_agreement",
        "share of images that sequential stopping decides as all steps do (the lower of both)",
        "at least 0.995",
        lambda parts: [parts[name]["sequential_agreement"] for name in (PHANTOM, REAL)],
        min,
        lambda value: value >= 0.995,
    ),
    Figure(
        "sequential_aurc_delta",
        "AURC of sequential stopping minus that of all steps (the larger of both)",
        "within 0.005",
        lambda parts: [parts[name]["sequential_aurc_delta"] for name in (PHANTOM, REAL)],
        _largest,
        lambda value: abs(value) <= 0.005,
    ),
    _ratio(
        "loader_ratio",
        "images per second, store and Haar in batches against decoding and PyWavelets an image, 256 px",
        20.0,
        lambda parts: parts["loader"]["ratio"]["runs"],
    ),
    _ratio(
        "train_step_ratio",
        "training step with its data against the plain loop, chest X-rays to 32 px",
        1.25,
        lambda parts: parts["training"]["train_step_ratio"]["runs"],
    ),
    Figure(
        "evidence_added",
        "time that evidence maps add to scoring, tiny networks at 32 px (the larger of UNet and DiT)",
        "at most 0.03",
        lambda parts: [max(run) for run in zip(*(parts["evidence"][n]["added"] for n in TINY), strict=True)],
        median,
        lambda value: value <= 0.03,
    ),
    _ratio(
        "store_ratio",
        "images per second, JPEG of 1,024 px to a store of 256 px, decoded in part, against Pillow in a loop",
        1.25,
        lambda parts: parts["store"]["ratio"]["runs"],
    ),
    _ratio(
        "store_share",
        "the same against JPEG's decoder alone, or 2,000 a second where it is faster",
        0.75,
        lambda parts: parts["store"]["share"]["runs"],
    ),
    Figure(
        "memory_ratio",
        "peak memory of scoring 20,000 images against 1,000",
        "at most 1.1x",
        lambda parts: [parts["memory"]["ratio"]],
        median,
        lambda value: value <= 1.1,
    ),
)
