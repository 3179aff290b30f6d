"""Folders in which one process at a time works, such as those of resume states."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from meddiff.errors import CheckpointError, Interrupted

log = logging.getLogger("meddiff")

LOCK = "lock"
_SECONDS_BETWEEN_TRIES = 1.0


class StateLock:
    """The right to write in one state folder, which the system takes back however the process ends."""

    def __init__(self, folder: Path) -> None:
        """Make the folder.

        Raises:
            CheckpointError: if it cannot be made or written.
        """
        self.folder = folder
        with self._writable():
            folder.mkdir(parents=True, exist_ok=True)
            # Without a buffer, which would be written again, and fail again, when the file is closed.
            self._stream = open(folder / LOCK, "a+b", buffering=0)  # noqa: SIM115 (closed by `release`)

    def acquire(self) -> bool:
        """Try to get it; whether it is ours now.

        Raises:
            CheckpointError: if the folder cannot be written.
        """
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            log.warning("%s: this file system has no locks (%s): never run one job twice", self.folder, error)
            return True
        with self._writable():
            self._stream.truncate(0)
            self._stream.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
            for leftover in self.folder.rglob(".*-*"):  # of writes that were killed half-way
                leftover.unlink(missing_ok=True)
        return True

    def holder(self) -> str:
        """Who has it, in words."""
        self._stream.seek(0)
        return self._stream.read().decode(errors="replace") or "an unknown process"

    def release(self) -> None:
        """Give it back."""
        self._stream.close()

    @contextmanager
    def _writable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"{self.folder}: resume states cannot be written there ({error.strerror}); make it writable, "
                "or name another folder in MEDDIFF_STATE_DIR"
            ) from error


@contextmanager
def reserved(folder: Path, stop: Callable[[], bool]) -> Iterator[None]:
    """Make `folder` and keep it for this run; wait while another process, on whatever node, works in it.

    That process does the same work, so what it has done is found there afterwards.

    Args:
        folder: of a resume state; its name identifies params, code and data.
        stop: asked while waiting.

    Raises:
        CheckpointError: if the folder cannot be written.
        Interrupted: if asked to stop while waiting.
    """
    lock = StateLock(folder)
    try:
        waiting = False
        while not lock.acquire():
            if not waiting:
                log.warning("%s: another run does the same (%s); waiting for it", folder, lock.holder())
            waiting = True
            if stop():
                raise Interrupted(f"stopped while another run works in {folder}")
            time.sleep(_SECONDS_BETWEEN_TRIES)
        yield
    finally:
        lock.release()


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold an exclusive lock; wait for it. The system frees it when this process ends, however it ends.

    Args:
        path: a file for it, made where it is missing, in a folder that is there.
        what: is locked, for messages, such as ``this store``.
    """
    with open(path, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("%s: another process prepares %s; waiting for it", path.parent, what)
            fcntl.flock(stream, fcntl.LOCK_EX)
        except OSError as error:  # some network file systems have no locks
            log.warning(
                "%s: cannot be locked (%s); let no second process prepare %s now", path.parent, error, what
            )
        yield
