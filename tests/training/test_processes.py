"""Several processes train as one would with the same batches."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from forked_samples import together
from safetensors.torch import load_file, save_file
from torch import Tensor
from trainer_samples import SEED

from core_samples import SIDE, tiny_config, write_store
from meddiff.data.stores.store import Store
from meddiff.errors import CheckpointError, Interrupted, MeddiffError
from meddiff.models.checkpoint import load_state
from meddiff.models.kinds import build_model, build_task
from meddiff.training import step as train_step
from meddiff.training.distributed import Processes
from meddiff.training.state import STATE_FILE, TrainingState
from meddiff.training.trainer import Trainer

pytestmark = pytest.mark.slow

TRAIN = {"epochs": 4, "validate_every": 2}
STEPS = 12


def config_of(kind: str, **train: Any) -> Any:
    """A tiny model without dropout, whose masks would be drawn by each process on its own."""
    if kind != "timm":
        return tiny_config(kind, train={**TRAIN, **train})
    architecture = {"model_name": "test_resnet"}
    return tiny_config(kind, train={**TRAIN, "lr": 1e-4, **train}, architecture=architecture)


def fault_of_one_kind(fault: str) -> None:
    """Break what makes several processes one."""
    if fault == "no exchange of gradients":
        Accelerator.prepare_model = lambda self, model, **settings: model
    elif fault == "the same images for all":
        share = Processes.share
        Processes.share = lambda self, rows: rows[:: self.count] if len(rows) <= 8 else share(self, rows)
    elif fault == "statistics of their own":
        train_step.SharedNorm = lambda model: None
    else:
        assert not fault, fault


def train(
    processes: Processes | None,
    config: Any,
    store: Path,
    folder: Path,
    out: Path,
    stop_after: int = STEPS,
    fault: str = "",
) -> None:
    """Train until `stop_after` steps, which only the last process asks for; write weights and history."""
    fault_of_one_kind(fault)
    torch.manual_seed(SEED)
    model = build_model(config, 2, 1, SIDE)
    trainer = Trainer(model, build_task(config, SEED), config.train, SEED, folder, processes)
    rank, last = (processes.rank, processes.count - 1) if processes else (0, 0)

    def stop() -> bool:
        return rank == last and stop_after <= trainer.history.step < STEPS

    try:
        trainer.run(Store.open(store, "train"), Store.open(store, "valid"), stop=stop)
    except Interrupted:
        assert trainer.history.step == stop_after < STEPS
    weights = {f"{name}.{key}": value for name, value in networks(trainer) for key, value in value.items()}
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / f"{rank}.safetensors")
    (out / f"{rank}.json").write_text(json.dumps({**vars(trainer.history), "seconds": 0}))


def networks(trainer: Trainer) -> list[tuple[str, dict[str, Tensor]]]:
    found = [("online", trainer.model.state_dict())]
    return found + ([("average", trainer.ema.model.state_dict())] if trainer.ema else [])


def result(out: Path, rank: int = 0) -> tuple[dict[str, Tensor], dict[str, Any]]:
    return load_file(out / f"{rank}.safetensors"), json.loads((out / f"{rank}.json").read_text())


def distance(one: dict[str, Tensor], other: dict[str, Tensor], start: dict[str, Tensor]) -> float:
    """How far apart weights are, as a share of how far training has moved them."""
    moving = [name for name, tensor in one.items() if tensor.is_floating_point()]

    def norm(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
        return sum((a[name].double() - b[name].double()).square().sum().item() for name in moving) ** 0.5

    return norm(one, other) / norm(one, start)


@pytest.fixture(scope="module")
def stores(tmp_path_factory) -> dict[tuple[str, int], Path]:
    """For two processes one whose last batch is enough (4 images), for three one whose is not (2).

    Images for timm are larger: batch normalisation of two values would make rounding errors large.
    """
    return {
        (kind, count): write_store(
            tmp_path_factory.mktemp("store"), {"train": images, "valid": 10, "test": 2}, size=size
        )
        for kind, size in (("unet", SIDE), ("dit", SIDE), ("timm", 4 * SIDE))
        for count, images in ((2, 20), (3, 18))
    }


class Runs:
    """Runs of the tests, each made once."""

    def __init__(self, folder: Path, stores: dict[tuple[str, int], Path]) -> None:
        self.folder, self.stores = folder, stores
        self._made: set[Path] = set()

    def alone(self, kind: str, like: int, **settings: Any) -> Path:
        """One process, with the store for `like` processes; the folder of its results."""
        folder = self.folder / f"{kind}-{like}-alone-{settings}"
        if folder not in self._made:
            self._made.add(folder)
            train(None, config_of(kind, **settings), self.stores[kind, like], folder / "state", folder)
        return folder

    def several(self, kind: str, count: int, fault: str = "", **settings: Any) -> Path:
        folder = self.folder / f"{kind}-{count}-{fault}-{settings}"
        if folder not in self._made:
            self._made.add(folder)
            config, store = config_of(kind, **settings), self.stores[kind, count]
            together(count, train, folder, config, store, folder / "state", folder, STEPS, fault)
        return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, stores) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), stores)


def untrained(kind: str) -> dict[str, Tensor]:
    torch.manual_seed(SEED)
    model = build_model(config_of(kind), 2, 1, SIDE).state_dict()
    return {f"{name}.{key}": value for name in ("online", "average") for key, value in model.items()}


def compare(kind: str, one: Path, other: Path) -> tuple[float, float]:
    """Distance of the weights, and the largest relative difference of an epoch's loss."""
    (weights, history), (other_weights, other_history) = result(one), result(other)
    assert history["step"] == other_history["step"] == STEPS
    losses = [[record["loss"] for record in h["epochs"]] for h in (history, other_history)]
    assert len(losses[0]) == len(losses[1]) == 4
    curve = max(abs(b / a - 1) for a, b in zip(*losses, strict=True))
    return distance(weights, other_weights, untrained(kind)), curve


