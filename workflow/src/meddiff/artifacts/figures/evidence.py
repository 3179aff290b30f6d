"""The figure of evidence maps of a dataset: where in test images each model sees its class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from textwrap import fill, shorten
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Figure, Files, Wanted, style_of
from meddiff.artifacts.settings import Line, ScoredLayout, class_names, each_with, layout, one_file
from meddiff.artifacts.style import GREY, axes_at, blank, drawing, looks
from meddiff.config.schema.figure import FigureStyle

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Evidence maps of test images: in each pixel how much worse the other class predicts the noise than the
true class, on average over noise levels (orange: speaks for the true class, blue: for the other one; of
several others their average). The sum over an image is the difference of the classes' mean errors, so
that an image whose map sums to more than 0 is decided rightly by mean error; it stands below each map,
and each map has a scale of its own. Maps of latent models are of the latent space, enlarged. Beside them,
where counterfactuals are made, the difference of the counterfactual to its factual reconstruction, with
the known lesion outlined; and what share of the evidence each fifth of the noise levels adds, from the
noisiest to the clearest. Images are those of the figure of counterfactuals, elsewhere the first of each
class in a random order, whatever is decided.
"""

IMAGES_PER_CLASS = 2
_POINTS = 7.5
_TEXT_INCHES, _TOP_INCHES, _GAP_INCHES, _NOTE_INCHES = 1.25, 0.34, 0.06, 0.16
_BARS_INCHES, _AXIS_INCHES, _BOTTOM_INCHES = 1.4, 0.3, 0.2
_LONGEST_ID, _LONGEST_LINE = 16, 14
_CLIPPED = 0.995
_STYLE = FigureStyle(width=7.6, height=1.2)
_PARTS, _BANDS = "part_", 5


class Settings(ScoredLayout):
    """What the figure depends on; its height is that of one row of images.

    Attributes:
        classes: dataset -> names in order of the class index.
    """

    classes: dict[str, list[Line]]
    images_per_class: int = Field(default=IMAGES_PER_CLASS, ge=1)
    style: FigureStyle


def plan(experiment: Experiment) -> list[Wanted]:
    """One a dataset wherever maps are kept, of the models' first seeds and on images of one size."""
    if not experiment.settings.score.evidence:
        return []
    seed = experiment.settings.seeds[0]
    votes = experiment.settings.score.vote_seeds(seed)[0]
    first = [run for run in experiment.scored_runs() if (run.seed, run.votes) == (seed, votes)]
    edited = {run.dataset: run for run in experiment.counterfactual_runs() if run.seed == seed}
    wanted = []
    for dataset in dict.fromkeys(run.dataset for run in first):
        sizes = {run.model: experiment.image_size(dataset, run.model) for run in first}
        runs = [run for run in first if run.dataset == dataset]
        runs = [run for run in runs if sizes[run.model] == sizes[runs[0].model]]
        store = experiment.store(dataset, runs[0].model)
        settings = Settings(
            **layout(experiment, runs, [dataset]),
            classes={dataset: class_names(experiment)[dataset]},
            style=style_of(experiment, "evidence", _STYLE),
        )
        files = {
            "evidence": [experiment.evidence(run) for run in runs],
            "errors": [experiment.errors(run) for run in runs],
            "manifest": [f"{store}/manifest.json"],
            "counterfactuals": [
                experiment.counterfactual(run, "examples.npz") for run in [edited.get(dataset)] if run
            ],
        }
        wanted.append(Wanted(settings, files, behind=[f"{store}/test.npy"], part=dataset))
    return wanted


def data(settings: Settings, files: Files) -> pd.DataFrame:
    """One row an image and model.

    Columns dataset, image_id, label, model, seed, votes, evidence (sum of the map), right (whether that is
    the decision by mean error for the true class), ``part_<b>`` (what band b adds, from the noisiest on).
    """
    from meddiff.scoring.error_file import load_errors

    rows = []
    one_file(files, "manifest")
    if files["counterfactuals"]:
        one_file(files, "counterfactuals")
    pairs = each_with(settings.runs, files["evidence"], "evidence")
    of_runs = each_with(settings.runs, files["errors"], "errors")
    for (run, path), (_, errors_path) in zip(pairs, of_runs, strict=True):
        errors = load_errors(errors_path)
        ids = _chosen(errors["image"].values.tolist(), errors["label"].values, settings, files)
        maps, right, labels = _maps(path, ids)
        parts = _band_parts(errors.sel(image=ids))
        for i, image_id in enumerate(ids):
            known = {"image_id": image_id, "label": int(labels[i]), **run.model_dump()}
            bands = {f"{_PARTS}{b}": part for b, part in enumerate(parts[i])}
            rows.append({**known, "evidence": maps[i].sum(), "right": int(right[i]), **bands})
    table = pd.DataFrame(rows)
    order = ["dataset", "image_id", "label", "model", "seed", "votes"]
    return table[[*order, *(column for column in table if column not in order)]].astype({"votes": "Int64"})


