"""What a run of the workflow knows of its model, found in the records beside its results."""

from __future__ import annotations

import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from meddiff.bundles.usage import Editing, Fitted, Scoring, Usage
from meddiff.config.datasets.folds import whole
from meddiff.config.reasons import lines_of
from meddiff.config.schema.deciding import DecideParams
from meddiff.config.schema.experiment import StoppingConfig
from meddiff.errors import CheckpointError, DataError
from meddiff.models.spec import WEIGHTS, ModelSpec, read_spec
from meddiff.readout.rules import RULES
from meddiff.records.files import RAW, raw_manifest
from meddiff.records.record import read_record

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger("meddiff")

_BASELINE = "softmax"


@dataclass(frozen=True)
class RunFolder:
    """The folder of one trained model, ``results/<experiment>/<dataset>/<model>/seed<k>``.

    Attributes:
        root: the repository, which records name files from.
        name: of the folder there.
        folder: the same, as it was given.
        spec: of its model.
    """

    root: Path
    name: PurePosixPath
    folder: Path
    spec: ModelSpec

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run whose folder, or whose folder ``weights``, is at `path`.

        Raises:
            CheckpointError: if there are no weights, or it is not known how they came to be.
        """
        weights = path / "weights" if (path / "weights").is_dir() else path
        if not (weights / WEIGHTS).is_file():
            raise CheckpointError(
                f"{path}: is no model: expected a bundle (`meddiff export`), or the folder of a run, "
                "results/<experiment>/<dataset>/<model>/seed<k>"
            )
        spec, record = read_spec(weights), read_record(weights / WEIGHTS)
        names = [
            name for name in map(PurePosixPath, (record or {}).get("outputs", {})) if name.name == WEIGHTS
        ]
        # `results` may be a link to another disk, and so may be what was named.
        for absolute in (Path(os.path.abspath(weights)), weights.resolve()):
            for name in names:
                own = name.parent.parts
                if absolute.parts[-len(own) :] == own:
                    return cls(absolute.parents[len(own) - 1], name.parents[1], weights.parent, spec)
        raise CheckpointError(
            f"{weights}: there is no record (provenance/{WEIGHTS}.json) that says of which run these weights "
            "are, so it is not known how images are prepared and scored; name the folder where the run has "
            "made them, or a bundle of `meddiff export`"
        )

    @property
    def weights(self) -> Path:
        """Folder of the weights."""
        return self.folder / "weights"

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return self.name.parts[2]

    @property
    def seed(self) -> int:
        """Of the training."""
        return int(self.name.name.removeprefix("seed"))

    @property
    def decided(self) -> Path:
        """Folder of what the model decides: of several vote seeds that of the training's, or the lowest."""
        if self.spec.model.family != "diffusion":
            return self.folder
        numbers = sorted(int(path.name[5:]) for path in self.folder.glob("votes*") if path.name[5:].isdigit())
        if not numbers:
            raise DataError(f"{self.folder}: the run has not been scored yet; finish it with `snakemake`")
        chosen = self.seed if self.seed in numbers else numbers[0]
        return self.folder / f"votes{chosen}"

    def usage(self) -> Usage:
        """How the run has used its model.

        Raises:
            DataError: if a record is missing or cannot be used.
            CheckpointError: if its images have other classes than its weights.
        """
        decisions = self.decisions()
        scored = self._scored()
        store, names = self._store(scored["inputs"])
        params = scored["settings"].get("params") or {}
        usage = {
            "title": self.spec.model.title,
            "dataset": self.dataset,
            "class_names": names,
            "pixels": store,
            "scoring": None if self.spec.model.family != "diffusion" else _only(Scoring, params),
            "editing": self._editing(),
            "decisions": decisions,
            "deciding": self._deciding(decisions[0]),
            **self._operating_point(decisions[0]),
            "seed": self.seed,
        }
        try:
            found = Usage.model_validate(usage)
        except ValidationError as error:
            raise DataError(f"{self.folder}: its records cannot be used: {lines_of(error)[0]}") from error
        check_classes(self.weights, self.spec, found)
        return found

    def is_generated(self) -> bool:
        """Whether the images of its dataset were drawn by a program: a phantom."""
        manifest = self.root / "data" / whole(self.dataset) / RAW
        params = (read_record(manifest) or {"settings": {}})["settings"].get("params") or {}
        return (params.get("source") or {}).get("kind") == "phantom"

    def decisions(self) -> list[str]:
        """Decision rules that the run has used, majority first."""
        made = {path.stem for path in (self.decided / "predictions").glob("*.csv")}
        found = [name for name in (*RULES, _BASELINE) if name in made]
        if not found:
            raise DataError(f"{self.decided}: has no predictions yet; finish the run with `snakemake`")
        return found

    def _scored(self) -> dict[str, Any]:
        """The record of the test split's errors, or of a baseline's answers."""
        diffusion = self.spec.model.family == "diffusion"
        return _record(self.decided / ("errors.nc" if diffusion else f"scores/test/{_BASELINE}.csv"))

    def _store(self, inputs: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """The fields of `Pixels`, and names of classes, of the store that test images were read from."""
        name = next((n for n in inputs if n.startswith("data/") and n.endswith("/manifest.json")), None)
        if name is None:
            raise DataError(f"{self.decided}: the record does not say which image store was scored")
        manifest = self.root / name
        settings = _record(manifest)["settings"]
        size, geometry = settings["size"]
        params = settings["params"]
        kept = {key: params[key] for key in ("channels", "bits", "decoding", "intensity") if key in params}
        checked = _record(raw_manifest(Path(manifest.parent)).with_name("table.csv"))["settings"]["params"]
        names = [entry["name"] for entry in params["classes"]]
        return {**kept, "size": size, "geometry": geometry, "convert": checked.get("convert", ())}, names

    def _deciding(self, decision: str) -> dict[str, Any]:
        params = _record(self.decided / f"predictions/{decision}.csv")["settings"].get("params") or {}
        return _only(DecideParams, params)

    def _operating_point(self, decision: str) -> dict[str, Any]:
        """Nothing where the run chose none."""
        record = read_record(self.decided / f"metrics/{decision}.csv") or {"settings": {}}
        params = record["settings"].get("params") or {}
        return {key: params[key] for key in ("operating_point",) if key in params}

    def _editing(self) -> dict[str, Any]:
        """As the run made counterfactuals; the defaults where it made none."""
        record = read_record(self.folder / "counterfactuals/counterfactuals.csv") or {"settings": {}}
        return _only(Editing, record["settings"].get("params") or {})

    def fitted(self, usage: Usage, decision: str, stopping: StoppingConfig) -> Fitted:
        """What was fitted on the validation images for a decision rule, or is so now.

        Where the run scored all steps and images stop here, the validation images are stopped likewise
        first: margins of fewer steps are smaller.

        Raises:
            DataError: if a file is damaged.
        """
        from meddiff.readout.calibration_file import read_calibration
        from meddiff.readout.ood import limits, logit_scores, read_profile
        from meddiff.readout.predictions import read_predictions

        calibration = self.decided / f"calibration/{decision}.json"
        if not calibration.is_file():
            return Fitted()
        if usage.stopped_early and stopping.kind == "none":  # of all steps nothing is known
            return Fitted()
        if usage.scoring is not None and stopping != usage.scoring.stopping:
            return fitted_to_stopped(self.decided / "errors_valid.nc", usage, decision, stopping)
        validation = read_predictions(self.decided / f"scores/valid/{decision}.csv")
        point, fitted = operating_point(validation, usage), read_calibration(calibration)
        if usage.scoring is None:
            return Fitted(fitted, None, limits(logit_scores(validation)), point)
        return Fitted(fitted, *read_profile(self.decided / "profile.json"), point)

    def can_stop(self, usage: Usage) -> bool:
        """Whether what is fitted is known for images that stop early, or nothing is fitted at all."""
        if usage.scoring is None or usage.stopped_early or not (self.decided / "calibration").is_dir():
            return True
        return (self.decided / "errors_valid.nc").is_file()


def operating_point(validation: pd.DataFrame, usage: Usage) -> float | None:
    """Of two classes, the score of the last less that of the first from which an image is called positive."""
    from meddiff.evaluate.metrics.operating_point import threshold
    from meddiff.readout.predictions import scores

    if len(usage.class_names) != 2:
        return None
    found = scores(validation)
    chosen = threshold(found[:, 1] - found[:, 0], validation["label"] == 1, usage.operating_point)
    return chosen if math.isfinite(chosen) else None


def fitted_to_stopped(path: Path, usage: Usage, decision: str, stopping: StoppingConfig) -> Fitted:
    """Fit on validation images as they would have stopped.

    Args:
        path: errors file of the validation split, of all steps.
        usage: of the model.
        decision: the decision rule.
        stopping: when images stop.

    Raises:
        DataError: if the file is missing or damaged, or there are too few images.
    """
    from meddiff.diffusion.step_order import in_order, spread_order
    from meddiff.diffusion.stopping import cut, make_rule, stopping_steps
    from meddiff.readout.calibrating import calibrate
    from meddiff.readout.from_errors import error_array, from_errors
    from meddiff.readout.ood import fit_profile
    from meddiff.scoring.error_file import load_errors

    dataset = load_errors(path)
    errors, ids = error_array(dataset), dataset["image"].values.tolist()
    if (rule := make_rule(stopping, *errors.shape[1:])) is not None:
        logsnr, seed = dataset["logsnr"].transpose("image", "step").values, int(dataset.attrs["seed"])
        order = spread_order(logsnr, seed, ids) if stopping.order == "spread" else None
        errors = cut(errors, stopping_steps(in_order(errors, order), rule), order)
    stopped = dataset.assign(errors=(("image", "step", "class"), errors))
    profile, usual = fit_profile(stopped, path)
    table = from_errors(stopped, decision)
    calibration = calibrate(table, path, offsets=True)
    return Fitted(calibration, profile, usual, operating_point(table, usage))


def check_classes(weights: Path, spec: ModelSpec, usage: Usage) -> None:
    """Check that a model's classes are what is said of them.

    Raises:
        CheckpointError: if number, names or order differ.
    """
    ours = list(spec.class_names) if spec.class_names else None
    if len(usage.class_names) != spec.num_classes or (ours is not None and ours != usage.class_names):
        raise CheckpointError(
            f"{weights}: the weights tell the classes {ours or spec.num_classes} apart, and what lies beside "
            f"them says {usage.class_names}; the two do not belong together"
        )
    if (usage.pixels.size, usage.pixels.channels) != (spec.image_size, spec.channels):
        raise CheckpointError(
            f"{weights}: the weights are of images with side {spec.image_size} and {spec.channels} channels, "
            f"and what lies beside them says {usage.pixels.size} and {usage.pixels.channels}"
        )


def _only(kind: type[Any], params: dict[str, Any]) -> dict[str, Any]:
    """The entries of `params` that `kind` has."""
    return {key: value for key, value in params.items() if key in kind.model_fields}


def _record(path: Path) -> dict[str, Any]:
    record = read_record(path)
    if record is None:
        raise DataError(
            f"{path}: has no record (provenance/{path.name}.json beside it), which says how images "
            "were prepared and scored; restore it, or run the workflow where the images are"
        )
    return record
