"""Copies of stores on the disk of the node that a job runs on, where reading is faster than over the network.

What cannot be copied is used where it is: a copy changes speed, and no result.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from meddiff.config.schema.compute import Scratch
from meddiff.data.stores.store_files import INDEX, MANIFEST, check_images, read_manifest
from meddiff.errors import ConfigError, DataError, DiskError, MeddiffError
from meddiff.io import atomic_path, sha256_file
from meddiff.state_folder import locked

_LEFT_FREE = 0.05  # of the size of what is copied: other jobs write there, too

log = logging.getLogger("meddiff")


def on_scratch(store_dir: Path, splits: Sequence[str], scratch: Scratch | None) -> Path:
    """The folder to read a store from: a copy on the node's own disk, or `store_dir`.

    The copy is made once a node: jobs that want it wait for the one that makes it. It has the name of the
    manifest's checksum, so a store that was made again is another one, and its images are compared with their
    checksums whenever a job begins. Why there is no copy is a warning in the log.

    Args:
        store_dir: folder of the store.
        splits: the parts that will be read.
        scratch: where copies go; None for no copy.
    """
    if scratch is None:
        return store_dir
    try:
        return _copied(store_dir, splits, _own_folder(scratch))
    except (OSError, MeddiffError) as error:
        log.warning("%s: is read where it is, without a copy on the node: %s", store_dir, error)
        return store_dir


def _own_folder(scratch: Scratch) -> Path:
    """This user's folder for copies, which nobody else can write."""
    named = scratch.folder
    if scratch.variable is not None:
        named = os.environ.get(scratch.variable)
        if not named:
            raise ConfigError(f"compute.scratch: the variable {scratch.variable} is not set on this node")
    if not Path(named).is_dir():
        raise ConfigError(f"compute.scratch: there is no folder {named} on this node")
    folder = Path(named) / f"meddiff-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Where all may write, such as /tmp, another user may have made it first.
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ConfigError(f"compute.scratch: {folder} is not this user's; remove it, or name another folder")
    return folder


def _copied(store_dir: Path, splits: Sequence[str], scratch: Path) -> Path:
    for split in splits:
        read_manifest(store_dir, split)
    copy = scratch / sha256_file(store_dir / MANIFEST)[:16]
    copy.mkdir(exist_ok=True)
    with locked(copy / ".lock", "this copy"):
        for name in (MANIFEST, INDEX):
            if not (copy / name).is_file():
                _copy_file(store_dir / name, copy / name)
        missing = [split for split in splits if not _is_whole(copy, split)]
        size = sum((store_dir / f"{split}.npy").stat().st_size for split in missing)
        free = shutil.disk_usage(copy).free
        if size * (1 + _LEFT_FREE) > free:
            raise DiskError(f"{copy}: {size >> 20} MiB are needed, {free >> 20} MiB are free")
        for split in missing:
            log.info("%s.npy of %s: copying to %s", split, store_dir, copy)
            _copy_file(store_dir / f"{split}.npy", copy / f"{split}.npy")
            if not _is_whole(copy, split):
                (copy / f"{split}.npy").unlink()
                raise DataError(f"{copy}: the copy of {split}.npy is not what the store's manifest says")
    return copy


def _copy_file(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _is_whole(copy: Path, split: str) -> bool:
    """Whether the copy has these images, as they were stored."""
    try:
        check_images(copy, split)
    except DataError:
        return False
    return True
