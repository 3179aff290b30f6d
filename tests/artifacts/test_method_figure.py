"""The picture of the method: what is drawn, and the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from artifact_samples import command_of, outputs_of
from error_samples import save_errors
from evaluate_samples import sample_errors
from meddiff.artifacts.figures.method import draw_method
from meddiff.cli import main
from meddiff.config.schema.figure import FigureStyle
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.stores.build import build_store
from meddiff.evaluate.method import example_image, noised, step_table

NAME = "figures/method"
SMALL = {"width": 7, "height": 4, "dpi": 60}
GOOD = {"wavelet": True, "style": SMALL}


def test_a_divided_vote_is_drawn_in_grey_and_counted_by_halves() -> None:
    errors, image = sample_errors(images=1, steps=3), np.zeros((8, 8, 1))
    errors["errors"].values[:] = [[[1, 2], [2, 1], [5, 5]]]
    errors["label"].values[:] = 0
    table = step_table(errors.isel(image=0))
    levels = table.loc[table["shown"], "logsnr"].to_numpy()
    figure = draw_method(table, ["a", "b"], 0, image, noised(image, levels, False, 0), FigureStyle())
    colors = {to_hex(points.get_facecolor()[0]) for points in figure.axes[0].collections}
    assert colors == {color.lower() for color in (*FigureStyle().colors[:2], "#555555")}
    bars = figure.axes[-1]
    assert [bar.get_height() for bar in bars.patches] == pytest.approx([0.5, 0.5])
    assert "1.5 of 3 votes" in bars.texts[0].get_text()


@pytest.mark.parametrize(("classes", "steps", "channels"), [(2, 101, 1), (3, 21, 3), (2, 1, 1), (4, 2, 3)])
def test_figure_shows_steps_images_and_votes(classes: int, steps: int, channels: int) -> None:
    errors = sample_errors(steps=steps, classes=classes)
    table = step_table(errors.sel(image=example_image(errors)))
    levels = np.sort(table.loc[table["shown"], "logsnr"])[::-1]
    image = np.random.default_rng(0).uniform(-1, 1, (8, 8, channels))
    names = ["a long name of a class that does not fit", *"bcd"][:classes]
    figure = draw_method(table, names, 0, image, noised(image, levels, True, 0), FigureStyle())
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


def test_command_writes_identical_bytes(tmp_path: Path, store: Path) -> None:
    save_errors(sample_errors(), tmp_path / "errors.nc")
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        inputs = {"errors": tmp_path / "errors.nc", "manifest": store / "manifest.json"}
        assert main(command_of(NAME, GOOD, folder, **inputs)) == 0
        assert sorted(folder.iterdir()) == sorted(outputs_of(NAME, folder))
        found.append([path.read_bytes() for path in outputs_of(NAME, folder)])
    assert found[0] == found[1]
    table = pd.read_csv(tmp_path / "a" / "method.csv")
    assert len(table) == 21
    assert set(table["image_id"]) == {example_image(sample_errors())}
    assert Image.open(tmp_path / "a" / "method.png").size == (420, 240)


def test_errors_of_use_are_explained(tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, manifest, folder = tmp_path / "errors.nc", store / "manifest.json", tmp_path / "made"
    errors = sample_errors()
    save_errors(errors.assign_coords(image=[f"other{i}" for i in range(60)]), path)
    cases = [
        (GOOD, {"errors": path}, "--input manifest: missing; given are errors"),
        (GOOD, {"errors": [path, path], "manifest": manifest}, "--input errors: got 2 files; give one"),
        (GOOD, {"predictions": path, "manifest": manifest}, "--input errors: missing"),
        ({"style": SMALL}, {"errors": path, "manifest": manifest}, "--params: wavelet: "),
        (GOOD, {"errors": path, "manifest": manifest}, "the store has no image 'other"),
    ]
    for params, inputs, message in cases:
        caplog.clear()
        assert main(command_of(NAME, params, folder, **inputs)) == 1
        assert message in caplog.text
    assert not folder.exists() or not list(folder.iterdir())


def test_style_changes_the_picture_only(tmp_path: Path, store: Path) -> None:
    save_errors(sample_errors(), tmp_path / "errors.nc")
    inputs = {"errors": tmp_path / "errors.nc", "manifest": store / "manifest.json"}
    for name, color in (("a", "#0072B2"), ("b", "#000000")):
        params = {"wavelet": False, "style": {**SMALL, "colors": [color, "#D55E00"]}}
        assert main(command_of(NAME, params, tmp_path / name, **inputs)) == 0
    assert (tmp_path / "a/method.csv").read_bytes() == (tmp_path / "b/method.csv").read_bytes()
    assert (tmp_path / "a/method.png").read_bytes() != (tmp_path / "b/method.png").read_bytes()
