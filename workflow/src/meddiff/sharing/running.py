"""Which runs of Snakemake work in this folder: whether a locked folder is in use, or a run was killed."""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

FOLDER = Path(".meddiff/running")
LOCKS = Path(".snakemake/locks")
_held: list[IO[str]] = []


def announce() -> None:
    """Say that this process works here, until it ends, however it ends."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{socket.gethostname()}-{os.getpid()}"
    stream = open(path, "w", encoding="utf-8")  # noqa: SIM115 (held for the life of the process)
    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    stream.write(f"process {os.getpid()} on {socket.gethostname()}")
    stream.flush()
    _held.append(stream)


def others() -> list[str]:
    """The other processes that work here, in words; what those that have ended left is removed."""
    own = {Path(stream.name).name for stream in _held}
    found = []
    for path in sorted(FOLDER.glob("*")):
        if path.name in own:
            continue
        with open(path, encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append(stream.read() or path.name)
            else:
                path.unlink()
    return found


def advice() -> str | None:
    """What to do where Snakemake has locked this folder for another run that is going on; None elsewhere."""
    if not LOCKS.is_dir() or not any(LOCKS.iterdir()):
        return None
    running = others()
    if not running:
        return None
    return (
        f"Snakemake is running in this folder already ({', '.join(running)}). If both runs make a file, this "
        "one stops: start it again when the other has ended. Do not use --unlock while it runs."
    )
