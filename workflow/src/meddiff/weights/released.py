"""The authors' released weights: find the folder of a model, fetch its files, record what they are.

Only the files that a kind of model needs are listed, fetched and hashed: safetensors and text. The pickles
beside them (optimizer, random states) are neither downloaded nor opened.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from meddiff.checksums import check, checksums
from meddiff.errors import CheckpointError, ConfigError
from meddiff.io import read_json, write_json
from meddiff.progress import track


@dataclass(frozen=True)
class Release:
    """How weights of one kind of model were released.

    Attributes:
        files: what a folder must have, as paths or patterns relative to it.
        importer: function that loads such a folder, as ``module:name``: ``(folder, model) -> None``.
        optional: what it may have and is needed then.
    """

    files: tuple[str, ...]
    importer: str
    optional: tuple[str, ...] = ()


# By name, as in meddiff.models.kinds: an edit of one importer makes no other kind's weights stale.
RELEASES: dict[str, Release] = {
    "unet": Release(
        ("model_1.safetensors", "model_2.safetensors"),
        "meddiff.weights.official:load_official_diffusion",
    ),
    "dit": Release(("model_1.safetensors",), "meddiff.weights.official:load_official_diffusion"),
    "stable_diffusion": Release(
        (
            *("unet/config.json", "unet/*.safetensors", "vae/config.json", "vae/*.safetensors"),
            *("text_encoder/config.json", "text_encoder/*.safetensors", "tokenizer/*.json"),
            "scheduler/scheduler_config.json",
        ),
        "meddiff.weights.official:load_official_pipeline",
        optional=("tokenizer/*.txt",),
    ),
    "timm": Release(("model.safetensors",), "meddiff.weights.official_baselines:load_official_baseline"),
}
# Where several folders of a release fit, the authors' training loop names the selected one so.
_SELECTED = "best_checkpoint"


def release_of(kind: str) -> Release:
    """How weights of a kind of model were released.

    Raises:
        ConfigError: if nothing says how.
    """
    if kind not in RELEASES:
        raise ConfigError(
            f"released: weights of models of kind {kind!r} cannot be taken: RELEASES of "
            "meddiff/weights/released.py does not say which files they are and what loads them; it does for "
            f"{', '.join(RELEASES)}"
        )
    return RELEASES[kind]


def importer_module(kind: str) -> str:
    """The module that loads released weights of a kind of model; see `release_of`."""
    return release_of(kind).importer.partition(":")[0]


def list_released(folder_id: str, folder: Path | None, listing: Path) -> None:
    """Write what the release holds: ``{"files": [{"path", "id"}]}``; no ids for a folder of the user's.

    Args:
        folder_id: of the authors' folder in Google Drive.
        folder: the user's copy of it; None to ask Google Drive.
        listing: the file to write.

    Raises:
        CheckpointError: if the folder is not there or cannot be listed.
    """
    if folder:
        files = [{"path": path} for path in _walk(folder)]
    else:
        files = [{"path": path, "id": file_id} for path, file_id in _list_drive(folder_id)]
    write_json(listing, {"files": sorted(files, key=lambda file: file["path"])})


def fetch_released(
    kind: str, release: str, listing: Path, folder: Path | None, files_dir: Path, record: Path, manifest: Path
) -> None:
    """Make the files of one released model available and write their manifest.

    The manifest is ``{"release", "files": {path: {"sha256", "size"}}}`` with paths relative to the model's
    folder, wherever it lies. `record` says the same and stays where the manifest is deleted.

    Args:
        kind: the kind of model.
        release: the model's folder in the release, as `find_release` looks for it.
        listing: as `list_released` writes it; not used for a folder of the user's.
        folder: the user's copy of the release, which is left as it is; None to download into `files_dir`.

    Raises:
        CheckpointError: if a file is not there, cannot be fetched, or is not what it was.
    """
    files = find_files(folder, kind, release) if folder else _download(kind, release, listing, files_dir)
    if record.is_file():
        recorded = read_json(record)
        check(files, recorded["files"], record)
    else:
        recorded = {"release": release, "files": checksums(files)}
        write_json(record, recorded)
    write_json(manifest, recorded)


def verified_files(folder: Path, kind: str, release: str, manifest: Path) -> Path:
    """The folder of one released model below `folder`, after checking its files against `manifest`.

    Raises:
        CheckpointError: if it is not there, or its files are not those of the manifest.
    """
    files = find_files(folder, kind, release)
    check(files, read_json(manifest)["files"], manifest)
    name, path = next(iter(files.items()))
    return path.parents[len(PurePosixPath(name).parts) - 1]


def find_files(folder: Path, kind: str, release: str) -> dict[str, Path]:
    """The files of one released model in a copy of the release: path in the model's folder -> path.

    Raises:
        CheckpointError: naming what was looked for, and where.
    """
    # The folder may be the release, a part of it or the model's own: the folders above it count.
    above = folder.resolve().as_posix()
    found = find_release([f"{above}/{path}" for path in _walk(folder)], kind, release, str(folder))
    return {name: folder / path.removeprefix(f"{above}/") for name, path in found.items()}


def find_release(paths: Iterable[str], kind: str, release: str, where: str) -> dict[str, str]:
    """Pick the files of one model among all `paths` of a release.

    The model's folder is the one whose path has the parts of `release` in their order (more may lie before,
    between and after them) and which has all files of its kind. The one nearest to the root is taken; among
    equals the one called ``best_checkpoint``.

    Args:
        paths: of all files, with ``/``.
        release: e.g. ``isic-classifier/best_checkpoint_resnet18``.
        where: what is searched, for messages.

    Returns:
        Path in the model's folder -> the path in `paths`.

    Raises:
        CheckpointError: if no folder fits, or several do.
    """
    folders: dict[PurePosixPath, list[str]] = {}
    for path in map(PurePosixPath, paths):
        for parent in path.parents:
            folders.setdefault(parent, []).append(path.relative_to(parent).as_posix())
    wanted = PurePosixPath(release).parts
    fitting = {f: names for f, names in folders.items() if _in_order(wanted, f.parts)}
    expected = release_of(kind)
    complete = {f: _matching(names, expected) for f, names in fitting.items()}
    complete = {f: names for f, names in complete.items() if names}
    if not complete:
        problem = f"no folder {release} with {', '.join(expected.files)}"
        if fitting:
            problem += (
                f" (the folder {min(fitting, key=lambda f: len(f.parts))} is there, without all of them)"
            )
        raise CheckpointError(
            f"{where}: {problem}; name a folder that has it with --config official_weights=PATH"
        )
    depth = min(len(f.parts) for f in complete)
    nearest = sorted(f for f in complete if len(f.parts) == depth)
    chosen = [f for f in nearest if f.name == _SELECTED] or nearest
    if len(chosen) > 1:
        raise CheckpointError(
            f"{where}: {release} may be any of {', '.join(map(str, chosen))}; keep one of them"
        )
    return {name: (chosen[0] / name).as_posix() for name in complete[chosen[0]]}


def _in_order(wanted: tuple[str, ...], parts: tuple[str, ...]) -> bool:
    rest = iter(parts)
    return all(part in rest for part in wanted)


def _matching(names: list[str], release: Release) -> list[str]:
    """The names that a pattern fits, part by part; none if a pattern that must fit does not."""
    patterns = (*release.files, *release.optional)
    hits = {p: [n for n in names if _fits(PurePosixPath(n).parts, PurePosixPath(p).parts)] for p in patterns}
    complete = all(hits[pattern] for pattern in release.files)
    return sorted({name for found in hits.values() for name in found}) if complete else []


def _fits(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(parts) == len(pattern) and all(map(fnmatchcase, parts, pattern))


def _walk(folder: Path) -> list[str]:
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such folder; it was named as official_weights (by --config or "
            "MEDDIFF_OFFICIAL_WEIGHTS)"
        )
    return sorted(
        (Path(parent) / file).relative_to(folder).as_posix()
        for parent, _, files in os.walk(folder, followlinks=True)
        for file in files
    )


def _download(kind: str, release: str, listing: Path, files_dir: Path) -> dict[str, Path]:
    ids = {file["path"]: file.get("id") for file in read_json(listing)["files"]}
    found = find_release(ids, kind, release, "the authors' folder in Google Drive")
    for path in track(found.values(), f"downloading {release}"):
        if ids[path] is None:
            raise CheckpointError(
                f"{listing}: was made from a folder of yours; name it again with --config "
                "official_weights=PATH, or delete the file to download from Google Drive"
            )
        _download_from_drive(ids[path], files_dir / path)
    return {name: files_dir / path for name, path in found.items()}


def _list_drive(folder_id: str) -> list[tuple[str, str]]:
    """Path and id of every file in a folder of Google Drive."""
    import gdown

    files: list[Any] = _of_drive(
        f"the folder {folder_id}", gdown.download_folder, id=folder_id, skip_download=True, quiet=True
    )
    return [(PurePosixPath(file.path).as_posix(), file.id) for file in files]


def _download_from_drive(file_id: str, path: Path) -> None:
    """Download one file, going on where an earlier try stopped; a complete one is left as it is."""
    import gdown

    path.parent.mkdir(parents=True, exist_ok=True)
    _of_drive(str(path), gdown.download, id=file_id, output=str(path), quiet=True, resume=True)


def _of_drive(what: str, call: Any, **arguments: Any) -> Any:
    from gdown.exceptions import DownloadError

    try:
        return call(**arguments)
    except (DownloadError, OSError) as error:
        raise CheckpointError(
            f"{what}: cannot be fetched from Google Drive: {error}; run again to go on, or download it with "
            "a browser and name the folder with --config official_weights=PATH"
        ) from error
