"""The figures of curves: the data drawn, the files, and what the plots show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from artifact_samples import command_of, outputs_of
from error_samples import save_errors
from evaluate_samples import sample_errors, sample_predictions
from meddiff.artifacts import style
from meddiff.artifacts.figures import step_ablation, uncertainty
from meddiff.artifacts.settings import ModelEntry
from meddiff.cli import main
from meddiff.config.schema.experiment import FigureStyle
from meddiff.diffusion import vote
from meddiff.errors import ConfigError, DataError
from meddiff.evaluate.metrics.ranking import Ranking
from meddiff.readout.predictions import is_correct, write_predictions

LAYOUT: dict[str, Any] = {
    "datasets": [{"name": "chest", "title": "Chest"}, {"name": "skin", "title": "Skin"}],
    "models": [
        {"name": "resnet", "title": "ResNet", "family": "cnn"},
        {"name": "unet", "title": "UNet", "family": "diffusion"},
        {"name": "dit", "title": "DiT", "family": "diffusion"},
    ],
}
RESAMPLING = {"bootstrap_samples": 100, "confidence": 0.9, "bootstrap_seed": 0}


def accuracy_of_most_certain(uncertainty: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """[n] accuracy of the k most certain images, k = 1..n; tied images count by their mean."""
    frame = pd.DataFrame({"u": uncertainty, "c": correct.astype(float)}).sort_values("u")
    expected = frame.groupby("u")["c"].transform("mean")
    return (expected.cumsum() / np.arange(1, len(frame) + 1)).to_numpy()


def step_settings(runs: list[dict[str, Any]], **more: Any) -> step_ablation.Settings:
    chosen = {"steps": [1, 3, 11, 51], "style": FigureStyle(), **more}
    return step_ablation.Settings(**LAYOUT, confidence=0.9, runs=runs, **chosen)


def removal_settings(runs: list[dict[str, Any]], **more: Any) -> uncertainty.Settings:
    return uncertainty.Settings(**LAYOUT, **RESAMPLING, runs=runs, style=FigureStyle(), **more)


def scoring_runs(*identities: tuple[str, str, int]) -> list[dict[str, Any]]:
    return [{"dataset": d, "model": m, "seed": s} for d, m, s in identities]


@pytest.mark.parametrize("classes", [2, 3])
def test_step_ablation_is_the_accuracy_of_the_first_steps(classes: int) -> None:
    settings = step_settings(scoring_runs(("chest", "unet", 0), ("chest", "unet", 1)))
    seeds = [sample_errors(classes=classes, seed=seed, early_stop=seed == 1) for seed in (0, 1)]
    seeds[1] = seeds[1].isel(image=slice(None, None, -1))  # the order of images must not matter
    table = step_ablation.curves(zip(settings.runs, seeds, strict=True), settings)
    assert table.groupby("decision")["steps"].agg(list).tolist() == [[1, 3, 11, 21]] * 2
    for row in table.itertuples():
        rule = vote.majority if row.decision == "majority" else vote.mean
        expected = [(rule(s["errors"].values[:, : row.steps]) == s["label"].values).mean() for s in seeds]
        assert row.accuracy_percent == pytest.approx(100 * np.mean(expected))
        assert row.ci_low_percent <= row.accuracy_percent <= row.ci_high_percent
        assert (row.seeds, row.images, row.source) == (2, 60, "ours")
    at_one = table[table["steps"] == 1]["accuracy_percent"]
    assert at_one.nunique() == 1


def test_step_ablation_adds_published_points() -> None:
    published = {
        "steps": [1, 3],
        "datasets": {"chest": {"unet": {"majority": [67.1, 71.6]}}, "skin": {"dit": {"mean": [60.0, 61.0]}}},
    }
    settings = step_settings(scoring_runs(("chest", "unet", 0)), published=published, steps=[1])
    table = step_ablation.curves([(settings.runs[0], sample_errors())], settings)
    points = table[table["source"] == "published"]
    assert points[["model", "decision", "steps", "accuracy_percent"]].to_numpy().tolist() == [
        ["unet", "majority", 1, 67.1],
        ["unet", "majority", 3, 71.6],
    ]


def test_published_values_must_match_their_axis() -> None:
    published = {"steps": [1, 3], "datasets": {"chest": {"unet": {"majority": [67.1]}}}}
    with pytest.raises(ValueError, match="1 values for 2 steps"):
        step_settings(scoring_runs(("chest", "unet", 0)), published=published)


def test_seeds_must_agree_in_images_and_steps() -> None:
    settings = step_settings(scoring_runs(("chest", "unet", 0), ("chest", "unet", 1)))
    with pytest.raises(DataError, match="different images"):
        pairs = zip(settings.runs, [sample_errors(images=20), sample_errors(images=22)], strict=True)
        step_ablation.curves(pairs, settings)
    with pytest.raises(DataError, match="differ in steps"):
        pairs = zip(settings.runs, [sample_errors(steps=5), sample_errors(steps=7)], strict=True)
        step_ablation.curves(pairs, settings)


def uncertainty_runs() -> list[dict[str, Any]]:
    return [
        {"dataset": "chest", "model": "resnet", "seed": 0, "decision": "softmax"},
        {"dataset": "chest", "model": "unet", "seed": 0, "decision": "majority"},
        {"dataset": "chest", "model": "unet", "seed": 1, "decision": "majority"},
    ]


def test_removal_curves() -> None:
    settings = removal_settings(uncertainty_runs())
    frames = [sample_predictions(run.decision, images=50, steps=5, seed=run.seed) for run in settings.runs]
    table = uncertainty.curves(zip(settings.runs, frames, strict=True), settings)
    unet = table[table["model"] == "unet"].set_index("removed_percent")
    assert unet.index.tolist() == list(range(91))
    kind = "uncertainty_vote_entropy"
    curves = [accuracy_of_most_certain(f[kind].to_numpy(), is_correct(f)) for f in frames[1:]]
    assert unet.loc[0, "accuracy_percent"] == pytest.approx(100 * np.mean([c[-1] for c in curves]))
    assert unet.loc[20, "accuracy_percent"] == pytest.approx(100 * np.mean([c[39] for c in curves]))
    assert unet.loc[[0, 50, 90], "images_left"].tolist() == [50, 25, 5]
    assert set(unet["seeds"]) == {2}
    assert set(table.loc[table["model"] == "resnet", "uncertainty"]) == {"softmax_entropy"}
    assert (table["ci_low_percent"] <= table["accuracy_percent"]).all()
    assert (table["accuracy_percent"] <= table["ci_high_percent"]).all()
    assert unet.loc[0, "ci_low_percent"] < unet.loc[0, "accuracy_percent"] < unet.loc[0, "ci_high_percent"]


def test_removal_curves_need_the_same_images_of_every_seed() -> None:
    settings = removal_settings(uncertainty_runs())
    frames = [sample_predictions(run.decision, images=50 - run.seed, steps=5) for run in settings.runs]
    with pytest.raises(DataError, match="different images"):
        uncertainty.curves(zip(settings.runs, frames, strict=True), settings)


@given(
    images=st.lists(
        st.tuples(st.integers(0, 4), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12
    ).filter(lambda rows: any(times for _, _, times in rows))
)
@example_settings(max_examples=40)
def test_resampled_curve_is_the_curve_of_the_resample(images: list[tuple[int, bool, int]]) -> None:
    uncertainty, correct, times = (np.array(column) for column in zip(*images, strict=True))
    removed = np.arange(0, 91, 10)
    found = Ranking(uncertainty, correct).share_of_rest(times[None], removed)[0]
    drawn = np.repeat(np.arange(len(times)), times)
    curve = accuracy_of_most_certain(uncertainty[drawn], correct[drawn])
    left = np.maximum(np.rint(len(drawn) * (100 - removed) / 100).astype(int), 1)
    np.testing.assert_allclose(found, curve[left - 1])


def test_removal_curves_need_the_column() -> None:
    kinds = {"majority": "t_score", "softmax": "vote_entropy"}
    settings = removal_settings(uncertainty_runs(), uncertainty=kinds)
    with pytest.raises(ConfigError, match="have no uncertainty_vote_entropy"):
        uncertainty.curves([(settings.runs[0], sample_predictions("softmax"))], settings)
    with pytest.raises(ValueError, match="missing for decision"):
        removal_settings(uncertainty_runs(), uncertainty={"majority": "t_score"})


def test_looks_are_distinct_and_diffusion_models_stand_out() -> None:
    models = [ModelEntry(name=f"b{i}", title="x", family="cnn") for i in range(9)]
    models += [ModelEntry(name=f"d{i}", title="x", family="diffusion") for i in range(3)]
    found = style.looks(models, FigureStyle())
    assert len({(look.color, str(look.dashes)) for look in found.values()}) == 12
    assert found["d0"].color == FigureStyle().colors[0]
    assert min(found[f"d{i}"].width for i in range(3)) > max(found[f"b{i}"].width for i in range(9))


def test_step_plot_draws_the_table() -> None:
    settings = step_settings(
        scoring_runs(("chest", "unet", 0), ("chest", "dit", 0), ("skin", "unet", 0)),
        style=FigureStyle(width=8),
    )
    pairs = [(run, sample_errors(seed=i, steps=12)) for i, run in enumerate(settings.runs)]
    table = step_ablation.curves(pairs, settings)
    figure = step_ablation.draw(table, settings, {})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Chest", "Skin"]
    assert [len(axes.lines) for axes in figure.axes] == [4, 2]
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    assert axes.get_xticks().tolist() == [1, 3, 11, 12]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["1", "3", "", "12"]  # 11 would touch 12
    drawn = axes.lines[0]
    assert to_hex(drawn.get_color()) == FigureStyle().colors[0].lower()
    expected = table.query("dataset == 'chest' and model == 'unet' and decision == 'majority'")
    np.testing.assert_array_equal(drawn.get_ydata(), expected["accuracy_percent"])
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"UNet", "DiT", "majority vote", "mean error", "90 % interval"} <= set(texts)
    assert "paper (majority)" not in texts


@pytest.mark.parametrize("images", [1, 12])
def test_one_step_and_few_images_are_drawn(images: int) -> None:
    settings = step_settings(scoring_runs(("chest", "unet", 0)))
    table = step_ablation.curves([(settings.runs[0], sample_errors(images=images, steps=1))], settings)
    assert table["steps"].tolist() == [1, 1]
    figure = step_ablation.draw(table, settings, {})
    figure.canvas.draw()
    assert figure.axes[0].get_xticks().tolist() == [1]


def outside_overlaps(figure: Any) -> bool:
    """Whether the legend covers an axes, its labels, or leaves the figure."""
    figure.canvas.draw()
    legend = figure.legends[0].get_window_extent()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    inside = legend.x0 >= 0 and legend.y0 >= 0 and legend.x1 <= figure.bbox.x1
    return any(legend.overlaps(box) for box in boxes) or not inside


@pytest.mark.parametrize(("datasets", "baselines"), [(1, 1), (2, 7), (4, 2)])
def test_legend_covers_nothing(datasets: int, baselines: int) -> None:
    names = [f"b{i}" for i in range(baselines)]
    models = [{"name": n, "title": f"EfficientNet-{n}", "family": "cnn"} for n in names]
    models.append({"name": "unet", "title": "UNet", "family": "diffusion"})
    layout = {
        "datasets": [{"name": f"d{i}", "title": f"Dataset {i}"} for i in range(datasets)],
        "models": models,
        "runs": [
            {"dataset": f"d{i}", "model": m, "seed": 0, "decision": "majority" if m == "unet" else "softmax"}
            for i in range(datasets)
            for m in [*names, "unet"]
        ],
    }
    published = {"removed_percent": [0, 50], "datasets": {"d0": {"unet": [80, 90]}}}
    settings = uncertainty.Settings(**layout, **RESAMPLING, published=published, style=FigureStyle())
    pairs = [(run, sample_predictions(run.decision, images=20, steps=5)) for run in settings.runs]
    figure = uncertainty.draw(uncertainty.curves(pairs, settings), settings, {})
    assert len(figure.axes) == datasets
    assert not outside_overlaps(figure)
    texts = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"UNet", "paper", *(f"EfficientNet-{n}" for n in names)} <= texts


def test_figure_commands_write_identical_bytes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    runs = scoring_runs(("chest", "unet", 0))
    save_errors(sample_errors(), tmp_path / "errors.nc")
    for i, run in enumerate(uncertainty_runs()):
        write_predictions(sample_predictions(run["decision"], seed=run["seed"]), tmp_path / f"p{i}.csv")
    predictions = [str(tmp_path / f"p{i}.csv") for i in range(3)]
    small = {"style": {"width": 4, "height": 3, "dpi": 60}}
    cases = {
        "figures/step_ablation": (
            LAYOUT | small | {"confidence": 0.9, "runs": runs, "steps": [1, 5]},
            {"errors": tmp_path / "errors.nc"},
        ),
        "figures/uncertainty": (
            LAYOUT | RESAMPLING | small | {"runs": uncertainty_runs()},
            {"predictions": predictions},
        ),
    }
    for name, (params, source) in cases.items():
        found = []
        for folder in (tmp_path / "a", tmp_path / "b"):
            assert main(command_of(name, params, folder, **source)) == 0
            found.append([path.read_bytes() for path in outputs_of(name, folder)])
        assert found[0] == found[1]
        _, png, pdf = found[0]
        assert png.startswith(b"\x89PNG") and pdf.startswith(b"%PDF")
        assert b"CreationDate" not in pdf
    steps = pd.read_csv(tmp_path / "a" / "step_ablation.csv")
    assert steps["steps"].tolist() == [1, 5, 21] * 2

    params, folder = cases["figures/uncertainty"][0], tmp_path / "none"
    assert main(command_of("figures/uncertainty", params, folder, errors="e.nc")) == 1
    assert "--input predictions: missing; given are errors" in caplog.text and not folder.exists()
