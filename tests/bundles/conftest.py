"""Runs of untrained networks and their bundles, made once; tests that change one take a copy."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from bundle_samples import make_data, make_run
from meddiff.bundles.export import export


@dataclass(frozen=True)
class Runs:
    """Finished runs in one repository.

    Attributes:
        root: the repository.
        unet, dit, timm: folders of the runs.
        bundles: kind -> its bundle.
    """

    root: Path
    unet: Path
    dit: Path
    timm: Path
    bundles: dict[str, Path]

    def pictures(self) -> list[Path]:
        """The test images."""
        return sorted((self.root / "pictures").glob("test-*.png"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """Runs of two classes on grey images."""
    root = tmp_path_factory.mktemp("runs")
    make_data(root)
    made = {kind: make_run(root, kind) for kind in ("unet", "dit", "timm")}
    bundles = {kind: root / f"bundles/{kind}" for kind in made}
    for kind, run in made.items():
        export(run, bundles[kind])
    return Runs(root, **made, bundles=bundles)


@pytest.fixture
def bundle(runs: Runs, tmp_path: Path) -> Path:
    """A bundle of a UNet to change."""
    return shutil.copytree(runs.bundles["unet"], tmp_path / "bundle")
