"""The table and the figure of images unlike the training data."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from artifact_samples import command_of, outputs_of
from meddiff.cli import main
from ood_samples import FACTORS, ood_files

RUN = {"dataset": "chest", "model": "unet", "seed": 0}
LAYOUT = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
        {"name": "unet", "title": "UNet", "family": "diffusion"},
    ],
    "preset": "fixed",
}
SETTINGS = LAYOUT | {
    "runs": [RUN | {"votes": 0}, RUN | {"model": "resnet", "votes": None}],
    "steps": 16,
    "bootstrap_samples": 50,
    "confidence": 0.9,
    "bootstrap_seed": 0,
}


def test_table_and_figure(tmp_path: Path) -> None:
    assert main(command_of("tables/ood", SETTINGS, tmp_path, **ood_files(tmp_path))) == 0
    table = pd.read_csv(tmp_path / "ood.csv").set_index(["model", "score", "shift"]).sort_index()
    assert table.loc[("unet", "profile", "inverted"), "auroc"] > 0.9
    # A baseline whose shifted images are the test images again cannot tell them.
    assert abs(table.loc[("resnet", "energy", "inverted"), "auroc"] - 0.5) < 0.15
    assert table.loc[("unet", "vote_entropy"), "beyond"].isna().all()
    markdown = outputs_of("tables/ood", tmp_path)[1].read_text()
    assert "by 16 classification steps" in markdown and "| UNet (error profile) |" in markdown
    assert all(name.replace("_", " ") in markdown for name in FACTORS)
    drawn = tmp_path / "figures"
    drawn.mkdir()
    settings = LAYOUT | {"runs": [RUN, RUN | {"model": "resnet"}], "confidence": 0.9, "style": {}}
    assert main(command_of("figures/ood", settings, drawn, table=tmp_path / "ood.csv")) == 0
    rows = pd.read_csv(drawn / "ood.csv")
    assert set(rows["shift"]) == {*FACTORS, "mean"} and (drawn / "ood.png").stat().st_size > 0
