"""A training that another one has overtaken replaces nothing."""

from __future__ import annotations

import json

import pytest

from core_samples import tiny_document, write_store
from meddiff.cli import main
from meddiff.errors import CheckpointError
from meddiff.training import run as training
from meddiff.weights.claim import Claim


def test_the_last_to_begin_may_write(tmp_path):
    first = Claim(tmp_path, "a")
    first.check()
    second = Claim(tmp_path, "b")
    second.check()
    with pytest.raises(CheckpointError, match="a training from other settings, code or images has begun"):
        first.check()


def test_trainings_from_the_same_share_it(tmp_path):
    first, second = Claim(tmp_path, "a"), Claim(tmp_path, "a")
    first.check()
    second.check()


def test_a_lost_claim_is_an_error(tmp_path):
    claim = Claim(tmp_path, "a")
    (tmp_path / "kept/claim.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"claim\.json: cannot be read"):
        claim.check()


def test_an_overtaken_training_leaves_the_newer_weights(tmp_path, monkeypatch, caplog):
    """Another training begins, and ends, while the first is at work: as after a killed Snakemake."""
    monkeypatch.setenv("MEDDIFF_STATE_DIR", str(tmp_path / "state"))
    store, out = write_store(tmp_path), tmp_path / "out"

    def train(seed: int) -> int:
        document = tiny_document("timm", train={"epochs": 1, "warmup_steps": 0})
        params = json.dumps({"model": document, "seed": seed})
        return main(["train", "--params", params, "--store", str(store), "--out", str(out)])

    undisturbed = training.Trainer.run

    def overtaken(self, *arguments, **settings):
        result = undisturbed(self, *arguments, **settings)
        monkeypatch.setattr(training.Trainer, "run", undisturbed)
        assert train(seed=2) == 0
        return result

    monkeypatch.setattr(training.Trainer, "run", overtaken)
    assert train(seed=1) == 1
    assert "its weights are not replaced" in caplog.text
    assert json.loads((out / "run.json").read_text())["inputs"]["params"]["seed"] == 2
