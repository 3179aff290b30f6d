"""From the files of a counterfactual run to its measures, metrics and examples: the command ``measure``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from meddiff.data.stores.store import Store
from meddiff.errors import ConfigError, DataError
from meddiff.evaluate.statistics import Resampling
from meddiff.explaining.archives import read_archive
from meddiff.explaining.edits import read_edit_table
from meddiff.explaining.examples import make_examples, write_examples
from meddiff.explaining.image_measures import measure_images
from meddiff.explaining.lesions import KnownLesions
from meddiff.explaining.metrics import COLUMNS, RUN
from meddiff.explaining.summary import summarise
from meddiff.readout.predictions import read_predictions
from meddiff.result_csv import write_csv
from meddiff.runs import TrainedRun


class MeasureSettings(TrainedRun, Resampling):
    """What ``measure`` depends on beside its files."""

    phantom: Literal["chexpert", "isic"] | None = Field(
        default=None, description="layout of a generated dataset, whose lesions are known"
    )
    mask_margin: int = Field(ge=0, description="pixels that the lesion mask is widened by")
    examples: int = Field(ge=1, description="images of each class to show")


@dataclass(frozen=True)
class MeasureFiles:
    """What is read and written.

    Attributes:
        table, images, features: what ``explain`` wrote.
        store: folder of the image store.
        predictions: of the diffusion classifier on the test images.
        oracle: of the baseline, or None.
        root: folder of the dataset's images; only a phantom's is used, for its masks.
        measures, metrics, examples: files to write.
    """

    table: Path
    images: Path
    features: Path
    store: Path
    predictions: Path
    oracle: Path | None
    root: Path | None
    measures: Path
    metrics: Path
    examples: Path


def make_measures(settings: MeasureSettings, files: MeasureFiles) -> None:
    """Measure every image, summarise, and keep the images to show.

    Raises:
        ConfigError: if a phantom's folder is not given.
        DataError: if a file is wrong, or files are of different images.
    """
    if settings.phantom and files.root is None:
        raise ConfigError("--root: missing; the masks of a phantom lie in the folder of its images")
    table = read_edit_table(files.table)
    store = Store.open(files.store, "test")
    predictions = read_predictions(files.predictions)
    oracle = read_predictions(files.oracle) if files.oracle else None
    lesions = _lesions(settings, files.root, store, sorted(set(table["image_id"])))
    measures = measure_images(table, files.images, store, predictions, oracle, lesions)
    if missing := sorted(set(store.image_ids) - set(predictions["image_id"])):
        raise DataError(
            f"{files.predictions}: has no row of image {missing[0]!r} ({len(missing)} such images of the "
            "test split); make the file again from its errors"
        )
    tested = predictions.set_index("image_id").loc[store.image_ids, ["label", "group"]]
    metrics = summarise(measures, read_features(files.features), tested, settings)
    write_examples(make_examples(measures, settings.examples, files.images, store, lesions), files.examples)
    write_csv(measures, files.measures)
    write_csv(metrics.assign(**settings.model_dump(include={*RUN}))[COLUMNS], files.metrics)


def read_features(path: Path) -> dict[str, np.ndarray]:
    """The arrays `generated` and `real` that ``explain`` wrote; empty where it had no network.

    Raises:
        DataError: if it is no such file.
    """
    arrays = read_archive(path, "features", "run `explain` again")
    if arrays and not {"generated", "real"} <= set(arrays):
        raise DataError(f"{path}: has {sorted(arrays)}, expected generated and real; run `explain` again")
    return arrays


def _lesions(
    settings: MeasureSettings, root: Path | None, store: Store, image_ids: list[str]
) -> KnownLesions | None:
    if settings.phantom is None or root is None:
        return None
    return KnownLesions.read(root, settings.phantom, image_ids, store.images.shape[1], settings.mask_margin)
