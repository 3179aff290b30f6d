"""The picture of the method: which image and steps it shows, the noise, and the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex
from PIL import Image

from error_samples import save_errors
from evaluate_samples import sample_errors
from meddiff.cli import main
from meddiff.config.schema.experiment import FigureStyle
from meddiff.data.stores.store import PixelFormat, build_store
from meddiff.diffusion import vote
from meddiff.evaluate.method import example_image, make_method_figure, noised, step_table
from meddiff.evaluate.method_drawing import draw_method
from meddiff.evaluate.settings import MethodSettings

SMALL = {"width": 7, "height": 4, "dpi": 60}


def errors_with(winners: list[list[int]], labels: list[int]) -> xr.Dataset:
    """Errors of two classes in which image i votes for ``winners[i]``."""
    errors = sample_errors(images=len(winners), steps=len(winners[0]))
    votes = np.asarray(winners)
    errors["errors"].values[:] = np.stack([votes + 1.0, 2.0 - votes], axis=-1)
    errors["label"].values[:] = labels
    return errors


def test_example_is_the_correct_image_with_median_entropy() -> None:
    winners = [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 0]]
    assert example_image(errors_with(winners, [0, 0, 0, 0, 1])) == "image00001"  # entropies 0 0 | h h h
    assert example_image(errors_with(winners, [0, 0, 0, 0, 0])) == "image00002"  # the last is wrong now
    assert example_image(errors_with(winners, [1, 1, 1, 1, 0])) == "image00001"  # all are wrong: all count


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 50), st.integers(1, 25), st.integers(2, 4), st.booleans())
def test_example_and_steps_agree_with_the_vote(seed: int, steps: int, classes: int, early: bool) -> None:
    errors = sample_errors(images=9, steps=steps, classes=classes, seed=seed, early_stop=early and steps > 1)
    image = errors.sel(image=example_image(errors))
    shuffled = errors.isel(image=np.random.default_rng(seed).permutation(9))
    assert example_image(shuffled) == str(image["image"].values)
    table = step_table(image)
    tally = vote.tally(image["errors"].values)
    assert len(table) == int(tally.steps)
    assert set(table["best"]) == {int(tally.majority())}
    np.testing.assert_array_equal(np.bincount(table["winner"], minlength=classes), tally.counts)
    best, runner_up = table["best"].iloc[0], table["runner_up"].iloc[0]
    assert runner_up != best
    assert tally.counts[runner_up] == max(np.delete(tally.counts, best))
    favoured = table["difference_percent"] > 0
    np.testing.assert_array_equal(favoured, table[f"error_{runner_up}"] > table[f"error_{best}"])
    assert 1 <= table["shown"].sum() <= 3


def test_difference_is_in_percent_of_the_mean_error() -> None:
    image = errors_with([[0, 1, 0]], [0]).isel(image=0)
    image["errors"].values[:] = [[90, 110], [110, 90], [0, 0]]
    table = step_table(image)
    assert table["difference_percent"].tolist() == pytest.approx([20, -20, 0])
    assert table["winner"].tolist() == [0, 1, vote.DIVIDED]


def test_a_divided_vote_is_drawn_in_grey_and_counted_by_halves() -> None:
    errors = errors_with([[0, 1, 0]], [0])
    errors["errors"].values[0, 2] = [5, 5]
    image, params = np.zeros((8, 8, 1)), MethodSettings(wavelet=False)
    table = step_table(errors.isel(image=0))
    levels = table.loc[table["shown"], "logsnr"].to_numpy()
    figure = draw_method(table, ["a", "b"], 0, image, noised(image, levels, params), params)
    colors = {to_hex(points.get_facecolor()[0]) for points in figure.axes[0].collections}
    assert colors == {color.lower() for color in (*FigureStyle().colors[:2], "#555555")}
    bars = figure.axes[-1]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.5, 0.5])
    assert "1.5 of 3 votes" in bars.texts[0].get_text()


@pytest.mark.parametrize(("wavelet", "scale"), [(True, 2.0), (False, 1.0)])
def test_noise_has_the_ratio_that_was_scored(wavelet: bool, scale: float) -> None:
    image, levels = np.full((100, 100, 1), 0.05), np.array([6.0, 1.0])
    shown = noised(image, levels, MethodSettings(wavelet=wavelet))
    for level, pixels in zip(levels, shown, strict=True):
        signal, noise = 1 / (1 + np.exp(-level)), scale**2 / (1 + np.exp(level))
        eps = (pixels * np.sqrt(signal + noise) - np.sqrt(signal) * image) / np.sqrt(noise)
        inside = np.abs(pixels) < 1
        # Clipping cuts the tails of the noise, so the middle half of it is compared: +- 0.6745.
        quartiles = np.quantile(np.where(inside, eps, np.sign(eps) * 9), [0.25, 0.75])
        np.testing.assert_allclose(quartiles, [-0.6745, 0.6745], atol=0.05)
    clean = noised(image, np.array([40.0]), MethodSettings(wavelet=wavelet))[0]
    np.testing.assert_allclose(clean, image, atol=1e-6)


@pytest.mark.parametrize(("classes", "steps", "channels"), [(2, 101, 1), (3, 21, 3), (2, 1, 1), (4, 2, 3)])
def test_figure_shows_steps_images_and_votes(classes: int, steps: int, channels: int) -> None:
    errors = sample_errors(steps=steps, classes=classes)
    table = step_table(errors.sel(image=example_image(errors)))
    levels = np.sort(table.loc[table["shown"], "logsnr"])[::-1]
    image = np.random.default_rng(0).uniform(-1, 1, (8, 8, channels))
    params = MethodSettings(wavelet=True)
    names = ["a long name of a class that does not fit", *"bcd"][:classes]
    figure = draw_method(table, names, 0, image, noised(image, levels, params), params)
    figure.canvas.draw()
    plot, panels = figure.axes[0], figure.axes[1:-1]
    assert len(panels) == 1 + len(levels)
    drawn = {}
    for points in plot.collections:
        color = to_hex(points.get_facecolor()[0])
        drawn[color] = drawn.get(color, 0) + len(points.get_offsets())
    colors = [FigureStyle().colors[k].lower() for k in table["winner"]]
    assert drawn == pd.Series(colors).value_counts().to_dict()
    low, high = plot.get_ylim()
    assert table["difference_percent"].between(low, high).all()
    heights = [bar.get_height() for bar in figure.axes[-1].patches]
    assert sum(heights) == pytest.approx(1)
    assert heights[0] == pytest.approx((table["winner"] == table["best"]).mean())
    texts = {text.get_text() for text in figure.texts}
    assert names[0][:20] in " ".join(texts)
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with the images that `sample_errors` names in its test split."""
    for split, name in (("train", "a"), ("valid", "b"), ("test", "image")):
        rows = [f"{name}{i:05d},{name}.png,{i % 2},{name} {i}" for i in range(60)]
        Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) * 3).save(tmp_path / f"{name}.png")
        (tmp_path / f"{split}.csv").write_text("\n".join(["image_id,path,label,group", *rows]) + "\n")
    build_store(tmp_path, tmp_path, tmp_path / "store", PixelFormat(8, 1), ["healthy", "sick"], threads=1)
    return tmp_path / "store"


