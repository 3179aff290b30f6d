"""Published weights are only trained anew when the user says so."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from core_samples import tiny_config, write_store
from meddiff.errors import CheckpointError, ReleaseError
from meddiff.training.approval import approve, check_approved
from meddiff.training.inputs import differences, training_inputs
from meddiff.weights.releases import PublishedRun

RUN = "chest/net/seed0"
INPUTS = {
    "params": {"model": {"train": {"lr": 0.1, "epochs": 3}, "title": "net"}, "seed": 0},
    "code": {"train.py": "a", "ema.py": "b"},
    "data": ["d"],
}


def changed(part: str, value: Any) -> dict[str, Any]:
    return {**deepcopy(INPUTS), part: value}


def decide(tmp_path, inputs, decision="none", published=True):
    release = PublishedRun(weights_sha256="0" * 64, inputs=INPUTS) if published else None
    out = tmp_path / "training.json"
    approve(RUN, inputs, release, decision, out, "trial")
    return json.loads(out.read_text())


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (
            changed("params", {"model": {"train": {"lr": 0.2, "epochs": 3}, "title": "net"}, "seed": 0}),
            "setting model.train.lr: 0.1 -> 0.2",
        ),
        (changed("code", {"train.py": "A", "ema.py": "b"}), "code train.py"),
        (changed("code", {"train.py": "a"}), "code ema.py"),
        (changed("data", ["D"]), "images or splits"),
        ({**INPUTS, "pretrained": "p"}, "weights that it begins from"),
    ],
)
def test_a_published_model_that_would_change_stops(tmp_path, inputs, line):
    with pytest.raises(ReleaseError) as error:
        decide(tmp_path, inputs)
    text = str(error.value)
    assert f"\n  {line}\n" in text
    assert f"--config retrain={RUN}" in text and f"meddiff keep {RUN}" in text
    assert "results/trial/release.json" in text
    assert not (tmp_path / "training.json").exists()


@pytest.mark.parametrize("decision", ["retrain", "keep"])
def test_a_decision_lets_it_pass(tmp_path, decision):
    written = decide(tmp_path, changed("data", ["D"]), decision)
    assert written["inputs"]["data"] == ["D"] and written["decision"] == decision


def test_the_same_again_and_unpublished_models_pass(tmp_path):
    assert decide(tmp_path, INPUTS)["inputs"] == INPUTS
    assert decide(tmp_path, changed("data", ["D"]), published=False)["inputs"]["data"] == ["D"]


def test_long_lists_of_differences_are_cut():
    many = {f"m{i:02d}.py": "x" for i in range(40)}
    lines = differences(INPUTS, changed("code", {**INPUTS["code"], **many}))
    assert len(lines) == 13 and lines[-1] == "code: 28 more"


def test_training_starts_from_what_was_planned(tmp_path):
    decide(tmp_path, INPUTS)
    check_approved(tmp_path / "training.json", INPUTS)
    with pytest.raises(CheckpointError, match=r"planned before these changed:\n  code train\.py\n"):
        check_approved(
            tmp_path / "training.json", changed("code", {"train.py": "edited meanwhile", "ema.py": "b"})
        )


def test_inputs_name_each_of_the_things_that_decide(tmp_path):
    first, other = (
        write_store(tmp_path / "a"),
        write_store(tmp_path / "b", {"train": 9, "valid": 4, "test": 2}),
    )
    model = tiny_config("timm")
    before = training_inputs(model, 0, [first], None)
    assert differences(before, training_inputs(model, 0, [first], None)) == []
    assert "training/trainer.py" in before["code"] and "baselines.py" in before["code"]
    assert "diffusion/unet.py" not in before["code"]
    assert differences(before, training_inputs(model, 1, [first], None)) == ["setting seed: 0 -> 1"]
    assert differences(before, training_inputs(model, 0, [other], None)) == ["images or splits"]
