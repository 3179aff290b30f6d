"""An interpreter that has imported the libraries already, for the hundreds of jobs of the workflow's tests.

Most of the time of a job on sixty small images goes into importing torch, diffusers and pandas. So a
server, one for each process of pytest, imports them once, and forks for each ``python -m meddiff`` or
``python -m snakemake`` of a test. Nothing of this package is imported before the fork: a job reads the code
of its own project, its own environment variables, folder and arguments, as a new interpreter would. What
differs: jobs of one server have one seed of hashes, so tests that compare two runs, and those that kill jobs,
start cold (`Project.warm`). ``MEDDIFF_TESTS_COLD=1`` starts all of them cold.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from pathlib import Path

# What jobs and Snakemake import, but for Snakemake itself, which remembers where it was imported.
LIBRARIES = (
    *("accelerate", "configargparse", "dvc.commands.add", "dvc.commands.checkout", "dvc.repo", "h5netcdf"),
    *("diffusers.models.transformers.dit_transformer_2d", "diffusers.models.unets.unet_2d_condition"),
    *("diffusers.optimization", "diffusers.training_utils", "humanfriendly", "immutables"),
    *("matplotlib.pyplot", "pandas", "PIL.Image", "pulp", "pyarrow.parquet", "pydantic", "rich.console"),
    *("safetensors.torch", "scipy.optimize", "scipy.stats", "sklearn.linear_model", "sklearn.metrics"),
    *("sqlmodel", "tabulate", "throttler", "timm", "torch", "torchvision", "tqdm", "wrapt", "xarray", "yaml"),
)
COMMANDS = ("meddiff", "snakemake", "dvc")
FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)

# It starts in 15 ms, since it imports neither site-packages nor json.
CLIENT = """#!{python} -IS
import os, signal, socket, sys

arguments = sys.argv[1:]
if arguments[:1] != ["-m"] or arguments[1:2] not in [[name] for name in {commands!r}]:
    os.execv({python!r}, [{python!r}, *arguments])
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect({address!r})
ignored = [n for n in {forwarded!r} if signal.getsignal(n) == signal.SIG_IGN]
for number in {forwarded!r}:
    if number not in ignored:
        signal.signal(number, lambda n, _: server.send(bytes([n])))
mask = os.umask(0)
words = [os.getcwd(), str(mask), " ".join(map(str, ignored)), str(len(arguments)), *arguments]
words += [name + "=" + value for name, value in os.environ.items()]
message = "\\0".join(words).encode("utf-8", "surrogateescape")
socket.send_fds(server, [len(message).to_bytes(8, "big")], [0, 1, 2])
server.sendall(message)
status = int.from_bytes(server.recv(4), "big", signed=True)
if status < 0:
    if -status in {forwarded!r}:
        signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
os._exit(status)
"""


@functools.cache
def folder() -> Path | None:
    """The folder with the ``python`` to put first on PATH; None where jobs are to start cold."""
    if os.environ.get("MEDDIFF_TESTS_COLD"):
        return None
    made = tempfile.TemporaryDirectory(prefix="warm-python-")
    address = f"{made.name}/socket"
    server = subprocess.Popen(
        [sys.executable, __file__, address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    atexit.register(_end, server, made)
    assert server.stdout is not None
    ready = server.stdout.readline()
    assert ready == "ready\n", f"the warm interpreter did not start: {ready!r}"
    for name in ("python", "python3"):
        client = Path(made.name) / name
        forwarded = [int(number) for number in FORWARDED]
        client.write_text(
            CLIENT.format(python=sys.executable, commands=COMMANDS, address=address, forwarded=forwarded)
        )
        client.chmod(0o755)
    return Path(made.name)


def _end(server: subprocess.Popen[str], made: tempfile.TemporaryDirectory[str]) -> None:
    assert server.stdin is not None
    server.stdin.close()
    server.wait()
    made.cleanup()


def serve(address: str) -> None:
    """Fork for every client, until standard input closes."""
    os.environ["MPLBACKEND"] = "agg"
    for name in LIBRARIES:
        importlib.import_module(name)
    del os.environ["MPLBACKEND"]
    tasks = os.listdir("/proc/self/task")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(address)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert threading.active_count() == 1, f"a fork would lose threads: {threading.enumerate()}, {tasks}"
    print("ready", flush=True)
    while True:
        readable, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in readable:
            return
        client, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            _keep(client, address)
        client.close()


def _keep(client: socket.socket, address: str) -> None:
    """Fork the job, hand signals to it and its status to the client."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, descriptors, _, _ = socket.recv_fds(client, 8, 3)
    message = bytearray()
    while len(message) < int.from_bytes(size, "big"):
        message += client.recv(1 << 20)
    job = os.fork()
    if job == 0:
        client.close()
        sys.executable = str(Path(address).with_name("python"))  # what the job starts is warm, too
        _run(bytes(message).decode("utf-8", "surrogateescape").split("\0"), descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(job)
    while True:
        readable, _, _ = select.select([client, ended], [], [])
        if ended in readable:
            status = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
            with contextlib.suppress(BrokenPipeError):  # the client was killed
                client.sendall(status.to_bytes(4, "big", signed=True))
            os._exit(0)
        numbers = client.recv(64)
        for number in numbers or [signal.SIGKILL]:
            os.kill(job, number)
        if not numbers:
            os.waitpid(job, 0)
            os._exit(0)


def _run(words: list[str], descriptors: list[int]) -> None:
    """Become what the client was asked to be."""
    where, mask, ignored, count, *rest = words
    arguments, variables = rest[: int(count)], rest[int(count) :]
    for number in map(int, ignored.split()):
        signal.signal(number, signal.SIG_IGN)
    for descriptor, target in zip(descriptors, (0, 1, 2), strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    os.umask(int(mask))
    os.chdir(where)
    os.environ.clear()
    os.environ.update(variable.split("=", 1) for variable in variables)
    sys.path[0:1] = [where, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv = arguments[1:]
    sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 (they live as long as the process)
    sys.stderr = open(2, "w", buffering=1)  # noqa: SIM115
    status: object = 0
    try:
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code
        if isinstance(status, str):
            print(status, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status if isinstance(status, int) else int(status is not None))


if __name__ == "__main__":
    serve(sys.argv[1])
