"""The table of what splits share, with metrics of the test images that share nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from meddiff.artifacts.tables.leaks import Settings, make
from meddiff.cli import main
from meddiff.data.leaks.pairs import find_pairs
from meddiff.data.leaks.shares import count_shared
from meddiff.data.tables import write_csv
from meddiff.evaluate.metrics.catalogue import point_metrics
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import write_predictions

LEAKING = 12  # of 40 test images, all of class 1, and all decided rightly
LABEL = np.arange(40) % 2
RIGHT = (np.arange(40) % 4 < 2) | ((LABEL == 1) & (np.arange(40) < 2 * LEAKING))
PARAMS: dict[str, Any] = {
    "datasets": [
        {"name": "skin", "title": "Skin", "classes": ["benign", "melanoma"]},
        {"name": "chest", "title": "Chest", "classes": ["healthy", "sick"]},
    ],
    "models": [{"name": "vit", "title": "ViT", "family": "transformer"}],
    "runs": [
        {"dataset": name, "model": "vit", "seed": seed, "decision": "softmax"}
        for name in ("skin", "chest")
        for seed in (0, 1)
    ],
    **{"bootstrap_samples": 50, "confidence": 0.9, "bootstrap_seed": 0},
}


def write_leaks(folder: Path, leaking: int) -> tuple[Path, Path]:
    """What `leaks` writes where so many test images of class 1 have a lesion that trains."""
    ids = [f"i{i:02d}" for i in range(40)]
    splits = {
        "train": pd.DataFrame({"image_id": ["a", "b"], "label": [0, 1]}),
        "valid": pd.DataFrame({"image_id": ["c", "d"], "label": [0, 1]}),
        "test": pd.DataFrame({"image_id": ids, "label": LABEL}),
    }
    images = pd.concat(splits.values())["image_id"]
    looks = [np.random.default_rng(i).bytes(32).hex() for i in range(len(images))]
    known = pd.Series(None, index=images, dtype=object)
    known["b"] = known["i00"] = "x"  # of class 0 the lesion of one is known
    known["i00"] = "y"
    known[ids[1 : 2 * leaking : 2]] = "x"
    groups = known.to_frame("lesion")
    pairs = find_pairs(splits, pd.DataFrame({"image_id": images, "pixels": images, "look": looks}), groups)
    paths = folder / f"leaks{leaking}.csv", folder / f"shared{leaking}.csv"
    write_csv(pairs, paths[0])
    write_csv(
        count_shared(pairs, splits, ["first", "second"] if not leaking else ["benign", "melanoma"], groups),
        paths[1],
    )
    return paths


def predicted() -> pd.DataFrame:
    ids = [f"i{i:02d}" for i in range(40)]
    p = np.where(LABEL == RIGHT, 0.8, 0.3)
    return from_probabilities(ids, ids, LABEL, np.stack([1 - p, p], axis=1))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[Path]]:
    write_predictions(predicted(), tmp_path / "p.csv")
    pairs = [write_leaks(tmp_path, leaking) for leaking in (LEAKING, 0)]
    leaks, shared = map(list, zip(*pairs, strict=True))
    return {"predictions": [tmp_path / "p.csv"] * 4, "leaks": leaks, "shared": shared}


def test_parts_are_measured_beside_the_whole(files: dict[str, list[Path]]) -> None:
    table, _ = make(Settings(**PARAMS), files)
    whole = predicted()
    leaks = whole["image_id"].isin([f"i{i:02d}" for i in range(1, 2 * LEAKING, 2)])
    found = table[table["metric"] != "shared"].set_index(["dataset", "part", "metric"])
    for part, among in (("all", leaks | True), ("clean", ~leaks), ("leaking", leaks)):
        expected = point_metrics(whole[among], vote_shares=False)
        for metric in ("accuracy", "balanced_accuracy", "auroc"):
            row = found.loc[("skin", part, metric)]
            assert row["value"] == pytest.approx(expected[metric], nan_ok=True)
            assert row["n"] == among.sum() and row["seeds"] == 2
            assert np.isnan(row["value"]) or row["ci_low"] <= row["value"] <= row["ci_high"]
    assert found.loc[("skin", "leaking", "accuracy"), "value"] == 1
    assert found.loc[("skin", "leaking", "accuracy"), "n_by_class"] == f"0/{LEAKING}"
    shared = table[(table["metric"] == "shared") & (table["part"] == "lesion") & (table["split"] == "test")]
    shared = shared.set_index(["dataset", "other_split", "class"])
    assert shared.loc[("skin", "train", "melanoma"), ["value", "n"]].tolist() == [1, LEAKING]
    assert shared.loc[("skin", "train", "all"), ["value", "n"]].tolist() == [
        LEAKING / (LEAKING + 1),
        LEAKING + 1,
    ]
    assert set(table.loc[table["dataset"] == "chest", "metric"]) == {"shared"}


def test_what_is_shown(files: dict[str, list[Path]], tmp_path: Path) -> None:
    assert main(command_of("tables/leaks", PARAMS, tmp_path, **files)) == 0
    text = outputs_of("tables/leaks", tmp_path)[1].read_text()
    by_class = "benign: 0 of 1 (0.0 %); melanoma: 12 of 12 (100.0 %)"
    assert f"| Test: lesion | training | 12 of 13 (92.3 %) | {by_class} |" in text
    assert "Nothing is shared" in text
    assert text.count("Test: ") == 2 and "Test: anything of these | training or validation | 12 of 40" in text
    assert "| ViT: share something | 12 (0 / 12) | 100.0 ± 0.0 [" in text
    assert text.count("ViT: ") == 3  # the dataset that shares nothing has no such rows


def test_where_nothing_is_shared_there_is_one_line(files: dict[str, list[Path]]) -> None:
    of_chest = {name: paths[-1:] * (2 if name == "predictions" else 1) for name, paths in files.items()}
    chest = PARAMS | {"datasets": PARAMS["datasets"][1:], "runs": PARAMS["runs"][2:]}
    table, (grid,) = make(Settings(**chest), of_chest)
    assert [[cell.value for cell in row] for row in grid.blocks[0].rows] == [
        ["Nothing is shared", "–", "–", "–"]
    ]
    assert set(table["metric"]) == {"shared"}
