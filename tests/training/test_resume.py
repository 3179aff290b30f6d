"""Training that is stopped or killed anywhere ends as if it had never stopped."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trainer_samples import CONFIGS, SEED, STEPS_PER_EPOCH, trainer, weights

from core_samples import SIDE
from meddiff.errors import CheckpointError, Interrupted
from meddiff.models import checkpoint
from meddiff.models.checkpoint import load_state
from meddiff.models.kinds import build_model, build_task
from meddiff.training.state import STATE_FILE
from meddiff.training.trainer import Trainer


def after(run: Trainer, steps: int, *, in_validation: bool) -> Callable[[], bool]:
    """Stop once `steps` more steps are made: in a validation after the last one, or when it is done."""
    last = run.history.step + steps
    return lambda: (
        run.history.step >= last and (in_validation or not run._epoch_is_unfinished(STEPS_PER_EPOCH, 9))
    )


def everything(finished: Trainer, best: nn.Module) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that a run leaves behind, without the time it took."""
    state = load_state(finished.state_dir / STATE_FILE)
    values = {k: v for k, v in vars(finished.history).items() if k != "seconds"}
    return {**state.tensors, **{f"best.{k}": v for k, v in weights(best).items()}}, values


def assert_same(one: tuple[dict, dict], other: tuple[dict, dict]) -> None:
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    assert [name for name in one[0] if not torch.equal(one[0][name], other[0][name])] == []


@pytest.fixture(scope="module")
def uninterrupted(splits, tmp_path_factory) -> dict[str, tuple[dict, dict]]:
    results = {}
    for kind, config in CONFIGS.items():
        run = trainer(config, tmp_path_factory.mktemp(kind))
        results[kind] = everything(run, run.run(*splits))
    return results


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_run_is_reproducible(kind, splits, uninterrupted, tmp_path):
    run = trainer(CONFIGS[kind], tmp_path / "same")
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])
    assert uninterrupted[kind][1]["step"] == 3 * STEPS_PER_EPOCH
    assert [("valid_f1" in record) for record in uninterrupted[kind][1]["epochs"]] == [False, True, True]


def test_the_seed_changes_order_and_noise(splits, uninterrupted, tmp_path):
    torch.manual_seed(SEED)  # the same first weights
    config = CONFIGS["timm"]
    run = Trainer(build_model(config, 2, 1, SIDE), build_task(config, 4), config.train, 4, tmp_path)
    tensors, _ = everything(run, run.run(*splits))
    expected = uninterrupted["timm"][0]
    assert not any(torch.equal(tensors[k], expected[k]) for k in expected if k.endswith("conv1.weight"))


@pytest.mark.parametrize(
    ("kind", "stops"),
    [
        ("unet", [4, 1]),
        ("unet", [6]),
        ("dit", [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("dit", [3]),
        ("timm", [1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("timm", [2]),
        ("timm", [3]),
        ("timm", [6]),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value)),
)
@pytest.mark.parametrize("in_validation", [False, True], ids=["after validation", "in validation"])
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(
    kind, stops, in_validation, splits, uninterrupted, tmp_path
):
    """In an epoch, at its end, in and right after validation (step 6), and after every single step."""
    done = 0
    for steps in stops:
        run = trainer(CONFIGS[kind], tmp_path)
        with pytest.raises(Interrupted, match="run again"):
            run.run(*splits, stop=after(run, steps, in_validation=in_validation))
        done += steps
        records = len(run.history.epochs)
        assert records == done // STEPS_PER_EPOCH - (in_validation and done in (6, 9))
        assert load_state(tmp_path / STATE_FILE).values["step"] == done
    run = trainer(CONFIGS[kind], tmp_path)
    assert run.history.step == done
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])


@pytest.mark.parametrize("kind", ["unet", "timm"])
def test_stopped_and_resumed_in_another_memory_format(kind, splits, tmp_path):
    """Weights in channels_last, as convolutional networks have them, with states that are saved without."""

    def run(folder: str, **settings: Any) -> tuple[dict, dict]:
        torch.manual_seed(SEED)
        config = CONFIGS[kind]
        model = build_model(config, 2, 1, SIDE).to(memory_format=torch.channels_last)
        training = Trainer(model, build_task(config, SEED), config.train, SEED, tmp_path / folder)
        if settings:
            with pytest.raises(Interrupted):
                training.run(*splits, stop=after(training, settings["steps"], in_validation=False))
            return {}, {}
        return everything(training, training.run(*splits))

    run("stopped", steps=4)
    assert_same(run("stopped"), run("whole"))


class Killed(BaseException):
    """As sudden as a lost node: nothing is saved any more."""


def kill(*_: Any) -> None:
    raise Killed


@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("kind", ["unet", "timm"])
def test_killed_after_an_epoch(kind, epoch, splits, uninterrupted, tmp_path):
    with pytest.raises(Killed):
        trainer(CONFIGS[kind], tmp_path).run(
            *splits, on_epoch=lambda record: kill() if record["epoch"] == epoch else None
        )
    run = trainer(CONFIGS[kind], tmp_path)
    assert run.history.step == [1, 6, 9][epoch]  # saved after the first step, and after validated epochs
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])


