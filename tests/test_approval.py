"""Published weights are only trained anew when the user says so."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from core_samples import tiny_config, write_store
from meddiff.errors import ConfigError, ReleaseError
from meddiff.io import write_json
from meddiff.models.spec import ModelSpec
from meddiff.training.inputs import known_inputs, training_inputs
from meddiff.weights.approval import Publication, approve, check_may_train, publication_of, version_to_take
from meddiff.weights.differences import differences
from meddiff.weights.releases import PublishedRun
from meddiff.weights.versions import keep_version

RUN = "chest/net/seed0"
INPUTS = {
    "params": {"model": {"train": {"lr": 0.1, "epochs": 3}, "title": "net"}, "seed": 0},
    "code": {"train.py": "a", "ema.py": "b"},
    "data": ["d"],
}


def changed(part: str, value: Any) -> dict[str, Any]:
    return {**deepcopy(INPUTS), part: value}


def publication(decision="none", published=True) -> Publication:
    release = PublishedRun(weights_sha256="0" * 64, inputs=INPUTS) if published else None
    return Publication("trial", RUN, release, decision)


def write_weights(folder: Path, inputs: dict[str, Any]) -> Path:
    """Something that looks like trained weights."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_text(str(inputs))
    (folder / "config.yaml").write_text("model: {}\n")
    write_json(folder / "run.json", {"inputs": inputs})
    return folder


CHANGES = [
    (
        changed("params", {"model": {"train": {"lr": 0.2, "epochs": 3}, "title": "net"}, "seed": 0}),
        "setting model.train.lr: 0.1 -> 0.2",
    ),
    (changed("code", {"train.py": "A", "ema.py": "b"}), "code train.py"),
    (changed("code", {"train.py": "a"}), "code ema.py"),
    (changed("data", ["D"]), "images or splits"),
    ({**INPUTS, "pretrained": "p"}, "weights that it begins from"),
]


@pytest.mark.parametrize(("inputs", "line"), CHANGES)
@pytest.mark.parametrize("check", ["before the run", "when training starts"])
def test_a_published_model_that_would_change_stops(tmp_path, inputs, line, check):
    with pytest.raises(ReleaseError) as error:
        if check == "before the run":
            approve(publication(), inputs, tmp_path)
        else:
            check_may_train(publication(), inputs)
    text = str(error.value)
    assert f"\n  {line}\n" in text
    assert f"--config retrain={RUN}" in text
    assert f"meddiff keep {RUN} --config experiment=trial" in text
    assert "results/trial/release.json" in text


@pytest.mark.parametrize("decision", ["retrain", "keep"])
def test_a_decision_lets_the_run_start(tmp_path, decision):
    approve(publication(decision), changed("data", ["D"]), tmp_path)


def test_the_same_again_and_unpublished_models_pass(tmp_path):
    approve(publication(), INPUTS, tmp_path)
    approve(publication(published=False), changed("data", ["D"]), tmp_path)
    check_may_train(publication(published=False), changed("data", ["D"]))
    check_may_train(None, INPUTS)


def test_what_is_not_known_yet_is_not_compared(tmp_path):
    known = {key: value for key, value in INPUTS.items() if key != "data"}
    approve(publication(), known, tmp_path)
    with pytest.raises(ReleaseError, match=r"code train\.py\n  images or splits are to be made again"):
        approve(publication(), {**known, "code": {"train.py": "A", "ema.py": "b"}}, tmp_path)


def test_weights_that_were_trained_with_leave_pass_again(tmp_path):
    """They are kept, so nothing is trained; the published record still names the others."""
    other = changed("code", {"train.py": "A", "ema.py": "b"})
    keep_version(write_weights(tmp_path, other))
    approve(publication(), other, tmp_path)


def test_published_weights_that_are_not_here_are_restored_and_not_trained():
    with pytest.raises(ReleaseError, match="restore --only weights --config experiment=trial"):
        check_may_train(publication(), INPUTS)
    check_may_train(publication("retrain"), INPUTS)


def test_which_version_a_job_takes():
    other = changed("data", ["D"])
    assert version_to_take(None, other) == other
    assert version_to_take(publication(), other) == other
    assert version_to_take(publication("keep"), other) == INPUTS
    assert version_to_take(publication("retrain"), other) is None
    assert version_to_take(publication("keep", published=False), other) == other


def test_experiment_and_run_go_together(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert publication_of(None, None, "none") is None
    assert publication_of("trial", RUN, "keep") == Publication("trial", RUN, None, "keep")
    with pytest.raises(ConfigError, match="go together"):
        publication_of("trial", None, "none")


def test_long_lists_of_differences_are_cut():
    many = {f"m{i:02d}.py": "x" for i in range(40)}
    lines = differences(INPUTS, changed("code", {**INPUTS["code"], **many}))
    assert len(lines) == 13 and lines[-1] == "code: 28 more"


def test_inputs_name_each_of_the_things_that_decide(tmp_path):
    first, other = (
        write_store(tmp_path / "a"),
        write_store(tmp_path / "b", {"train": 9, "valid": 4, "test": 2}),
    )
    model = tiny_config("timm")
    before = training_inputs(model, 0, [first], None)
    assert differences(before, training_inputs(model, 0, [first], None)) == []
    assert "training/trainer.py" in before["code"] and "networks/classifier.py" in before["code"]
    assert "networks/unet.py" not in before["code"]
    assert differences(before, training_inputs(model, 1, [first], None)) == ["setting seed: 0 -> 1"]
    assert differences(before, training_inputs(model, 0, [other], None)) == ["images or splits"]


def test_inputs_known_before_the_run_are_those_of_training(tmp_path):
    store = write_store(tmp_path)
    model = tiny_config("timm")
    inputs = training_inputs(model, 0, [store], None)
    shape = {key: inputs["params"][key] for key in ("num_classes", "channels", "image_size")}
    known = known_inputs(model, 0, ModelSpec(model, **shape))
    assert known == {key: inputs[key] for key in ("params", "code")}
    assert known_inputs(model, 0, None) == {"code": inputs["code"]}
