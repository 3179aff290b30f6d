"""Weights that training begins from: fetched once from the Hugging Face hub, used offline ever after."""

from __future__ import annotations

import shutil
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from meddiff.checksums import check, checksums
from meddiff.config.schema.pretrained import PretrainedConfig
from meddiff.errors import CheckpointError
from meddiff.io import atomic_path, read_json, write_json
from meddiff.records.record import FOLDER

MANIFEST, RECORD = "manifest.json", "record.json"


def fetch_pretrained(name: str, config: PretrainedConfig, folder: Path | None, out_dir: Path) -> None:
    """Put a model's pretrained weights into `out_dir` and write their manifest.

    ``manifest.json`` is ``{"repo", "revision", "files": {path: {"sha256", "size"}}}``; the revision is the
    commit that the files come from. ``record.json`` says the same and stays where the manifest is deleted:
    what is fetched again comes from the same commit and must have the same content.

    Args:
        name: the model's name, for messages.
        config: repository, revision and files.
        folder: a folder of the user's that has the files already; None to download them.
        out_dir: gets the files, under their paths in the repository.

    Raises:
        CheckpointError: if a file is not there, cannot be fetched, or is not what it was.
    """
    record = _record(out_dir / RECORD, config)
    if folder:
        revision = config.revision
        _copy(name, config, folder, out_dir)
    else:
        revision = _download(name, config, record["revision"] if record else config.revision, out_dir)
    files = {path: out_dir / path for path in _matching(config, out_dir, f"{config.repo} ({name})")}
    if record:
        check(files, record["files"], out_dir / RECORD)
    else:
        record = {"repo": config.repo, "revision": revision, "files": checksums(files)}
        write_json(out_dir / RECORD, {**record, "requested": _request(config)})
    write_json(out_dir / MANIFEST, {key: record[key] for key in ("repo", "revision", "files")})


def verified_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of the pretrained weights in `folder`, after checking that the files are those it lists.

    Raises:
        CheckpointError: if they are not, or there is no manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise CheckpointError(f"{path}: missing; `python -m meddiff pretrained` fetches pretrained weights")
    manifest = read_json(path)
    check({name: folder / name for name in manifest["files"]}, manifest["files"], path)
    return manifest


def _record(path: Path, config: PretrainedConfig) -> dict[str, Any] | None:
    """What was fetched earlier for the same configuration."""
    if not path.is_file():
        return None
    record = read_json(path)
    return record if record["requested"] == _request(config) else None


def _request(config: PretrainedConfig) -> dict[str, Any]:
    return config.model_dump(mode="json", include={"repo", "revision", "files"})


def _copy(name: str, config: PretrainedConfig, folder: Path, out_dir: Path) -> None:
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such folder; it was named as pretrained_{name} (--config or MEDDIFF_PRETRAINED_"
            f"{name.upper()})"
        )
    for path in _matching(config, folder, f"pretrained_{name}={folder}"):
        if (folder / path).resolve() != (out_dir / path).resolve():
            with atomic_path(out_dir / path) as temporary:
                shutil.copyfile(folder / path, temporary)


def _download(name: str, config: PretrainedConfig, revision: str, out_dir: Path) -> str:
    """Download what is not there yet; the commit it comes from."""
    try:
        return _download_from_hub(config.repo, revision, config.files, out_dir)
    except (OSError, ValueError) as error:  # no connection, no such repository, no such revision
        raise CheckpointError(
            f"{config.repo} ({revision}): cannot be fetched from the Hugging Face hub: {error}; run again to "
            f"go on, or name a folder that has {', '.join(config.files)} with --config pretrained_{name}=PATH"
        ) from error


def _download_from_hub(repo: str, revision: str, patterns: list[str], out_dir: Path) -> str:
    """The one place that asks the hub: download into `out_dir` and return the commit."""
    from huggingface_hub import model_info, snapshot_download

    commit = model_info(repo, revision=revision).sha
    snapshot_download(repo, revision=commit, allow_patterns=patterns, local_dir=out_dir)
    return commit


def _matching(config: PretrainedConfig, folder: Path, where: str) -> list[str]:
    """Paths below `folder` that the configuration names.

    Raises:
        CheckpointError: if a name or pattern matches nothing.
    """
    own = {MANIFEST, RECORD}
    paths = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    paths = [path for path in paths if path not in own and not path.startswith((".", f"{FOLDER}/"))]
    for pattern in config.files:
        if not any(fnmatchcase(path, pattern) for path in paths):
            raise CheckpointError(f"{where}: has no file {pattern}")
    return [path for path in paths if any(fnmatchcase(path, pattern) for pattern in config.files)]
