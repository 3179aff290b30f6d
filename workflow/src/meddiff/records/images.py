"""Raw images against the manifest that was made when they were first seen."""

from __future__ import annotations

from pathlib import Path

from meddiff.config import Config
from meddiff.config.schema.data.source import PhantomSource
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.layouts.folder import ImageFolder
from meddiff.data.obtain.fetch import read_manifest
from meddiff.io import sha256_file
from meddiff.progress import track
from meddiff.records.chain import Link
from meddiff.records.files import RAW

_NAMED = 5


def check_images(links: list[Link], config: Config) -> int:
    """Compare the raw files of every dataset in `links` with their manifest; what differs breaks the link.

    Args:
        links: all links of a chain.
        config: the configuration, which says where images lie.

    Returns:
        The number of files that were read.
    """
    count = 0
    for link in links:
        manifest = Path(link.paths[0])
        if manifest.name != RAW:
            continue
        name = manifest.parent.name
        if name not in config.on_disk:
            link.gaps.append(f"{name} is not a dataset of the experiment, so its images were not checked")
            continue
        files = read_manifest(manifest)["files"]
        locate = _locate(config.on_disk[name], Path(config.places.root(name)))
        bad = []
        for path, known in track(sorted(files.items()), f"checking {name}", total=len(files)):
            file = locate(path)
            if not file.is_file():
                bad.append(f"{path} (missing)")
            elif sha256_file(file) != known["sha256"]:
                bad.append(path)
        count += len(files)
        if bad:
            more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
            link.broken.append(f"raw files have changed: {', '.join(bad[:_NAMED])}{more}")
    return count


def _locate(dataset: DatasetConfig, root: Path):
    if isinstance(dataset.source, PhantomSource):
        return root.joinpath
    folder = ImageFolder(root, dataset.format)
    tables = set(dataset.format.tables)
    return lambda path: folder.table(path) if path in tables else folder.file(path)
