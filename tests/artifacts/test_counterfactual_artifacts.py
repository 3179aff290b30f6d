"""The table and figures of counterfactuals whose every pixel is known."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from artifact_samples import command_of, outputs_of
from counterfactual_samples import INSIDE, OUTSIDE, SETTINGS, Run, measured_run
from meddiff.artifacts.figures import counterfactual_front
from meddiff.artifacts.lookup import planned
from meddiff.artifacts.tables.counterfactuals import Settings, counterfactual_grid, counterfactual_table
from meddiff.cli import main
from meddiff.cli.params import parsed
from meddiff.config import Config
from meddiff.errors import ConfigError
from meddiff.explaining.metrics import METRICS
from meddiff.pipeline.experiment import Experiment

LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "chest", "title": "Chest"}],
    "models": [{"name": "unet", "title": "A UNet", "family": "diffusion"}],
    "runs": [{"dataset": "chest", "model": "unet", "seed": 0}],
}
CLASSES = {"classes": {"chest": ["healthy", "effusion"]}}
ORACLE = {"oracle": "A ResNet", "confidence": SETTINGS.confidence}
TABLE = {**LAYOUT, **CLASSES, **ORACLE, "features": "A ResNet", "mask_margin": 0}
STYLE = {"width": 7.0, "height": 1.2, "dpi": 60}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return measured_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def metrics(run) -> pd.DataFrame:
    return pd.read_csv(run.files.metrics, na_values=["nan"], keep_default_na=False)


@pytest.mark.parametrize(
    ("block", "stems"),
    [
        (None, set()),
        ({"front": None}, {"tables/counterfactuals", "phantom_chest", "phantom_skin"}),
        ({}, {"tables/counterfactuals", "phantom_chest", "phantom_skin", "figures/counterfactual_front"}),
    ],
)
def test_which_of_them_an_experiment_has(block, stems):
    config = Config({"experiment": "demo"})
    own = config.experiment.counterfactuals
    changed = None if block is None else own.model_copy(update=block)
    config.experiment = config.experiment.model_copy(update={"counterfactuals": changed})
    found = [one for one in planned(Experiment(config)) if "counterfactual" in one.name]
    assert {one.stem.removeprefix("figures/counterfactuals_") for one in found} == stems
    for one in found:
        (files,) = one.wanted.files.values()
        assert len(files) == len(one.wanted.settings.runs) > 0
        if one.wanted.part:
            assert {run.dataset for run in one.wanted.settings.runs} == {one.wanted.part}


def test_table_for_reading(run, tmp_path):
    params = {**TABLE, "made": {"unet": "from t = 0.5 in 1 ddim steps with guidance 2"}}
    name = "tables/counterfactuals"
    assert main(command_of(name, params, tmp_path, metrics=run.files.metrics)) == 0
    outputs = outputs_of(name, tmp_path)
    text = outputs[1].read_text()
    judged = r"A UNet: healthy → effusion \| 12 \| 9"
    judged += "".join(rf" \| {share} \[\d+, \d+\]" for share in (92, 100, 8, 11))
    assert re.search(judged + r" \| 0\.102 \| 0\.139 \|", text)
    assert "made with A ResNet" in text and "A UNet: from t = 0.5" in text
    assert "A dash: change inside the lesion, area of the lesion (where the lesion is or would be" in text
    assert "SSIM |" not in text  # no image is large enough: no column, and the caption says why
    assert "Without a column: SSIM (images are smaller" in text
    table = pd.read_csv(outputs[0])
    assert len(table) == 2 * len(METRICS) and table["seeds"].eq(1).all()


@pytest.mark.parametrize(
    ("missing", "said", "unsaid"),
    [
        ([], ["Control: ", "KID is against", "FID is given", "Changed: "], ["A dash: KID"]),
        (["kid", "kid_halves", "kid_source", "fid"], ["Distances of features"], ["KID is", "FID is"]),
        (["validity_oracle", "control_oracle"], ["Control: "], ["by the oracle, A ResNet"]),
        (METRICS, [], ["Control: ", "Changed: ", "Composition: ", "Distances of features", "A dash"]),
    ],
)
def test_the_caption_is_about_the_columns_that_are_there(metrics, missing, said, unsaid):
    settings = Settings(**TABLE, made={"unet": "somehow"})
    gone = metrics["metric"].isin(missing)
    table = metrics.assign(note=metrics["note"].mask(gone, "for a reason: 3 of 4"))
    table.loc[gone, ["value", "ci_low", "ci_high"]] = np.nan
    grid = counterfactual_grid(counterfactual_table(table, settings), settings)
    titles = [column.title for column in grid.columns]
    assert all(text in grid.caption for text in said)
    assert not any(text in grid.caption for text in unsaid)
    assert ("n oracle" in titles) == ("validity_oracle" not in missing)
    if missing:
        assert "Without a column: " in grid.caption and "(for a reason)" in grid.caption


def drawn_twice(name: str, params: dict[str, Any], folder: Path, **inputs: Path) -> pd.DataFrame:
    """The data of a figure, whose files are the same bytes when it is made again."""
    written = []
    for attempt in ("a", "b"):
        (folder / attempt).mkdir()
        assert main(command_of(name, params, folder / attempt, **inputs)) == 0
        written.append([path.read_bytes() for path in outputs_of(name, folder / attempt)])
    assert written[0] == written[1]
    return pd.read_csv(outputs_of(name, folder / "a")[0])


def test_figure_of_examples(run, tmp_path):
    params = {**LAYOUT, **CLASSES, "style": STYLE}
    table = drawn_twice("figures/counterfactuals", params, tmp_path, examples=run.files.examples)
    assert table["inside_lesion"].isna().tolist() == [True, True, False, False]


def test_figure_of_the_front(run, tmp_path):
    params = {**LAYOUT, **ORACLE, "style": {**STYLE, "height": 3.0}}
    table = drawn_twice("figures/counterfactual_front", params, tmp_path, measures=run.files.measures)
    # Four settings, two judges; the six images of the comparison, all of them decided right.
    assert len(table) == 8 and (table["images"] == 6).all()
    own = table[table["judge"] == "itself"]
    # Of the comparison's images one factual is taken for the target, and by the oracle only.
    assert own["control_percent"].tolist() == [0] * 4
    of_oracle = table[table["judge"] == "oracle"]
    assert of_oracle["control_percent"].to_numpy() == pytest.approx(np.full(4, 100 / 6))
    assert own["validity_percent"].to_numpy() == pytest.approx(np.full(4, 100 * 5 / 6))
    assert own["l1"].to_numpy() == pytest.approx(np.full(4, (OUTSIDE - INSIDE) / 2 / 255))


def test_files_go_with_the_runs(run, tmp_path, caplog):
    params = {**LAYOUT, **CLASSES, "style": STYLE}
    two = [run.files.examples, run.files.examples]
    assert main(command_of("figures/counterfactuals", params, tmp_path, examples=two)) == 1
    assert "--input examples: got 2 files for 1 runs" in caplog.text


def test_counterfactuals_belong_to_a_training():
    (trained,) = LAYOUT["runs"]
    settings = {**LAYOUT, **ORACLE, "style": {}}
    assert parsed(counterfactual_front.Settings, settings, "--params").runs[0].seed == 0
    with pytest.raises(ConfigError, match="votes"):
        parsed(counterfactual_front.Settings, {**settings, "runs": [{**trained, "votes": 1}]}, "--params")
