"""The benchmarks' own code: the plain procedure is the paper's, and reports say what was measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import run
import scoring
from core_samples import SIDE, tiny_config, write_store
from figures import FIGURES, PHANTOM, REAL
from meddiff.data.stores.store import Store
from meddiff.diffusion import vote
from meddiff.diffusion.pixels import to_unit_range
from meddiff.models.checkpoint import save_weights
from meddiff.models.kinds import build_model
from meddiff.models.spec import ModelSpec, write_config
from reference import classify, load_image
from report import markdown
from scoring import Trained, measure
from scoring_samples import score_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images, splits and store."""
    path = tmp_path_factory.mktemp("images")
    write_store(path)
    return path


@pytest.fixture(scope="module")
def trained(folder) -> Trained:
    """An untrained network, saved as a trained one."""
    torch.manual_seed(0)
    config, store = tiny_config("unet"), Store.open(folder / "store", "test")
    spec = ModelSpec.for_store(config, store)
    save_weights(folder / "weights" / "model.safetensors", spec.build())
    write_config(folder / "weights", spec, 0)
    return Trained(folder / "weights", folder / "store", folder, folder / "splits" / "test.csv")


@pytest.mark.parametrize("kind", ["unet", "dit"])
@pytest.mark.parametrize("wavelet", [True, False])
def test_plain_procedure_decides_as_scoring_does(kind, wavelet, folder):
    store = Store.open(folder / "store", "test")
    torch.manual_seed(0)
    denoiser = build_model(tiny_config(kind, "official", wavelet=wavelet), 2, 1, SIDE).eval()
    files = [folder / "images" / f"{name}.png" for name in store.image_ids]
    images = torch.stack([load_image(file, SIDE, 1, wavelet) for file in files])
    expected = denoiser.encode(to_unit_range(torch.from_numpy(np.array(store.images))))
    torch.testing.assert_close(images, expected, rtol=1e-5, atol=1e-6)
    errors, _ = score_images(denoiser, store.images, store.image_ids, seed=0, steps=9)
    decided = classify(denoiser, files, store.image_ids, seed=0, steps=9, batch=5)
    assert decided.tolist() == vote.majority(errors).tolist()
    assert len(set(decided.tolist())) == 2


def test_scoring_is_measured(trained, monkeypatch):
    monkeypatch.setattr(scoring, "STEPS", 7)
    result = json.loads(json.dumps(measure(trained, runs=2)))
    assert result["exact_identical"] is True and result["all_steps_identical"] is True
    assert result["images"] == len(pd.read_csv(trained.split))
    assert {name: len(values) for name, values in result["seconds"].items()} == {
        "plain": 2,
        "all_steps": 1,
        "exact": 2,
        "sequential": 2,
    }
    assert 4 <= result["exact_steps"] <= 7
    assert result["exact_speedup"] == pytest.approx(
        np.divide(result["seconds"]["plain"], result["seconds"]["exact"])
    )
    names = ("order", "delta", "min_steps")
    (chosen,) = [row for row in result["replayed"] if all(row[name] == result[name] for name in names)]
    assert chosen["agreement"] == result["sequential_agreement"]
    assert chosen["steps"] == result["sequential_steps"]
    assert chosen["aurc_delta"] == pytest.approx(result["sequential_aurc_delta"])


@pytest.mark.parametrize(
    ("rows", "steps"),
    [
        ([(10, 0.99, 0.0), (20, 1.0, 0.004), (30, 1.0, 0.0)], 20),
        ([(10, 1.0, 0.03), (20, 1.0, -0.006), (30, 0.995, -0.004)], 30),
        ([(10, 1.0, 0.03), (20, 1.0, 0.01), (30, 0.99, 0.0)], 20),
        ([(10, 0.9, 0.0), (20, 0.98, 0.01)], 20),
    ],
)
def test_fewest_steps_of_those_that_decide_and_rank_alike(rows, steps):
    names = ("steps", "agreement", "aurc_delta")
    replayed = [{"order": "spread", **dict(zip(names, row, strict=True))} for row in rows]
    drawn = {**replayed[0], "order": "drawn", "steps": 1, "agreement": 1.0, "aurc_delta": 0.0}
    assert scoring._chosen([drawn, *replayed])["steps"] == steps


