"""The table of counterfactuals: their metrics, one row a model and direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
from pydantic import Field

from meddiff.artifacts.artifact import Files, Table, Wanted
from meddiff.artifacts.layout import image_count, with_preset
from meddiff.artifacts.render import NONE, Block, Cell, Column, Grid
from meddiff.artifacts.settings import Confidence, Layout, Line, class_names, each_with, layout
from meddiff.evaluate.folds.means import over_seeds_and_folds
from meddiff.explaining.metrics import (
    CHANGED,
    FID_IMAGES_PER_DIMENSION,
    KID,
    KID_HALVES,
    KID_SOURCE,
    METRICS,
    SET_METRICS,
    read_metrics,
)

if TYPE_CHECKING:
    from meddiff.config.schema.counterfactual import CounterfactualConfig
    from meddiff.pipeline.experiment import Experiment

CAPTION = """\
Counterfactuals of each direction: validity by the classifier itself and by an independent one, each on the
test images that it decides for their true class, with the factual reconstructions taken for the target as a
control; distance to the image; distance to the real images of the target class, beside that of real images
to real ones; what the factual reconstruction and the way back lose; and, on phantoms, how much of the change
is inside the known lesion.
"""

KEYS = ["dataset", "model", "source", "target", "metric"]
_PERCENT, _SMALL, _PLAIN = "percent", "small", "plain"


class Shown(NamedTuple):
    """A column: its title and group, how a value is shown, and what it is called in a sentence."""

    title: str
    group: str
    form: str
    name: str


SHOWN: dict[str, Shown] = {
    "validity": Shown("itself", "Validity (%)", _PERCENT, "validity by the model itself"),
    "validity_oracle": Shown("oracle", "Validity (%)", _PERCENT, "validity by the oracle"),
    "control": Shown("itself", "Control (%)", _PERCENT, "control by the model itself"),
    "control_oracle": Shown("oracle", "Control (%)", _PERCENT, "control by the oracle"),
    "l1": Shown("L1", "Distance to the image", _SMALL, "L1"),
    "l2": Shown("L2", "Distance to the image", _SMALL, "L2"),
    "ssim": Shown("SSIM", "Distance to the image", _PLAIN, "SSIM"),
    "feature_distance": Shown("features", "Distance to the image", _PLAIN, "feature distance"),
    "changed_share": Shown("Changed (%)", "", _PERCENT, "changed share"),
    "kid": Shown("KID", "Distance to the class", _PLAIN, "KID"),
    "kid_halves": Shown("KID of its halves", "Distance to the class", _PLAIN, "KID of halves"),
    "kid_source": Shown("KID of the source", "Distance to the class", _PLAIN, "KID of the source"),
    "fid": Shown("FID", "Distance to the class", _PLAIN, "FID"),
    "composition_l1": Shown("Composition", "", _SMALL, "composition"),
    "reversibility_l1": Shown("Reversibility", "", _SMALL, "reversibility"),
    "change_inside_lesion": Shown("change", "Inside the lesion (%)", _PERCENT, "change inside the lesion"),
    "lesion_area": Shown("area", "Inside the lesion (%)", _PERCENT, "area of the lesion"),
}
# Column -> what is said about it where it is shown.
_SENTENCES = {
    "l1": "L1 (mean absolute) and L2 (root mean square) differences are fractions of the range of pixels.",
    "ssim": "SSIM: structural similarity, 1 for equal images.",
    "changed_share": f"Changed: pixels whose difference, after a 3x3 mean, is larger than {CHANGED:g} of the "
    "range.",
    "composition_l1": "Composition: L1 of the factual reconstruction to the image.",
    "reversibility_l1": "Reversibility: L1 of the way to the target and back.",
}


class Settings(Layout):
    """What the table depends on.

    Attributes:
        classes: dataset -> names in order of the class index.
        oracle: title of the baseline that classifies counterfactuals too.
        features: what the feature distances are made with.
        mask_margin: pixels that the known lesion is widened by.
        made: model -> how its counterfactuals were made.
        confidence: of the intervals in the metrics files.
    """

    classes: dict[str, list[Line]]
    oracle: Line | None
    features: Line | None
    mask_margin: int = Field(ge=0)
    made: dict[str, str]
    confidence: Confidence

    def direction(self, dataset: str, source: int, target: int) -> str:
        """``source → target`` by name."""
        names = self.classes[dataset]
        return f"{names[source]} → {names[target]}"


def plan(experiment: Experiment) -> list[Wanted]:
    """Wherever counterfactuals are made."""
    runs, config = experiment.counterfactual_runs(), experiment.counterfactuals
    if config is None:
        return []
    settings = Settings(
        **layout(experiment, runs, folds=True),
        classes=class_names(experiment, folds=True),
        oracle=_title(experiment, config.oracle),
        features=_title(experiment, config.features or config.oracle),
        mask_margin=config.mask_margin,
        made={model: _how_made(config, model) for model in dict.fromkeys(run.model for run in runs)},
        confidence=experiment.settings.evaluate.confidence,
    )
    return [Wanted(settings, {"metrics": [experiment.counterfactual(run, "metrics.csv") for run in runs]})]


def _title(experiment: Experiment, network: str | None) -> str | None:
    """What a network that judges is called: one that is named by its folder by that."""
    return network if network is None or "/" in network else experiment.any_dataset(network).title


def _how_made(config: CounterfactualConfig, model: str) -> str:
    """One clause for the caption."""
    guidance, steps = config.guidance(model), f"{config.sampling_steps} {config.sampler} steps"
    return f"from t = {guidance['from_t']:g} in {steps} with guidance {guidance['cfg_scale']:g}"


def make(settings: Settings, files: Files) -> tuple[pd.DataFrame, list[Grid]]:
    """The table from metrics files of ``measure``, one a run."""
    pairs = each_with(settings.runs, files["metrics"], "metrics")
    metrics = pd.concat([read_metrics(path, run) for run, path in pairs], ignore_index=True)
    table = counterfactual_table(metrics, settings)
    return table, with_preset([counterfactual_grid(table, settings)], settings)


def counterfactual_table(metrics: pd.DataFrame, settings: Settings) -> pd.DataFrame:
    """Tidy metrics averaged over seeds.

    Returns:
        Columns dataset, model, source, target, metric, value, ci_low, ci_high, sd, seeds, n,
        n_largest, folds (where there are some), note; rows in the order of the layout and of `METRICS`.
    """
    table = over_seeds_and_folds(metrics, settings.confidence, settings.folds, KEYS).drop(columns="votes")
    notes = metrics[metrics["note"] != ""].groupby(KEYS, sort=False)["note"].first()
    table["note"] = [notes.get(tuple(key), "") for key in table[KEYS].itertuples(index=False)]
    ranks = {
        "dataset": settings.dataset_order(),
        "model": list(settings.model_titles()),
        "metric": METRICS,
    }
    return table.sort_values(
        KEYS,
        key=lambda column: column.map(ranks[column.name].index) if column.name in ranks else column,
        kind="stable",
    ).reset_index(drop=True)


def counterfactual_grid(table: pd.DataFrame, settings: Settings) -> Grid:
    """The table for reading: blocks of datasets; metrics that no row has are left out."""
    shown = [name for name in SHOWN if table.loc[table["metric"] == name, "value"].notna().any()]
    judged = {"n": "validity"} | ({"n oracle": "validity_oracle"} if "validity_oracle" in shown else {})
    columns = [Column("Model and direction"), *(Column(title) for title in judged)]
    columns += [Column(SHOWN[name].title, SHOWN[name].group) for name in shown]
    cells = {(r.dataset, r.model, r.source, r.target, r.metric): r for r in table.itertuples()}
    blocks = []
    for dataset, title in settings.dataset_titles().items():
        here = table[table["dataset"] == dataset]
        rows = []
        for model, name in settings.model_titles().items():
            part = here[here["model"] == model]
            for source, target in dict.fromkeys(zip(part["source"], part["target"], strict=True)):
                key = (dataset, model, source, target)
                line = [Cell(f"{name}: {settings.direction(dataset, source, target)}")]
                line += [Cell(image_count(cells[*key, metric])) for metric in judged.values()]
                rows.append([*line, *(_cell(cells[*key, metric], SHOWN[metric].form) for metric in shown)])
        blocks += [Block(title, rows)] if rows else []
    return Grid(_caption(table, settings, shown), "counterfactuals", columns, blocks)


def _cell(row: Any, form: str) -> Cell:
    if pd.isna(row.value):
        return NONE
    scale, digits = (100, 0) if form == _PERCENT else (1, 3)
    value = f"{scale * row.value:.{digits}f}"
    # Limits of the small numbers would fill the table without being read; they are in the CSV.
    if form == _SMALL or pd.isna(row.ci_low):
        return Cell(value)
    return Cell(value, f"[{scale * row.ci_low:.{digits}f}, {scale * row.ci_high:.{digits}f}]")


def _caption(table: pd.DataFrame, settings: Settings, shown: list[str]) -> str:
    titles = settings.model_titles()
    made = {how: [titles[m] for m in titles if settings.made.get(m) == how] for how in settings.made.values()}
    parts = [
        "Counterfactuals of test images whose true and predicted class is the source; n of them, with "
        f"{100 * settings.confidence:g} % confidence intervals.",
        *(f"{', '.join(models)}: {how}." for how, models in made.items()),
        *_validity(settings, shown),
        *(sentence for name, sentence in _SENTENCES.items() if name in shown),
    ]
    parts += _distances(settings, shown)
    if "change_inside_lesion" in shown:
        parts.append(
            "Inside the lesion: share of the difference to the factual reconstruction that is inside the "
            f"known lesion widened by {_pixels(settings.mask_margin)}, and what share of the image that is."
        )
    parts += _left_out(table, shown)
    if table["seeds"].max() > 1:
        parts.append("Mean over seeds; intervals are for other images and other seeds.")
    return " ".join(parts)


def _validity(settings: Settings, shown: list[str]) -> list[str]:
    """What validity and its control are, by the judges that there are."""
    if "validity" not in shown:
        return []
    text = "Validity: share decided for the target, by the diffusion classifier itself"
    if "validity_oracle" in shown:
        text += (
            f" and by the oracle, {settings.oracle}, which was trained on its own; a flip counts only where "
            "the judge is right on the test image itself"
        )
    return [
        f"{text}. Control: share whose factual reconstruction (own class, same noise) is decided for the "
        "target, too, so that not the class but the reconstruction made the flip."
    ]


def _distances(settings: Settings, shown: list[str]) -> list[str]:
    """What distances in the feature space are, and how to read them."""
    if not {"feature_distance", *SET_METRICS} & set(shown):
        return []
    parts = [
        f"Distances of features are made with {settings.features}, not with Inception, and compare within "
        "this table only."
    ]
    if {KID, KID_HALVES, KID_SOURCE} & set(shown):
        parts.append(
            "KID is against the real test images of the target class. Its scale is real images against real "
            "ones: random halves of the target's (what perfect counterfactuals would have; the interval is "
            "the range of the halves), and the source's against the target's (what no change at all would "
            "have)."
        )
    if "fid" in shown:
        parts.append(
            f"FID is given from {FID_IMAGES_PER_DIMENSION} images a feature dimension on; with fewer it is "
            "mostly bias."
        )
    return parts


def _left_out(table: pd.DataFrame, shown: list[str]) -> list[str]:
    """Why there are dashes, and why there are no columns: each reason with the metrics it is of."""
    parts = []
    for start, there in (("A dash", True), ("Without a column", False)):
        missing = table[table["value"].isna() & (table["note"] != "")]
        missing = missing[missing["metric"].isin([name for name in SHOWN if (name in shown) == there])]
        # Numbers are in the CSV.
        reasons = missing.assign(note=missing["note"].str.split(":").str[0]).groupby("note", sort=False)
        parts += [
            f"{start}: {', '.join(SHOWN[metric].name for metric in dict.fromkeys(of['metric']))} ({note})."
            for note, of in reasons
        ]
    return parts


def _pixels(number: int) -> str:
    return f"{number} pixel{'s' * (number != 1)}"


ARTIFACT = Table("Making the table of counterfactuals", CAPTION, Settings, plan, make)