def command(folder: Path, store: Path | None, params: dict[str, Any], *more: str) -> list[str]:
    outputs = [f"--out-{s}={folder / f'method.{s}'}" for s in ("png", "pdf", "csv")]
    source = [] if store is None else ["--store", str(store)]
    return ["figure", "--kind", "method", "--params", json.dumps(params), *source, *more, *outputs]


def test_command_writes_identical_bytes(tmp_path: Path, store: Path) -> None:
    save_errors(sample_errors(), tmp_path / "errors.nc")
    found = []
    for name in ("a", "b"):
        folder = tmp_path / name
        params = {"wavelet": True, "style": SMALL}
        assert main(command(folder, store, params, "--errors", str(tmp_path / "errors.nc"))) == 0
        found.append({path.name: path.read_bytes() for path in sorted(folder.iterdir())})
    assert found[0] == found[1]
    assert sorted(found[0]) == ["method.csv", "method.pdf", "method.png"]
    table = pd.read_csv(tmp_path / "a" / "method.csv")
    assert len(table) == 21
    assert set(table["image_id"]) == {example_image(sample_errors())}
    assert Image.open(tmp_path / "a" / "method.png").size == (420, 240)


def test_errors_of_use_are_explained(tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = str(tmp_path / "errors.nc")
    errors = sample_errors()
    save_errors(errors.assign_coords(image=[f"other{i}" for i in range(60)]), path)
    good = {"wavelet": True}
    cases = [
        (command(tmp_path, None, good, "--errors", path), "--store goes with --kind method"),
        (command(tmp_path, store, good, "--errors", path, path), "one --errors file, got 2"),
        (command(tmp_path, store, {}, "--errors", path), "--params: wavelet: Field required"),
        (command(tmp_path, store, good, "--errors", path), "the store has no image 'other"),
    ]
    for arguments, message in cases:
        caplog.clear()
        assert main(arguments) == 1
        assert message in caplog.text
    assert not (tmp_path / "method.csv").exists()


def test_style_changes_the_picture_only(tmp_path: Path, store: Path) -> None:
    save_errors(sample_errors(), tmp_path / "errors.nc")
    for name, color in (("a", "#0072B2"), ("b", "#000000")):
        outputs = [tmp_path / name / f"m.{s}" for s in ("csv", "png", "pdf")]
        params = json.dumps({"wavelet": False, "style": {**SMALL, "colors": [color, "#D55E00"]}})
        make_method_figure(params, tmp_path / "errors.nc", store, *outputs)
    assert (tmp_path / "a/m.csv").read_bytes() == (tmp_path / "b/m.csv").read_bytes()
    assert (tmp_path / "a/m.png").read_bytes() != (tmp_path / "b/m.png").read_bytes()
