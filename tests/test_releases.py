"""Records of published runs."""

from __future__ import annotations

import pytest

from meddiff.errors import ReleaseError
from meddiff.io import sha256_file, write_json
from meddiff.weights.releases import Release, published_runs, read_release, release_path, write_release


@pytest.fixture
def weights(tmp_path):
    """Weights of two runs in the folder of an experiment."""
    trained = {"params": {"lr": 1}, "code": "c", "data": ["d"]}
    inputs = {"chest/unet/seed0": trained, "joint/sd/seed1": {"pretrained": {"files": {}}}}
    for key, value in inputs.items():
        folder = tmp_path / "results/trial" / key / "weights"
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_text(key)
        write_json(folder / "run.json", {"inputs": value, "hours": 1.5})
    return inputs


def release(tmp_path):
    return Release(
        experiment="trial",
        runs=published_runs("trial", tmp_path),
        tracked={"data": ["data/chest/raw"], "weights": [], "errors": [], "results": []},
        records_sha256="0" * 64,
    )


def test_describes_every_run(tmp_path, weights):
    runs = published_runs("trial", tmp_path)
    assert {key: run.inputs for key, run in runs.items()} == weights
    path = tmp_path / "results/trial/chest/unet/seed0/weights/model.safetensors"
    assert runs["chest/unet/seed0"].weights_sha256 == sha256_file(path)


def test_released_weights_are_described_by_their_release(tmp_path, weights):
    write_json(tmp_path / "results/trial/joint/sd/seed1/weights/run.json", {"released": {"folder": "f"}})
    assert published_runs("trial", tmp_path)["joint/sd/seed1"].inputs == {"released": {"folder": "f"}}


def test_is_read_as_it_was_written(tmp_path, weights):
    written = release(tmp_path)
    assert write_release(written, tmp_path) == release_path("trial", tmp_path)
    assert read_release("trial", tmp_path) == written


def test_no_record_of_what_was_not_published(tmp_path):
    assert read_release("trial", tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", '{"experiment": "trial", "runs": {"a": {"inputs": {}}}}'])
def test_a_damaged_record_is_named(tmp_path, text):
    path = release_path("trial", tmp_path)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(ReleaseError, match=r"release\.json"):
        read_release("trial", tmp_path)


def test_a_record_of_another_experiment_is_refused(tmp_path, weights):
    path = write_release(release(tmp_path), tmp_path)
    other = release_path("other", tmp_path)
    other.parent.mkdir(parents=True)
    path.rename(other)
    with pytest.raises(ReleaseError, match="'trial'"):
        read_release("other", tmp_path)


@pytest.mark.parametrize("record", [{}, None])
def test_weights_of_unknown_origin_are_refused(tmp_path, weights, record):
    path = tmp_path / "results/trial/chest/unet/seed0/weights/run.json"
    path.unlink()
    if record is not None:
        write_json(path, record)
    with pytest.raises(ReleaseError, match=r"chest/unet/seed0/weights/run\.json"):
        published_runs("trial", tmp_path)
