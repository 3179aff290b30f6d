"""Find published split files, and take none but those whose checksum is the configured one."""

from __future__ import annotations

import hashlib
import logging
import urllib.error
import urllib.request
from pathlib import Path

from meddiff.config.data_places import SHIPPED_SPLITS
from meddiff.config.schema.data.split import OfficialFile, OfficialSplit
from meddiff.data.tables import SPLITS
from meddiff.errors import DataError
from meddiff.io import atomic_path

_TIMEOUT_S = 60
_LARGEST_BYTES = 1 << 26

log = logging.getLogger("meddiff")


def collect_official(
    name: str, split: OfficialSplit, places: list[Path], url: str | None, folder: Path
) -> None:
    """Copy the three files of `split` to ``<folder>/{train,valid,test}.csv``.

    Args:
        name: the dataset's name, for messages.
        split: names and checksums of the files.
        places: folders to look in, in this order.
        url: folder on the web that is asked where no place has a file; not asked where None.
        folder: where the copies go.

    Raises:
        DataError: a file is nowhere, or the first one found has another checksum.
    """
    contents = {part: _find(name, getattr(split, part), places, url) for part in SPLITS}
    for part, content in contents.items():
        with atomic_path(folder / f"{part}.csv") as temporary:
            temporary.write_bytes(content)


def places_to_look(splits_root: Path, root: Path) -> list[Path]:
    """The folders in which split files may lie: the named one, the project's, in and beside the dataset's."""
    found = [splits_root, Path(SHIPPED_SPLITS), root, root / "splits", root.parent / "splits"]
    return list(dict.fromkeys(found))


def download(url: str) -> bytes:
    """The content of a web address.

    Raises:
        DataError: it cannot be reached, or has more than 64 MiB.
    """
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:
            content = response.read(_LARGEST_BYTES + 1)
    except (urllib.error.URLError, OSError) as error:
        raise DataError(f"{url}: cannot be downloaded: {error}") from error
    if len(content) > _LARGEST_BYTES:
        raise DataError(f"{url}: is larger than any split file")
    return content


def _find(name: str, file: OfficialFile, places: list[Path], url: str | None) -> bytes:
    for place in places:
        if (path := place / file.name).is_file():
            log.info("%s: %s", file.name, path)
            return _checked(name, file, path.read_bytes(), str(path), places, url)
    reason = ""
    if url:
        try:
            content = download(address := f"{url}/{file.name}")
        except DataError as error:
            reason = f" {error}."
        else:
            log.info("%s: %s", file.name, address)
            return _checked(name, file, content, address, places, url)
    raise DataError(
        f"dataset {name}: the published split file {file.name} (SHA-256 {file.sha256}) is nowhere.{reason} "
        + _how(name, places, url)
    )


def _checked(
    name: str, file: OfficialFile, content: bytes, where: str, places: list[Path], url: str | None
) -> bytes:
    found = hashlib.sha256(content).hexdigest()
    if found != file.sha256:
        raise DataError(
            f"dataset {name}: {where} is not the published split file {file.name}: expected SHA-256 "
            f"{file.sha256}, got {found}. {_how(name, places, url)}"
        )
    return content


def _how(name: str, places: list[Path], url: str | None) -> str:
    looked = ", ".join([*map(str, places), *([url] if url else [])])
    return (
        f"Looked in: {looked}. Put the three files into one of these folders, name one with "
        "`--config splits_root=PATH` or MEDDIFF_SPLITS_ROOT, or let the workflow draw splits of its own, "
        f"which are not the paper's, with `--config splits_{name}=recipe`."
    )
