"""What `meddiff init` writes runs as it is, from a folder to the table of results."""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pytest
from workflow_samples import make_project

from layout_samples import Folder

pytestmark = pytest.mark.slow


def test_the_written_files_run_unchanged(root: Path, tmp_path: Path) -> None:
    project, folder = make_project(tmp_path / "checkout", root), Folder(tmp_path / "data")
    rows = ["file,patient,glaucoma"]
    for number in range(60):
        folder.image(f"images/{number:03d}.png", "L")
        rows.append(f"{number:03d},p{number // 2},{int(number % 6 < 2)}")
    folder.text("labels.csv", *rows)
    printed = project.run(
        sys.executable, "-m", "meddiff", "init", str(folder.root), "--name", "eyes", "--size", "tiny"
    )
    assert "no glaucoma 40, glaucoma 20" in printed
    command = next(line.split() for line in printed.splitlines() if line.startswith("  snakemake --cores"))
    assert command[-2:] == ["experiment=eyes", f"root_eyes={folder.root}"]
    project.snakemake("results/eyes/tables/classification.csv", "--config", *command[-2:])
    table = pd.read_csv(project.folder / "results/eyes/tables/classification.csv")
    assert set(table["model"]) == {"eyes_resnet", "eyes_unet", "eyes_dit"}
    splits = [pd.read_csv(project.folder / f"splits/eyes/{name}.csv") for name in ("train", "valid", "test")]
    assert sum(map(len, splits)) == 60