# Rounding: sums over the batch are made in another order, and Adam divides by the size of a gradient, so
# that it makes steps of its own of gradients that are rounding errors only (as those of a bias before
# batch normalisation). Seen after 12 steps: weights up to 1e-4, losses up to 8e-5; faults: 1e-2 and 2e-2.
WEIGHTS_TOLERANCE, LOSS_TOLERANCE = 5e-4, 3e-4


@pytest.mark.parametrize(
    ("kind", "count", "accumulate"),
    [("unet", 2, 1), ("unet", 3, 2), ("dit", 2, 1), ("timm", 2, 1), ("timm", 2, 2), ("timm", 3, 1)],
)
def test_several_processes_do_what_one_does(runs, kind, count, accumulate):
    together_, alone = (make(kind, count, accumulate=accumulate) for make in (runs.several, runs.alone))
    weights, curve = compare(kind, alone, together_)
    assert weights < WEIGHTS_TOLERANCE and curve < LOSS_TOLERANCE
    everyone = [result(together_, rank) for rank in range(count)]
    for tensors, history in everyone[1:]:
        assert history == everyone[0][1]
        assert all(torch.equal(tensors[name], tensor) for name, tensor in everyone[0][0].items())


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        ("unet", "no exchange of gradients"),
        ("unet", "the same images for all"),
        ("timm", "no exchange of gradients"),
        ("timm", "statistics of their own"),
    ],
)
def test_a_fault_would_be_seen(runs, kind, fault):
    weights, curve = compare(
        kind, runs.alone(kind, 2, accumulate=1), runs.several(kind, 2, fault, accumulate=1)
    )
    assert weights > 10 * WEIGHTS_TOLERANCE and curve > 10 * LOSS_TOLERANCE


@pytest.mark.parametrize("kind", ["unet", "timm"])
@pytest.mark.parametrize("step", [5, 6], ids=["in an epoch", "in validation"])
def test_stopped_and_resumed_with_as_many_processes_or_others(runs, stores, tmp_path, kind, step):
    config, store = config_of(kind, accumulate=1), stores[kind, 2]
    state, out = tmp_path / "state", tmp_path / "out"
    together(2, train, tmp_path / "first", config, store, state, out, step)
    assert load_state(state / STATE_FILE).values["step"] == step
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / STATE_FILE).write_bytes((state / STATE_FILE).read_bytes())
    together(2, train, tmp_path / "second", config, store, state, out)
    tensors, history = result(runs.several(kind, 2, accumulate=1))
    assert result(out)[1] == history
    assert all(torch.equal(result(out)[0][name], tensor) for name, tensor in tensors.items())
    train(None, config, store, tmp_path / "copy", tmp_path / "alone")
    weights, curve = compare(kind, runs.alone(kind, 2, accumulate=1), tmp_path / "alone")
    assert weights < WEIGHTS_TOLERANCE and curve < LOSS_TOLERANCE


def save_slowly(processes: Processes, store: Path, folder: Path) -> None:
    """Saving takes longer than an exchange of gradients may."""
    save = TrainingState.save

    def slowly(state: TrainingState) -> None:
        time.sleep(2.5 * PATIENCE)
        save(state)

    TrainingState.save = slowly
    config = config_of("timm", epochs=1)
    torch.manual_seed(SEED)
    model, task = build_model(config, 2, 1, SIDE), build_task(config, SEED)
    trainer = Trainer(model, task, config.train, SEED, folder, processes)
    trainer.run(Store.open(store, "train"), Store.open(store, "valid"))
    assert trainer.history.step == 3


PATIENCE = 2.0


def test_the_others_wait_while_one_saves_for_long(stores, tmp_path):
    together(2, save_slowly, tmp_path, stores["timm", 2], tmp_path / "state", patience=PATIENCE)


def save_in_vain(processes: Processes, store: Path, folder: Path) -> None:
    """The disk of the process that saves is full."""

    def full(state: TrainingState) -> None:
        raise CheckpointError("no room")

    TrainingState.save = full
    config = config_of("timm", epochs=1)
    torch.manual_seed(SEED)
    model, task = build_model(config, 2, 1, SIDE), build_task(config, SEED)
    trainer = Trainer(model, task, config.train, SEED, folder, processes)
    with pytest.raises(CheckpointError, match="no room" if processes.is_main else "main process"):
        trainer.run(Store.open(store, "train"), Store.open(store, "valid"))
    assert trainer.history.step == 1


def test_a_state_that_cannot_be_saved_is_the_same_error_for_all(stores, tmp_path):
    together(2, save_in_vain, tmp_path, stores["timm", 2], tmp_path / "state", patience=20)


def diverge(processes: Processes, store: Path, folder: Path) -> None:
    """The loss of one process becomes NaN."""
    config = config_of("timm")
    torch.manual_seed(SEED)
    task = build_task(config, SEED)
    loss, step = task.loss, iter(range(1000))

    def broken(*arguments: Any) -> Tensor:
        return loss(*arguments) * (float("nan") if processes.rank == 1 and next(step) == 1 else 1.0)

    task.loss = broken
    trainer = Trainer(build_model(config, 2, 1, SIDE), task, config.train, SEED, folder, processes)
    with pytest.raises(MeddiffError, match=r"NaN or infinite by step 3"):
        trainer.run(Store.open(store, "train"), Store.open(store, "valid"))


def test_a_loss_that_is_not_finite_stops_all(stores, tmp_path):
    together(2, diverge, tmp_path, stores["timm", 2], tmp_path / "state")
