"""Start the processes of a training: ``accelerate launch``, with stop signals and exit codes passed on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event, Thread

import psutil
import torch
from accelerate.commands.launch import launch_command, launch_command_parser
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from meddiff.errors import ConfigError, MeddiffError
from meddiff.signals import stop_signal

# What processes get to save after a SIGTERM, in seconds. Slurm gives less (KillWait) and then kills all.
_GRACE = ("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "120")
_SECONDS_BETWEEN_LOOKS = 0.5


def launch(command: Sequence[str], processes: int, threads: int) -> None:
    """Run ``python -m meddiff <command>`` in `processes` processes that can talk to each other, to the end.

    SIGTERM and SIGUSR1 reach all of them, also when only this process gets one. If one process fails, the
    others are ended.

    Args:
        command: arguments of the command.
        processes: how many; one a GPU where there are GPUs.
        threads: CPU threads of each; 0 for one.

    Raises:
        ConfigError: if there are GPUs, but not enough.
        MeddiffError: if a process failed, or all were stopped; they have said why.
    """
    gpus = torch.cuda.device_count()
    if 0 < gpus < processes:
        raise ConfigError(
            f"compute.processes is {processes}, but {gpus} GPUs can be seen; every process needs one"
        )
    options = ["--multi_gpu", "--num_machines", "1", "--num_processes", str(processes)]
    options += ["--mixed_precision", "no", "--dynamo_backend", "no"]  # training sets both itself
    options += ["--machine_rank", "0", "--gpu_ids", "all"]  # whatever the user has configured for accelerate
    options += ["--main_process_port", "0"]  # any that is free: two trainings may share a machine
    options += ["--num_cpu_threads_per_process", str(threads or 1)]
    arguments = launch_command_parser().parse_args([*options, "--module", "meddiff", *command])
    os.environ.setdefault(*_GRACE)
    if not gpus:
        os.environ["ACCELERATE_USE_CPU"] = "true"
    try:
        with _stop_passed_on(stop_signal()):
            launch_command(arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        raise MeddiffError(
            f"process {rank} of {processes} ended with exit code {failure.exitcode}"
        ) from error
    except SignalException as error:
        raise MeddiffError(f"the processes were stopped by {error.sigval.name}") from error


@contextmanager
def _stop_passed_on(asked: Callable[[], bool]) -> Iterator[None]:
    """Tell the processes of the training when this one is asked to stop, also those that start later.

    PyTorch passes SIGTERM on, but only once it has started all of them, and never SIGUSR1.
    """
    ended = Event()

    def watch() -> None:
        told: set[int] = set()
        while not ended.wait(_SECONDS_BETWEEN_LOOKS):
            # Once each: Python no longer listens while it ends, and would die of a second one.
            new = [child for child in psutil.Process().children() if child.pid not in told] if asked() else []
            for child in new:
                told.add(child.pid)
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(signal.SIGUSR1)

    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
