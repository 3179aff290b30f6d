"""Which file of a finished run is kept where: in DVC, by one ``.dvc`` file a dataset and model, or in git."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from meddiff.config import Config
from meddiff.config.folders import REPORT
from meddiff.errors import ReleaseError
from meddiff.weights.releases import PARTS, Part, release_path
from meddiff.weights.versions import KEPT

ARCHIVE = "records.zip"
_PROVENANCE = "provenance"
# So begin the names of folders that hold files only while a run is scored, beside the records of that.
_SHARDS = "shards"
# So begin the names of folders of what a run decides with one vote seed.
_VOTES = "votes"
# Of one folder for each other dataset that the run was tested on.
_TESTED_ON = "tested_on"


@dataclass
class DvcFile:
    """One ``.dvc`` file.

    Attributes:
        path: where it lies.
        wdir: what its entries are relative to, seen from its folder.
        entries: part -> files and folders, relative to the repository.
        shared: whether other experiments have entries in it, too.
    """

    path: Path
    wdir: str
    entries: dict[Part, set[str]] = field(default_factory=lambda: {part: set() for part in PARTS})
    shared: bool = False

    def outs(self) -> list[str]:
        """All entries, relative to `wdir`."""
        base = (self.path.parent / self.wdir).resolve().relative_to(Path.cwd().resolve())
        return sorted(str(Path(e).relative_to(base)) for part in PARTS for e in self.entries[part])


@dataclass
class Layout:
    """All files of an experiment.

    Attributes:
        dvc_files: path -> `DvcFile`.
        git: files that are small enough for git.
    """

    dvc_files: dict[Path, DvcFile] = field(default_factory=dict)
    git: set[str] = field(default_factory=set)

    def tracked(self) -> dict[Part, list[str]]:
        """Part -> files and folders in DVC, relative to the repository."""
        files = self.dvc_files.values()
        return {part: sorted(set().union(*(file.entries[part] for file in files))) for part in PARTS}

    def add(self, path: Path, part: Part, entry: str, *, shared: bool, wdir: str = ".") -> None:
        """Track `entry` by the ``.dvc`` file at `path`."""
        self.dvc_files.setdefault(path, DvcFile(path, wdir, shared=shared)).entries[part].add(entry)


def layout_of(config: Config, outputs: Iterable[str]) -> Layout:
    """Sort the outputs of a finished run, and what belongs to them.

    Images in a folder of the user's are left out, wherever it lies; generated and downloaded ones are kept.

    Args:
        config: the experiment.
        outputs: what the workflow has made, relative to the repository.

    Raises:
        ReleaseError: if there is an output that has no place.
    """
    layout = Layout()
    for output in outputs:
        parts = PurePosixPath(output).parts
        if parts[0] == "results" and parts[1] == config.results_name:
            if len(parts) > 5:
                _add_run(layout, PurePosixPath(*parts[:5]))
            elif parts[2] == REPORT:
                _add_report(layout, PurePosixPath(*parts[:3]))
            else:
                layout.git.add(output)
        elif parts[0] == "splits":
            _add_data(layout, parts[1], f"splits/{parts[1]}")
        elif parts[:2] == ("data", "pretrained"):
            layout.add(Path(f"data/pretrained/{parts[2]}.dvc"), "data", "/".join(parts[:3]), shared=True)
        elif parts[:2] == ("data", "official"):
            layout.add(Path("data/official.dvc"), "data", output, shared=True)
        elif parts[0] == "data" and parts[1] in config.known_datasets:
            depth = 4 if parts[2] == "store" else 3
            _add_data(layout, parts[1], "/".join(parts[:depth]))
        else:
            raise ReleaseError(f"{output}: there is no place for such a file in a release")
    for dataset in config.known_datasets:
        if dataset in config.on_disk:
            _add_images(layout, config, dataset)
        if Path(f"data/{dataset}/{_PROVENANCE}").is_dir():
            _add_data(layout, dataset, f"data/{dataset}/{_PROVENANCE}")
    folder = release_path(config.results_name).parent
    records = [path for path in folder.glob(f"**/{_PROVENANCE}/*") if len(path.parts) <= 5]
    layout.git.update(str(path) for path in records if path.parts[2] != REPORT)
    archive = folder / ARCHIVE
    layout.add(archive.with_name(f"{ARCHIVE}.dvc"), "results", str(archive), shared=False)
    return layout


def _add_report(layout: Layout, folder: PurePosixPath) -> None:
    """The whole folder: the page may have files beside it."""
    layout.add(Path(f"{folder}.dvc"), "results", str(folder), shared=False)


def _add_run(layout: Layout, run: PurePosixPath) -> None:
    """Everything in the folder of a run: also what stands beside its outputs."""
    dvc_file = Path(f"{run}.dvc")
    if dvc_file in layout.dvc_files:
        return
    for path in _contents(Path(run)):
        for entry in _entries_of(path):
            layout.add(dvc_file, _part_of(path.name), str(entry), shared=False)


def _contents(run: Path) -> list[Path]:
    """What is in the folder of a run, and in those of its vote seeds and other datasets in place of these."""
    found = []
    for path in sorted(run.iterdir()):
        if path.name == _TESTED_ON:
            found += [inner for dataset in sorted(path.iterdir()) for inner in _contents(dataset)]
        else:
            found += sorted(path.iterdir()) if path.name.startswith(_VOTES) else [path]
    return found


def _entries_of(path: Path) -> list[Path]:
    """What is tracked of something in the folder of a run."""
    if path.name.startswith(_SHARDS):
        return [path / _PROVENANCE] if (path / _PROVENANCE).exists() else []
    if path.name == "weights":  # without earlier versions of them
        return [entry for entry in sorted(path.iterdir()) if entry.name != KEPT]
    return [path]


def _part_of(name: str) -> Part:
    """The part that something in the folder of a run belongs to."""
    if name == "weights":
        return "weights"
    return "errors" if name == _PROVENANCE or name.startswith(("errors", "evidence", _SHARDS)) else "results"


def _add_data(layout: Layout, dataset: str, entry: str) -> None:
    layout.add(Path(f"data/{dataset}.dvc"), "data", entry, shared=True, wdir="..")


def _add_images(layout: Layout, config: Config, dataset: str) -> None:
    root = config.places.workflow_root(dataset)
    if root is not None and Path(root).is_dir():
        _add_data(layout, dataset, root)