@pytest.mark.parametrize("validation", [1, 2])
def test_killed_between_the_best_weights_and_the_state(
    validation, splits, uninterrupted, tmp_path, monkeypatch
):
    save, calls = Trainer.save, itertools.count(1)
    monkeypatch.setattr(Trainer, "save", lambda self: kill() if next(calls) == validation else save(self))
    with pytest.raises(Killed):
        trainer(CONFIGS["timm"], tmp_path).run(*splits)
    run = trainer(CONFIGS["timm"], tmp_path)
    assert_same(everything(run, run.run(*splits)), uninterrupted["timm"])


def test_state_is_saved_at_intervals(splits, tmp_path):
    run = trainer(CONFIGS["timm"], tmp_path)
    saved, save = [], run.save
    run.save = lambda: (saved.append(run.history.step), save())
    run.run(*splits, save_every_seconds=0.0)
    assert sorted(set(saved)) == list(range(1, 10))


def test_a_disk_that_is_full_for_a_while_costs_no_work(splits, uninterrupted, tmp_path, monkeypatch, caplog):
    """Only the first save must succeed; later ones are tried again."""
    save, calls = checkpoint.save_file, itertools.count(1)

    def full_at_times(tensors, path, metadata) -> None:
        if path.name.startswith(".state-") and next(calls) in (2, 3):
            raise OSError(28, "No space left on device")
        save(tensors, path, metadata)

    monkeypatch.setattr(checkpoint, "save_file", full_at_times)
    run = trainer(CONFIGS["timm"], tmp_path)
    assert_same(everything(run, run.run(*splits, save_every_seconds=0.0)), uninterrupted["timm"])
    assert caplog.text.count("make room and run again); going on, and trying again in 0 minutes") == 2


def test_a_disk_that_is_full_at_first_stops_the_run(splits, tmp_path, monkeypatch):
    def full(path, tensors, metadata):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    run = trainer(CONFIGS["timm"], tmp_path)
    with pytest.raises(
        CheckpointError, match=r"state\.safetensors: \d+ MiB cannot be written .*disk is full"
    ):
        run.run(*splits)
    assert run.history.step == 1 and list(tmp_path.iterdir()) == []


def test_a_finished_run_is_not_trained_again(splits, uninterrupted, tmp_path):
    trainer(CONFIGS["unet"], tmp_path).run(*splits)
    run = trainer(CONFIGS["unet"], tmp_path)
    run._step = kill
    assert_same(everything(run, run.run(*splits)), uninterrupted["unet"])


def test_damaged_state_and_lost_best_weights(splits, tmp_path):
    trainer(CONFIGS["timm"], tmp_path).run(*splits)
    (best,) = tmp_path.glob("best-*")
    best.unlink()
    with pytest.raises(
        CheckpointError, match=r"best-\d+\.safetensors: no such weights\. .* delete the folder"
    ):
        trainer(CONFIGS["timm"], tmp_path).run(*splits)
    state = tmp_path / STATE_FILE
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="damaged resume state"):
        trainer(CONFIGS["timm"], tmp_path)