def _chosen(ids: list[str], labels: np.ndarray, settings: Settings, files: Files) -> list[str]:
    """The images to show: those of the counterfactuals, or the first of each class in a random order."""
    if files["counterfactuals"]:
        from meddiff.explaining.examples import read_examples

        shown = read_examples(files["counterfactuals"][0]).table
        return list(dict.fromkeys(shown["image_id"]))
    order = sorted(range(len(ids)), key=lambda row: hashlib.sha256(ids[row].encode()).hexdigest())
    found: list[str] = []
    for k in np.unique(labels):
        found += [ids[row] for row in order if labels[row] == k][: settings.images_per_class]
    return found


def _maps(path: Path, ids: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Evidence for the true class [E, h, w], whether it is decided for [E], and the true class [E]."""
    from meddiff.localising.own_class import decided_rightly, own_class_maps
    from meddiff.scoring.evidence_file import open_evidence

    with open_evidence(path) as dataset:
        shown = dataset.sel(image=list(ids)).load()
    return own_class_maps(shown), decided_rightly(shown), shown["label"].values


def _band_parts(errors: xr.Dataset) -> np.ndarray:
    """[E, B] what bands of noise levels add to the evidence for the true class."""
    from meddiff.readout.level_parts import even_edges, parts_by_level

    values = errors["errors"].transpose("image", "step", "class").values
    logsnr = errors["logsnr"].transpose("image", "step").values
    against_first = parts_by_level(values, logsnr, even_edges(logsnr, _BANDS).tolist())
    of_classes = np.pad(against_first, ((0, 0), (1, 0), (0, 0)))
    own = of_classes[np.arange(len(values)), errors["label"].values]
    return (of_classes.sum(axis=1) - own) / against_first.shape[1] - own


def draw(table: pd.DataFrame, settings: Settings, files: Files) -> Drawing:
    """One row an image: the image, a map a model, the counterfactual's change, and the noise levels."""
    images = dict.fromkeys(table["image_id"])
    store = one_file(files, "manifest").parent
    index = pd.read_parquet(store / "index.parquet")
    rows = index[index["split"] == "test"].set_index("image_id")["row"]
    pixels = np.load(store / "test.npy", mmap_mode="r", allow_pickle=False)
    pictures = {name: np.array(pixels[rows[name]]) for name in images}
    maps = {
        run.model: dict(zip(images, _maps(path, list(images))[0], strict=True))
        for run, path in each_with(settings.runs, files["evidence"], "evidence")
    }
    return _draw(table, pictures, maps, _changes(files), settings)


def _changes(files: Files) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Image id -> difference of counterfactual and factual reconstruction [H, W], and mask of the lesion."""
    if not files["counterfactuals"]:
        return {}
    from meddiff.explaining.examples import read_examples

    examples = read_examples(files["counterfactuals"][0])
    after, before = (examples.pictures[name] / 255.0 for name in ("counterfactual", "factual"))
    found = zip(
        examples.table["image_id"], (after - before).mean(axis=-1), examples.pictures["mask"], strict=True
    )
    return {name: (change, mask) for name, change, mask in reversed(list(found))}


def _draw(
    table: pd.DataFrame,
    pictures: dict[str, np.ndarray],
    maps: dict[str, dict[str, np.ndarray]],
    changes: dict[str, tuple[np.ndarray, np.ndarray]],
    settings: Settings,
) -> Drawing:
    style, titles = settings.style, settings.model_titles()
    columns = [
        "",
        *(fill(titles[model], _LONGEST_LINE) for model in maps),
        *["counterfactual\n− factual"] * bool(changes),
    ]
    free = style.width - _TEXT_INCHES - _BARS_INCHES - _AXIS_INCHES - _GAP_INCHES
    side = min(style.height, free / len(columns)) - _GAP_INCHES
    step = side + _NOTE_INCHES + _GAP_INCHES
    height = _TOP_INCHES + len(pictures) * step + _BOTTOM_INCHES
    with drawing():
        bars_at = _TEXT_INCHES + len(columns) * (side + _GAP_INCHES) + _AXIS_INCHES
        figure = blank(bars_at + _BARS_INCHES + _GAP_INCHES, height)
        for y, (name, picture) in enumerate(pictures.items()):
            part = table[table["image_id"] == name]
            bottom = height - _TOP_INCHES - (y + 1) * step + _NOTE_INCHES
            axes = [
                axes_at(figure, _TEXT_INCHES + x * (side + _GAP_INCHES), bottom, side, side)
                for x in range(len(columns))
            ]
            mask = changes[name][1] if name in changes else None
            _show(axes[0], picture)
            for place, (model, of_model) in zip(axes[1:], maps.items(), strict=False):
                row = part[part["model"] == model].iloc[0]
                note = f"{row['evidence']:+.2g}".replace("-", "−") + ("" if row["right"] else " (wrong)")
                _show_signed(place, of_model[name], mask, style, note)
            if name in changes:
                _show_signed(axes[-1], changes[name][0], mask, style, "")
            if y == 0:
                for place, title in zip(axes, columns, strict=True):
                    place.set_title(title, fontsize=_POINTS, fontweight="normal", pad=3)
            label = settings.classes[part["dataset"].iloc[0]][int(part["label"].iloc[0])]
            place = {"xy": (-0.07, 0.5), "xycoords": "axes fraction", "ha": "right", "va": "center"}
            end = name if len(name) <= _LONGEST_ID else f"…{name[-_LONGEST_ID:]}"
            text = "\n".join([shorten(label, 24, placeholder="…"), end])
            axes[0].annotate(text, fontsize=_POINTS - 1, **place)
            bars = axes_at(figure, bars_at, bottom, _BARS_INCHES, side)
            _show_bands(bars, part, settings, first=y == 0, last=y == len(pictures) - 1)
    return figure


def _show(axes: Axes, pixels: np.ndarray) -> None:
    axes.set_axis_off()
    if pixels.shape[-1] == 1:
        axes.imshow(pixels[..., 0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    else:
        axes.imshow(pixels, interpolation="nearest")


def _show_signed(
    axes: Axes, shown: np.ndarray, mask: np.ndarray | None, style: FigureStyle, note: str
) -> None:
    """A map with a symmetric scale of its own, white at 0, and a note below it."""
    from matplotlib.colors import LinearSegmentedColormap

    limit = max(float(np.quantile(np.abs(shown), _CLIPPED)), np.finfo(np.float32).tiny)
    colors = [style.colors[0], "#ffffff", style.colors[1 % len(style.colors)]]
    cmap = LinearSegmentedColormap.from_list("signed", colors)
    extent = (0.0, 1.0, 1.0, 0.0)
    axes.imshow(shown, cmap=cmap, vmin=-limit, vmax=limit, extent=extent, interpolation="nearest")
    if mask is not None and mask.any():
        axes.contour(mask, levels=[0.5], colors="#222222", linewidths=0.6, extent=extent, origin="upper")
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(edgecolor="#999999", linewidth=0.8, visible=True)
    axes.set_xlabel(note, fontsize=_POINTS - 1.5, labelpad=1.5)


def _show_bands(axes: Axes, part: pd.DataFrame, settings: Settings, *, first: bool, last: bool) -> None:
    """Bars of what each band adds, as a share of the sum of their sizes, one a model in each band."""
    by_model = looks(settings.models, settings.style)
    bands = [column for column in part if column.startswith(_PARTS)]
    width = 0.8 / len(part)
    for number, (_, row) in enumerate(part.iterrows()):
        values = row[bands].to_numpy(dtype=np.float64)
        total = np.abs(values).sum() or 1.0
        places = np.arange(len(bands)) - 0.4 + (number + 0.5) * width
        look = by_model[row["model"]]
        title = settings.model_titles()[row["model"]]
        axes.bar(places, values / total, width, color=look.color, label=title)
    axes.axhline(0, color=GREY, linewidth=0.6)
    axes.set(ylim=(-1.0, 1.0), yticks=[-1, 0, 1], xticks=[])
    axes.tick_params(labelsize=_POINTS - 2)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    if first:
        axes.set_title("share by noise level", fontsize=_POINTS, fontweight="normal", pad=3)
        axes.legend(fontsize=_POINTS - 2.5, loc="upper left", frameon=False, handlelength=0.8)
    if last:
        axes.set_xlabel("noisy  →  clear", fontsize=_POINTS - 1)


ARTIFACT = Figure("Drawing evidence maps", CAPTION, Settings, plan, data, draw)
