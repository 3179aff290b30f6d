"""Make a bundle of a run's model: a folder that needs nothing of the repository."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meddiff.bundles.bundle import (
    ALL_STEPS,
    AS_USED,
    CARD,
    MANIFEST,
    Bundle,
    is_bundle,
    write_fitted,
    write_manifest,
    write_sums,
)
from meddiff.bundles.card import model_card
from meddiff.bundles.library import parts_of, write_network
from meddiff.bundles.runs import RunFolder
from meddiff.bundles.usage import Usage
from meddiff.errors import ReleaseError
from meddiff.io import disk_errors, write_text
from meddiff.models.checkpoint import load_tensors, read_weights
from meddiff.models.spec import CONFIG, WEIGHTS

log = logging.getLogger("meddiff")


def export(run: Path, bundle: Path, license_name: str = "unknown") -> None:
    """Write the bundle of a run's model. The same run gives the same bytes.

    Args:
        run: ``results/<experiment>/<dataset>/<model>/seed<k>``.
        bundle: folder to write; one that is a bundle already is replaced as a whole.
        license_name: of the weights, by the identifier that Hugging Face has for it.

    Raises:
        ReleaseError: if `bundle` is something else.
        CheckpointError: if the weights are damaged, cannot be exported, or are not of these classes.
        DataError: if the run is not finished, or its records are missing.
    """
    if bundle.is_symlink() or (bundle.exists() and not bundle.is_dir()):
        raise ReleaseError(f"{bundle}: is no folder; name a new one")
    if bundle.is_dir() and any(bundle.iterdir()) and not is_bundle(bundle):
        raise ReleaseError(f"{bundle}: is there and no bundle, and is left as it is; name a new folder")
    source = RunFolder.open(run)
    usage = source.usage()
    parts_of(source.spec)  # before the work: whether it can be exported at all
    with disk_errors(bundle), _replacing(bundle) as folder:
        _write(folder, source, usage, license_name)
        Bundle(folder)  # what is given away can be opened
    log.info("%s: the bundle of %s; try it with `meddiff classify %s IMAGE`", bundle, run, bundle)


def _write(folder: Path, source: RunFolder, usage: Usage, license_name: str) -> None:
    tensors = read_weights(source.weights / WEIGHTS)
    load_tensors(source.weights / WEIGHTS, tensors, source.spec.build())
    names = [MANIFEST, CONFIG, CARD, *write_network(folder, source.spec, tensors)]
    write_manifest(folder / MANIFEST, usage)
    shutil.copyfile(source.weights / CONFIG, folder / CONFIG)
    for decision in usage.decisions:
        for part, all_steps in ((AS_USED, False), (ALL_STEPS, True)):
            if usage.scoring is None and all_steps:
                continue  # a baseline has one step
            fitted = source.fitted(usage, decision, usage.stopping(decision, all_steps))
            names += write_fitted(folder, decision, part, fitted)
    write_text(folder / CARD, model_card(source, usage, license_name))
    write_sums(folder, names)


@contextmanager
def _replacing(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place when the block succeeds, and is removed when it fails."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        yield new
        umask = os.umask(0)
        os.umask(umask)
        new.chmod(0o777 & ~umask)  # mkdtemp makes 0700
        if target.exists():
            # A rename replaces an empty folder only.
            old = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
            target.replace(old)
            new.replace(target)
            shutil.rmtree(old)
        else:
            new.replace(target)
    finally:
        if new.exists():
            shutil.rmtree(new)
