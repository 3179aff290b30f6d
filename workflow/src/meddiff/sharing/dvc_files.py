"""Files in DVC: track, push, pull, and compare with what was tracked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc_data.hashfile.tree import Tree

from meddiff.errors import ReleaseError
from meddiff.io import write_text
from meddiff.progress import track

_BLOCK = 1 << 20


class DvcFiles:
    """The DVC repository of the working folder."""

    def __init__(self) -> None:
        """Open it.

        Raises:
            ReleaseError: if there is none.
        """
        # Its own progress bars and hints go to the log of meddiff only where they are problems.
        logging.getLogger("dvc").setLevel(logging.ERROR)
        with _explained("DVC"):
            self._repo = Repo(".")

    def has_remote(self) -> bool:
        """Whether there is a place to push to and pull from."""
        return bool(self._repo.config["core"].get("remote"))

    def track(self, dvc_file: Path, wdir: str, outs: Sequence[str], *, keep: bool) -> None:
        """Put files and folders into DVC, all by one ``.dvc`` file.

        Args:
            dvc_file: the file to write.
            wdir: folder that `outs` are relative to, from the folder of `dvc_file`.
            outs: files and folders.
            keep: leave other entries of the file as they are, or remove them.

        Raises:
            ReleaseError: if DVC cannot.
        """
        entries: list[dict[str, Any]] = [{"path": out} for out in outs]
        if keep and dvc_file.is_file():
            known = yaml.safe_load(dvc_file.read_text(encoding="utf-8"))["outs"]
            entries += [entry for entry in known if entry["path"] not in outs]
        document = {"wdir": wdir, "outs": sorted(entries, key=lambda entry: entry["path"])}
        write_text(dvc_file, yaml.safe_dump(document, sort_keys=False))
        with _explained(str(dvc_file)):
            self._repo.commit(str(dvc_file), force=True, allow_missing=keep)

    def commit_stage(self, name: str) -> None:
        """Record outputs and inputs of a stage of ``dvc.yaml`` as they are, without running it."""
        with _explained(f"stage {name}"):
            self._repo.commit(name, force=True)

    def push(self, dvc_files: Iterable[Path]) -> int:
        """Send what these ``.dvc`` files track to the remote; return the number of files sent."""
        with _explained("dvc push"):
            return self._repo.push(targets=[str(path) for path in dvc_files])

    def pull(self, paths: Iterable[str], *, force: bool) -> None:
        """Fetch tracked files and folders and put them in their places.

        Raises:
            ReleaseError: if something is not to be had, or would replace a file that DVC does not have.
        """
        # Without a remote, what the cache has can still be put in its place.
        no_remote = "" if self.has_remote() else " (no remote: `dvc remote add --default NAME URL`)"
        with _explained(f"dvc pull{no_remote}"):
            self._repo.pull(targets=list(paths), force=force)

    def check(self, paths: Iterable[str]) -> None:
        """Read tracked files again and compare with the checksums of their ``.dvc`` files.

        A damaged file is removed, from its place and from the cache, so that it is fetched anew.

        Raises:
            ReleaseError: naming what was missing or damaged.
        """
        expected = [entry for path in paths for entry in self._files(path)]
        damaged = []
        for file, md5 in track(expected, "checking"):
            if not file.is_file() or _md5(file) != md5:
                file.unlink(missing_ok=True)
                Path(self._repo.cache.local.oid_to_path(md5)).unlink(missing_ok=True)
                damaged.append(str(file))
        if damaged:
            raise ReleaseError(
                f"{damaged[0]} (and {len(damaged) - 1} more): missing or damaged after dvc pull; what was "
                "damaged was removed here. Restore again; if this comes back, the copy in the remote is "
                "damaged, and has to be pushed again from where the run is"
            )

    def _files(self, path: str) -> Iterator[tuple[Path, str]]:
        """(file, MD5) of everything tracked at `path`."""
        with _explained(path):
            (out,) = self._repo.find_outs_by_path(path)
            found = out.get_obj()
        if found is None:
            raise ReleaseError(f"{path}: the cache of DVC has no list of its files; restore again")
        if isinstance(found, Tree):
            yield from ((Path(path, *key), hash_info.value) for key, _, hash_info in found)
        else:
            yield Path(path), out.hash_info.value


def _md5(path: Path) -> str:
    # DVC's choice. Weights are compared by SHA-256 as well, with the record in git.
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except DvcException as error:
        raise ReleaseError(f"{what}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What DVC says, with the error below it that has the details."""
    parts = [str(error)]
    if error.__cause__ is not None:
        parts.append(str(error.__cause__))
    return "; ".join(part for part in parts if part)
