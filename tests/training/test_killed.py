"""Commands that are killed, stopped or started twice at any moment end with the same bytes.

They run in forks of a process that has imported everything, so that they can be killed many times.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import signal
import time
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
import yaml
from forked_samples import command, end_of, start

from core_samples import SIDE, tiny_document, write_store
from meddiff.config import parse_model
from meddiff.models.checkpoint import save_weights
from meddiff.models.spec import ModelSpec

pytestmark = pytest.mark.slow

KILLS, KILLED_SAVES = 8, 4
MODELS = {
    "unet": tiny_document("unet", train={"epochs": 5, "validate_every": 2}),
    "timm": tiny_document("timm", train={"epochs": 12, "validate_every": 5}),
}
SCORING = {"seed": 2, "steps": 6, "noise_levels": "uniform", "precision": "fp32"}


@dataclass
class Work:
    """A command in a folder, and what it ends with when nothing happens to it."""

    kind: str
    store: Path
    weights: Path
    folder: Path
    log: Path
    expected: dict[str, bytes]
    seconds: float = 0.0

    def arguments(self, out: Path, save_minutes: float) -> list[str]:
        compute = ["--compute", json.dumps({"save_minutes": save_minutes}), "--threads", "1"]
        if self.kind == "score":
            paths = ["--weights", self.weights, "--store", self.store, "--out", out / "errors.nc"]
            return ["score", "--params", json.dumps(SCORING), "--batch-size", "4", *map(str, paths), *compute]
        params = json.dumps({"model": MODELS[self.kind], "seed": 1})
        paths = ["--store", self.store, "--out", out]
        return ["train", "--params", params, *map(str, paths), *compute]

    def start(self, name="run", out="", save_minutes=0.005, how=command) -> BaseProcess:
        """Begin, or go on with, the run that has its state in folder `name`; it saves every 0.3 s."""
        arguments = self.arguments(self.folder / (out or f"{name} out"), save_minutes)
        return start(how, arguments, self.state(name), self.log)

    def state(self, name: str = "run") -> Path:
        return self.folder / name

    def results(self, out: str = "run out") -> dict[str, bytes]:
        """Output files, without kept versions, the record (which has a duration) and half-written ones."""
        files = [path for path in (self.folder / out).iterdir() if path.is_file() and path.name != "run.json"]
        files = [path for path in files if not path.name.startswith(".")]
        return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path]:
    """A store, and weights to score with."""
    store, weights = write_store(tmp_path_factory.mktemp("store")), tmp_path_factory.mktemp("weights")
    spec = ModelSpec(parse_model(MODELS["unet"]), num_classes=2, channels=1, image_size=SIDE)
    torch.manual_seed(0)
    save_weights(weights / "model.safetensors", spec.build())
    (weights / "config.yaml").write_text(yaml.safe_dump({**spec.to_dict(), "seed": 0}))
    return store, weights


@pytest.fixture(scope="module")
def undisturbed(places, tmp_path_factory) -> dict[str, Work]:
    found = {}
    for kind in (*MODELS, "score"):
        folder = tmp_path_factory.mktemp(kind)
        work = Work(kind, *places, folder, folder / "log", {})
        end_of(start(time.sleep, 0))  # the server of forks is up
        started = time.monotonic()
        assert end_of(work.start()) == 0, work.log.read_text()
        work.seconds, work.expected = time.monotonic() - started, work.results()
        found[kind] = work
    return found


@pytest.fixture(params=[*MODELS, "score"])
def work(request, undisturbed, tmp_path) -> Work:
    known = undisturbed[request.param]
    return Work(
        known.kind, known.store, known.weights, tmp_path, tmp_path / "log", known.expected, known.seconds
    )


def killed_at_random_moments(work: Work, how=command) -> None:
    """Kill a run `KILLS` times and let it end: it ends with the bytes of an undisturbed one."""
    rng, kills, round_, resumed = random.Random(0), 0, 0, 0
    latest = work.seconds
    while kills < KILLS:
        process = work.start(f"round {round_}", how=how)
        process.join(rng.uniform(0, latest))
        process.kill()
        if end_of(process) == -signal.SIGKILL:
            kills += 1
            latest *= 1.5  # a machine that is busier now than it was must get to its first save, too
        else:  # it was done before: begin anew
            latest = work.seconds
            assert process.exitcode == 0, work.log.read_text()
            assert work.results(f"round {round_} out") == work.expected
            round_ += 1
    assert end_of(work.start(f"round {round_}", how=how)) == 0, work.log.read_text()
    assert work.results(f"round {round_} out") == work.expected
    resumed = work.log.read_text().count("resuming after" if work.kind in MODELS else "already scored")
    assert resumed > 0 and "Traceback" not in work.log.read_text()


def test_killed_at_random_moments(work):
    killed_at_random_moments(work)


def small_blocks(*arguments) -> None:
    """The command where four images are a block: three blocks, of whole batches as in one block."""
    from meddiff.scoring import blocks

    blocks._PAIRS_OF_BLOCK = 8
    command(*arguments)


def test_scoring_in_blocks_that_is_killed_goes_on(undisturbed, tmp_path):
    known = undisturbed["score"]
    work = Work(**{**vars(known), "folder": tmp_path, "log": tmp_path / "log"})
    killed_at_random_moments(work, how=small_blocks)
    assert list(work.folder.rglob("errors-0002.npy"))


def slow_disk(*arguments) -> None:
    """The command where writing a file to the disk takes long."""
    flush = os.fsync
    os.fsync = lambda handle: (time.sleep(0.1), flush(handle))
    command(*arguments)


def half_written(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob(".*-*")}


def test_killed_while_it_saves(work):
    """Weights of the best epoch, state and partial results: always the old or the new file is there."""
    rng = random.Random(1)
    for _ in range(KILLED_SAVES):
        process, seen, saves = work.start(save_minutes=0, how=slow_disk), set(), rng.randint(1, 4)
        while process.is_alive() and len(seen) < saves:
            seen |= half_written(work.state())
        process.kill()
        assert end_of(process) == -signal.SIGKILL and half_written(work.state()) & seen
    assert end_of(work.start()) == 0, work.log.read_text()
    assert work.results() == work.expected
    assert half_written(work.state()) == set() and "Traceback" not in work.log.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_stopped_at_random_moments_loses_nothing(work, number):
    """Saved on the signal only, and once at the start."""
    rng = random.Random(number)
    for _ in range(3):
        process = work.start(save_minutes=1e6)
        process.join(rng.uniform(0, 0.7 * work.seconds))
        if process.is_alive():
            os.kill(process.pid, number)
        assert end_of(process) in (1, -number, 0)  # after, or before it listens, or when it was done
    assert end_of(work.start(save_minutes=1e6)) == 0, work.log.read_text()
    assert work.results() == work.expected
    events = re.findall(r"(stopped|resuming)(?: in the validation)? after step (\d+)", work.log.read_text())
    for (what, step), (then, next_step) in pairwise(events):
        assert (what, then) != ("stopped", "resuming") or step == next_step


def test_two_at_the_same_time_do_the_work_once(work):
    both = [work.start("shared", out) for out in ("one", "other")]
    assert [end_of(process) for process in both] == [0, 0], work.log.read_text()
    assert work.results("one") == work.results("other") == work.expected
    log = work.log.read_text()
    assert log.count("another run does the same (process ") == 1
    if work.kind in MODELS:
        assert re.findall(r"resuming after step (\d+)", log) == [{"unet": "15", "timm": "36"}[work.kind]]


def full_disk(*arguments) -> None:
    """The command where no file can be larger than 20 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    command(*arguments)


@pytest.mark.parametrize("kind", ["unet"])
def test_a_full_disk_is_an_error_after_the_first_step(undisturbed, kind, tmp_path):
    work = Work(**{**vars(undisturbed[kind]), "folder": tmp_path, "log": tmp_path / "log"})
    assert end_of(work.start(save_minutes=1e6, how=full_disk)) == 1
    log = work.log.read_text()
    assert "state.safetensors: " in log and "MiB cannot be written" in log
    assert "epoch 0" not in log and "Traceback" not in log
    assert end_of(work.start()) == 0
    assert work.results() == work.expected


def test_a_state_folder_that_cannot_be_made_is_an_error(undisturbed, tmp_path):
    tmp_path.joinpath("file").touch()
    for work in undisturbed.values():
        log = tmp_path / f"{work.kind}.log"
        assert end_of(start(command, work.arguments(tmp_path, 0), tmp_path / "file" / "state", log)) == 1
        assert (
            "cannot be written there (Not a directory); make it writable, or name another" in log.read_text()
        )
