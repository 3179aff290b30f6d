"""Restore a published run in a clone of the repository, so that Snakemake finds nothing to do."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from pathlib import Path

from meddiff.config import Config, top_level
from meddiff.errors import ReleaseError
from meddiff.io import sha256_file
from meddiff.sharing.absent import note_absent
from meddiff.sharing.dvc_files import DvcFiles
from meddiff.sharing.layout import ARCHIVE
from meddiff.sharing.snakemake_records import set_times, unpack_records
from meddiff.sharing.workflow_state import check_idle, jobs_to_do, output_files
from meddiff.weights.releases import PARTS, RESULTS, WEIGHTS, Part, Release, read_release, release_path

log = logging.getLogger("meddiff")


def restore(entries: Sequence[str], parts: Collection[Part] = PARTS, *, force: bool = False) -> None:
    """Restore the published run of the experiment that `entries` name, into the working folder.

    Args:
        entries: ``KEY=VALUE`` as for ``snakemake --config``.
        parts: what to restore. Nothing that is left out is made again, as long as nothing changes.
        force: replace files that differ and that DVC has not seen before.

    Raises:
        ReleaseError: if it was not published; if something cannot be had, is damaged, or would replace files
            that are nowhere else; or if Snakemake finds something to do in the end.
    """
    check_idle()
    config = Config(top_level(entries))
    name = config.results_name
    release = read_release(name)
    if release is None:
        raise ReleaseError(
            f"{release_path(name)}: is not there, so {name} was not published in this commit; take a commit "
            "that has it, or say `python -m meddiff publish` where the run is"
        )
    dvc = DvcFiles()
    archive = release_path(name).with_name(ARCHIVE)
    for part in PARTS:
        paths = [path for path in release.tracked.get(part, []) if path != str(archive)]
        if part in parts and paths:
            log.info("restoring %s: %d files and folders", part, len(paths))
            dvc.pull(paths, force=force)
            dvc.check(paths)
    dvc.pull([str(archive)], force=True)
    dvc.check([str(archive)])
    _check_record(release, archive, with_weights="weights" in parts)
    folders = [str(RESULTS / name), "data", "splits"]
    unpack_records(archive, folders)
    set_times(folders)
    note_absent(name, [output.path for output in output_files(entries) if output.missing])
    if jobs := jobs_to_do(entries):
        raise ReleaseError(
            f"everything was restored, but snakemake would run {jobs}: `snakemake -n` says why. Code or "
            "configuration are not those of the release, or files of another run are here"
        )


def _check_record(release: Release, archive: Path, *, with_weights: bool) -> None:
    """Compare with the record in git, which does not come from where the files come from."""
    expected = {archive: release.records_sha256}
    if with_weights:
        runs = RESULTS / release.experiment
        expected |= {runs / key / WEIGHTS: run.weights_sha256 for key, run in release.runs.items()}
    for path, sha256 in expected.items():
        if not path.is_file() or sha256_file(path) != sha256:
            raise ReleaseError(
                f"{path}: is not the published file; its .dvc file and the record of the release are "
                "not of one commit, or the remote was changed"
            )