def parts(**changes: Any) -> dict[str, Any]:
    """Results of all parts that a figure is made from."""
    both = {
        "images": 10,
        "steps": 501,
        "threads": 2,
        "store_seconds": 0.1,
        "seconds": {"plain": [9.0], "all_steps": [8.0], "exact": [4.0], "sequential": [1.0]},
        "exact_steps": 300.0,
        "sequential_steps": 40.0,
        "delta": 0.1,
        "order": "spread",
        "min_steps": 16,
        "replayed": [
            {"order": o, "min_steps": 1, "delta": 0.1, "steps": 40.0, "agreement": 1.0, "aurc_delta": 0.0}
            for o in ("drawn", "spread")
        ],
        "all_steps_speedup": [1.1],
        "exact_speedup": [2.5, 1.9, 2.1],
        "exact_identical": True,
        "sequential_speedup": [18.0, 17.0, 25.0],
        "sequential_agreement": 1.0,
        "sequential_aurc_delta": 0.001,
    }
    found = {
        PHANTOM: both,
        REAL: {**both, "sequential_agreement": 0.9, "sequential_aurc_delta": -0.02},
        "loader": {"ratio": {"runs": [30.0, 20.0, 21.0]}},
        "training": {
            "train_step_ratio": {"runs": [1.2, 1.3, 1.4]},
            "comparisons": [
                {
                    "source": "X-rays",
                    "threads": 2,
                    "milliseconds": {
                        "ours": [10.0],
                        "passes": [9.0],
                        "plain, 0 workers": [14.0],
                        "plain, 2 workers": [13.0],
                    },
                    "ratio": {"runs": [1.3]},
                },
                {
                    "source": "X-rays",
                    "threads": 1,
                    "milliseconds": {"ours": [20.0], "passes": [19.0], "plain, 0 workers": [25.0]},
                    "ratio": {"runs": [1.25]},
                },
            ],
        },
        "evidence": {"tiny_unet": {"added": [0.01, 0.02]}, "tiny_dit": {"added": [0.02, 0.03]}},
        "memory": {"ratio": 1.05},
    }
    return {**found, **changes}


def entries(found: dict[str, Any]) -> dict[str, Any]:
    return {figure.name: figure.entry(found) for figure in FIGURES}


def test_figures_are_medians_with_their_spread():
    found = entries(parts())
    exact = found["exact_speedup_phantom"]
    assert (exact["value"], exact["min"], exact["max"], exact["runs"]) == (2.1, 1.9, 2.5, 3)
    assert exact["reached"] and not found["sequential_speedup_phantom"]["reached"]
    assert found["sequential_agreement"]["value"] == 0.9 and not found["sequential_agreement"]["reached"]
    assert found["sequential_aurc_delta"]["value"] == -0.02 and not found["sequential_aurc_delta"]["reached"]
    assert found["exact_identical"]["value"] is True
    assert found["evidence_added"]["value"] == 0.025 and found["evidence_added"]["reached"]
    assert found["memory_ratio"]["reached"] and found["loader_ratio"]["value"] == 21.0


def test_one_different_decision_counts():
    found = parts()
    assert not entries({**found, REAL: {**found[REAL], "exact_identical": False}})["exact_identical"]["value"]


def test_what_was_not_run_is_said_so():
    found = parts()
    del found[REAL]
    missing = entries(found)
    assert missing["exact_speedup_real"] is None and missing["exact_identical"] is None
    assert missing["loader_ratio"]["value"] == 21.0
    text = markdown({"machine": MACHINE, "spread": missing, "parts": found})
    assert text.count("not measured") == 7


MACHINE = {
    "processor": "a processor",
    "vector_instructions": "AVX2",
    "cpus": 2,
    "memory_gib": 24,
    "gpu": None,
    "python": "3.11",
    "torch": "2",
    "diffusers": "0",
    "snakemake": "9",
}


def test_table_has_every_figure_and_says_what_was_not_reached():
    text = markdown({"machine": MACHINE, "spread": entries(parts()), "parts": parts()})
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for figure in FIGURES:
        assert sum(figure.what in row for row in rows) == 1
    (row,) = [row for row in rows if "exact stopping against the plain procedure, chest phantom" in row]
    assert row.endswith("| 2.1 [1.9, 2.5] | 3 | at least 2x | yes |")
    assert sum(row.endswith("| no |") for row in rows) == 3
    assert "| X-rays | 2 | 10.0 | 9.0 | 14.0 | 13.0 | 1.30x |" in rows
    assert "| X-rays | 1 | 20.0 | 19.0 | 25.0 |  | 1.25x |" in rows


def test_earlier_results_are_kept_where_they_can_be_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    assert run._earlier(MACHINE) == {}
    run._write(MACHINE, parts())
    assert run._earlier(MACHINE) == parts()
    assert run._earlier({**MACHINE, "torch": "3"}) == {}
    monkeypatch.setattr(run, "FORMAT", run.FORMAT + 1)
    assert run._earlier(MACHINE) == {}
