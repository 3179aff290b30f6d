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
from meddiff.checkpoint import load_state
from meddiff.errors import CheckpointError
from meddiff.models import build_model, build_task
from meddiff.train import STATE_FILE, Interrupted, Trainer


def after(steps: int) -> Callable[[], bool]:
    counter = itertools.count(1)
    return lambda: next(counter) >= steps


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
def test_stopped_and_resumed_is_uninterrupted_bit_for_bit(kind, stops, splits, uninterrupted, tmp_path):
    """In an epoch, at its end, right after validation (step 6), and after every single step."""
    done = 0
    for steps in stops:
        with pytest.raises(Interrupted, match="run again"):
            trainer(CONFIGS[kind], tmp_path).run(*splits, stop=after(steps))
        done += steps
        assert load_state(tmp_path / STATE_FILE).values["step"] == done
    run = trainer(CONFIGS[kind], tmp_path)
    assert run.history.step == done
    assert_same(everything(run, run.run(*splits)), uninterrupted[kind])


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
    assert run.history.step == [0, 6, 9][epoch]  # only validated epochs are saved of themselves
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


def test_a_finished_run_is_not_trained_again(splits, uninterrupted, tmp_path):
    trainer(CONFIGS["unet"], tmp_path).run(*splits)
    run = trainer(CONFIGS["unet"], tmp_path)
    run._step = kill
    assert_same(everything(run, run.run(*splits)), uninterrupted["unet"])


def test_damaged_state_and_lost_best_weights(splits, tmp_path):
    trainer(CONFIGS["timm"], tmp_path).run(*splits)
    (best,) = tmp_path.glob("best-*")
    best.unlink()
    with pytest.raises(CheckpointError, match=r"best-\d+\.safetensors: no such weights"):
        trainer(CONFIGS["timm"], tmp_path).run(*splits)
    state = tmp_path / STATE_FILE
    state.write_bytes(state.read_bytes()[: state.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="damaged resume state"):
        trainer(CONFIGS["timm"], tmp_path)


def test_what_a_killed_save_left_behind_is_removed(splits, tmp_path):
    tmp_path.joinpath(".state-abc.safetensors").write_bytes(b"half a state")
    trainer(CONFIGS["timm"], tmp_path)
    assert list(tmp_path.iterdir()) == []
