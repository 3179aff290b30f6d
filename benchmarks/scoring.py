"""Scoring against the plain procedure: the same trained weights, images and noise, wall-clock.

Both are given a loaded network, ours as the workflow's default settings load it. The plain procedure
(`reference.classify`) starts from image files; meddiff's scoring starts from the store, which the workflow
fills once for training and everything else. Building it is reported beside.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import torch

import reference
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.data.decoding.images import decode
from meddiff.data.decoding.pixels import resize
from meddiff.data.stores.store import Store
from meddiff.diffusion import vote
from meddiff.diffusion.step_order import in_order, spread_order
from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.models.trained import load_model
from meddiff.scoring.batch_size import automatic_batch_size
from meddiff.scoring.passes import Passes
from meddiff.scoring.score import Scores, score
from meddiff.scoring.settings import ScoringSettings
from separate import SeparateProcess

STEPS, SEED = 501, 0
PAPER_BATCH = 128  # images at once in the paper's scripts
DELTAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
MIN_STEPS = (1, 16, 32, 64, 128)
LEAST_AGREEMENT, LARGEST_AURC_DELTA = 0.995, 0.005


@dataclass(frozen=True)
class Trained:
    """A trained diffusion classifier and the test images it is asked about.

    Attributes:
        weights, store: folders of the workflow.
        root: folder of the image files.
        split: ``test.csv``.
    """

    weights: Path
    store: Path
    root: Path
    split: Path


def measure(trained: Trained, runs: int = 3) -> dict[str, Any]:
    """Time the plain procedure, exact and sequential stopping on all test images, in turn, `runs` times.

    The sequential rule runs with the delta and the least number of steps that take the fewest steps, of those
    whose decisions are those of all steps on at least 99.5 % of the whole split and whose AURC is within
    0.005 of theirs, found from the errors of all steps.
    """
    denoiser, _ = load_model(trained.weights, torch.device("cpu"))
    store = Store.open(trained.store, "test")
    table = pd.read_csv(trained.split, dtype={"image_id": str})
    files = dict(zip(table["image_id"], (trained.root / path for path in table["path"]), strict=True))
    paths = [files[name] for name in store.image_ids]
    started = time.perf_counter()
    scores = _scores(denoiser, store)
    full = scores.errors
    seconds: dict[str, list[float]] = {"all_steps": [time.perf_counter() - started]}
    spread = spread_order(scores.logsnr, SEED, store.image_ids)
    majority, replayed = vote.majority(full), _replayed(full, store.labels, spread)
    chosen = _chosen(replayed)
    exact, sequential = StoppingConfig(kind="exact"), _sequential(chosen["delta"], chosen["min_steps"])
    seconds |= {"plain": [], "exact": [], "sequential": []}
    decided: list[np.ndarray] = []

    def timed(name: str, stopping: StoppingConfig) -> np.ndarray:
        started = time.perf_counter()
        result = _stopped(denoiser, store, stopping)
        seconds[name].append(time.perf_counter() - started)
        return result

    with SeparateProcess(torch.get_num_threads()) as elsewhere:
        asked = (paths, list(store.image_ids), SEED, STEPS, PAPER_BATCH)
        for _ in range(runs):
            taken, plain = elsewhere(reference.timed, trained.weights, *asked)
            seconds["plain"].append(taken)
            decided += [plain, vote.majority(timed("exact", exact))]
            last = vote.tally(timed("sequential", sequential))
    return {
        "images": len(store),
        "steps": STEPS,
        "threads": torch.get_num_threads(),
        "seconds": seconds,
        "store_seconds": _store_seconds(paths, store),
        "accuracy": float((plain == store.labels).mean()),
        "exact_speedup": _ratios(seconds["plain"], seconds["exact"]),
        "exact_identical": all(np.array_equal(plain, decisions) for decisions in decided),
        "exact_steps": float(stopping_steps(full, make_rule(exact, STEPS, store.num_classes)).mean()),
        "all_steps_speedup": [median(seconds["plain"]) / seconds["all_steps"][0]],
        "all_steps_identical": bool(np.array_equal(plain, majority)),
        "order": sequential.order,
        "delta": sequential.delta,
        "min_steps": sequential.min_steps,
        "replayed": replayed,
        "sequential_speedup": _ratios(seconds["plain"], seconds["sequential"]),
        "sequential_steps": float(last.steps.mean()),
        "sequential_agreement": float((last.majority() == plain).mean()),
        "sequential_aurc_delta": _aurc(last, store.labels) - _aurc(vote.tally(full), store.labels),
    }


def _stopped(denoiser: torch.nn.Module, store: Store, stopping: StoppingConfig) -> np.ndarray:
    """Errors [I, S, K], NaN for the steps that come after an image stopped."""
    rule = make_rule(stopping, STEPS, store.num_classes)
    scores = _scores(denoiser, store, stopping=rule, order=stopping.order)
    used = stopping_steps(in_order(scores.errors, scores.order), rule)
    return cut(scores.errors, used, scores.order)


def _scores(denoiser: torch.nn.Module, store: Store, **settings: Any) -> Scores:
    """What `score` returns, with as many inputs a pass as the workflow gives it."""
    inputs = automatic_batch_size(denoiser, store.images.shape[1:], "fp32")
    wanted = ScoringSettings(SEED, STEPS, **settings)
    return score(Passes(denoiser, inputs), store.images, store.image_ids, wanted)


def _sequential(delta: float, min_steps: int, order: str = "spread") -> StoppingConfig:
    return StoppingConfig(kind="sequential", delta=delta, min_steps=min_steps, order=order)


def _replayed(full: np.ndarray, labels: np.ndarray, spread: np.ndarray) -> list[dict[str, Any]]:
    """What the sequential rule does with the errors of all steps, for all its settings."""
    all_steps, found = vote.tally(full), []
    for order, min_steps, delta in product(("drawn", "spread"), MIN_STEPS, DELTAS):
        config = _sequential(delta, min_steps, order)
        steps = spread if order == "spread" else None
        used = stopping_steps(in_order(full, steps), make_rule(config, *full.shape[1:]))
        tally = vote.tally(cut(full, used, steps))
        agreement = float((tally.majority() == all_steps.majority()).mean())
        aurc_delta = _aurc(tally, labels) - _aurc(all_steps, labels)
        results = {"steps": float(used.mean()), "agreement": agreement, "aurc_delta": aurc_delta}
        found.append({"order": order, "min_steps": min_steps, "delta": delta, **results})
    return found


def _chosen(replayed: list[dict[str, Any]]) -> dict[str, Any]:
    """The setting with the fewest steps that decides and ranks as is aimed at; else the one nearest to that.

    Only those in spread order are asked: it needs fewer steps for the same agreement.
    """
    rows = [row for row in replayed if row["order"] == "spread"]
    enough = [row for row in rows if row["agreement"] >= LEAST_AGREEMENT] or [
        max(rows, key=lambda row: row["agreement"])
    ]
    near = [row for row in enough if abs(row["aurc_delta"]) <= LARGEST_AURC_DELTA] or [
        min(enough, key=lambda row: abs(row["aurc_delta"]))
    ]
    return min(near, key=lambda row: row["steps"])


def _aurc(tally: vote.Tally, labels: np.ndarray) -> float:
    ranking = Ranking(tally.vote_entropy(STEPS), tally.majority() != labels)
    return float(ranking.mean_risk(np.ones((1, len(labels)), dtype=np.int64))[0])


def _ratios(plain: list[float], ours: list[float]) -> list[float]:
    return [a / b for a, b in zip(plain, ours, strict=True)]


def _store_seconds(paths: list[Path], store: Store) -> float:
    """Time to decode and resize the images once, which the workflow does before all else."""
    started = time.perf_counter()
    for path in paths:
        resize(decode(path, store.images.shape[3]), store.images.shape[1])
    return time.perf_counter() - started


def main() -> None:
    """Print what `measure` returns."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, what in (
        ("weights", "folder of the trained weights"),
        ("store", "folder of the store"),
        ("root", "folder of the image files"),
        ("split", "test.csv"),
    ):
        parser.add_argument(name, type=Path, help=what)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    trained = Trained(args.weights, args.store, args.root, args.split)
    print(json.dumps(measure(trained, args.runs), indent=1))


if __name__ == "__main__":
    main()
