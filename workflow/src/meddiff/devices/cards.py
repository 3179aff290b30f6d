"""Graphics cards without a scheduler: which there are, and one of its own for every command that needs one.

Known without PyTorch, since Snakemake counts them when it starts. A card is taken by an advisory lock on a
file of the user's in the folder of temporary files: the system gives it up with the process, however that
ends. So jobs of one user on one machine, of the same run or of others, do not share a card.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from meddiff.errors import ConfigError

log = logging.getLogger("meddiff")

VISIBLE = "CUDA_VISIBLE_DEVICES"
_SLURM_JOB = "SLURM_JOB_ID"
_DRIVER = Path("/proc/driver/nvidia/gpus")
_LISTED = re.compile(r"^(GPU \d+:| +MIG ).*\(UUID: ((?:GPU|MIG)-[^)]+)\)", re.MULTILINE)
_UUID = re.compile(r"^GPU UUID:\s*(GPU-\S+)", re.MULTILINE)
_NAME = re.compile(r"\d+|(GPU|MIG)-\S+")
_PATIENCE_OF_DRIVER = 60  # seconds; without persistence mode it starts for every question
_SECONDS_BETWEEN_LOOKS = 1.0


def visible_cards(environment: Mapping[str, str] = os.environ) -> list[str]:
    """The NVIDIA cards that CUDA shows to this process, by the names that ``CUDA_VISIBLE_DEVICES`` takes.

    Those of that variable where it is set, else all of the machine (UUIDs). Parts of a card that was divided
    (MIG) count as cards.
    """
    listed = environment.get(VISIBLE)
    if listed is None:
        return _cards_of_machine()
    names: list[str] = []
    for name in map(str.strip, listed.split(",")):
        if not _NAME.fullmatch(name):  # CUDA sees nothing from here on
            break
        names.append(name)
    return names


@contextmanager
def own_cards(number: int, folder: Path | None = None) -> Iterator[None]:
    """Make `number` cards the only ones that CUDA will show, and keep them until the end.

    To be entered before CUDA starts; waits until so many are free. Nothing happens on a machine without
    cards, and in a job of Slurm that was not given any by name. Where ``CUDA_VISIBLE_DEVICES`` names no more
    cards than are needed, somebody has chosen already (Slurm does it so): these are used without waiting.

    Args:
        number: how many; at most all there are.
        folder: of the locks; one of the user's for the whole machine where not given.

    Raises:
        ConfigError: if that folder belongs to somebody else.
    """
    cards = visible_cards() if number else []
    before = os.environ.get(VISIBLE)
    if not cards or (before is None and _SLURM_JOB in os.environ):
        yield
        return
    number = min(number, len(cards))
    waits = before is None or number < len(cards)
    with ExitStack() as held:
        taken = _take(cards, number, folder or _folder_of_locks(), held, waits)
        os.environ[VISIBLE] = ",".join(taken)
        log.info("GPU: %s of %d", os.environ[VISIBLE], len(cards))
        try:
            yield
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


def _take(cards: Sequence[str], number: int, folder: Path, held: ExitStack, waits: bool) -> list[str]:
    """Names of `number` cards, whose locks `held` has from now on; without `waits` perhaps not all."""
    identities = _identities(cards)
    told = False
    while True:
        with ExitStack() as attempt:
            # One at a time: two jobs that want two cards must not have one each.
            attempt.enter_context(_locked(folder / "choosing.lock", wait=True))
            taken = []
            with ExitStack() as locks:
                for name in cards:
                    if len(taken) < number and _lock(folder / f"{identities[name]}.lock", locks):
                        taken.append(name)
                if len(taken) == number or not waits:
                    held.enter_context(locks.pop_all())
                    return taken if waits else list(cards)
        if not told:
            log.info("%d of %d GPUs are free, %d needed: waiting", len(taken), len(cards), number)
            told = True
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _lock(path: Path, held: ExitStack) -> bool:
    """Whether nobody has the lock of `path`; then `held` has it."""
    try:
        held.enter_context(_locked(path, wait=False))
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[None]:
    # Never deleted: whoever has opened the old file would lock another one than who makes the new.
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def _folder_of_locks() -> Path:
    folder = Path(tempfile.gettempdir()) / f"meddiff-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(
            f"{folder}: not a folder of yours, so GPUs cannot be shared out there; remove it, set TMPDIR to "
            f"another folder, or choose a GPU yourself with {VISIBLE}"
        )
    return folder


def _identities(cards: Sequence[str]) -> dict[str, str]:
    """What a card is called in the name of its lock: its UUID, also where the user names it by number."""
    known = _cards_of_machine() if any(name.isdecimal() for name in cards) else []
    numbered = {str(number): uuid for number, uuid in enumerate(known)}
    return {name: re.sub(r"[^\w-]", "_", numbered.get(name, name)) for name in cards}


def _cards_of_machine() -> list[str]:
    """UUIDs of all cards that the driver shows."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_PATIENCE_OF_DRIVER, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        information = sorted(_DRIVER.glob("*/information"))
        texts = [path.read_text(encoding="utf-8", errors="replace") for path in information]
        return [match[1] if (match := _UUID.search(text)) else str(i) for i, text in enumerate(texts)]
    cards: list[list[str]] = []  # of each its own UUID, and those of its parts
    for start, uuid in _LISTED.findall(listing):
        if start.startswith("GPU"):
            cards.append([uuid])
        elif cards:
            cards[-1].append(uuid)
    return [uuid for card in cards for uuid in (card[1:] or card)]
