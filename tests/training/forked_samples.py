"""Processes that are forked from one that has imported everything: they start in milliseconds."""

from __future__ import annotations

import datetime
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import distributed as dist

from meddiff.cli import main
from meddiff.training.distributed import Processes

# The server of forks imports these; it never computes anything, so a fork of it may do so.
_IMPORTED = [
    "meddiff.training.run",
    "meddiff.scoring.run",
    "meddiff.networks.classifier",
    "meddiff.networks.unet",
    "meddiff.networks.dit",
    "meddiff.training.tasks.diffusion",
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_IMPORTED)

SECONDS = 300  # no test waits longer for a process


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Begin `function`, which must be importable, in a process of its own."""
    process = _CONTEXT.Process(target=function, args=arguments, daemon=True)
    process.start()
    return process


def end_of(process: BaseProcess) -> int:
    """Wait for the end; the exit code."""
    process.join(SECONDS)
    assert process.exitcode is not None, "the process hangs"
    return process.exitcode


def command(arguments: list[str], state: Path, log: Path) -> None:
    """``python -m meddiff <arguments>``."""
    os.environ["MEDDIFF_STATE_DIR"] = str(state)
    torch.set_num_threads(1)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, sys.stderr.fileno())
    sys.exit(main(arguments))


def together(
    count: int, function: Callable[..., None], folder: Path, *arguments: Any, patience: float = SECONDS
) -> None:
    """Run ``function(processes, *arguments)`` in `count` processes that can talk to each other.

    Args:
        folder: for the file by which they find each other; of this call only.
        patience: seconds that a process waits for the others in an exchange of gradients.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings = (count, folder / "meeting", patience, function, arguments)
    ranks = [start(_rank, rank, *settings) for rank in range(count)]
    assert [end_of(process) for process in ranks] == [0] * count


def _rank(
    rank: int, count: int, meeting: Path, patience: float, function: Callable[..., None], arguments: tuple
) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
    os.environ |= {"LOCAL_WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": "0"}
    limit = datetime.timedelta(seconds=patience)
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=count, timeout=limit
    )
    function(Processes(Accelerator(cpu=True)), *arguments)
    dist.destroy_process_group()
