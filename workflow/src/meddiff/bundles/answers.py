"""From errors or logits to what is shown of an image: a class by name, probabilities, sets, doubts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from meddiff.bundles.usage import Fitted
from meddiff.config.schema.deciding import DecideParams
from meddiff.readout.calibrating import with_calibrated, with_triage
from meddiff.readout.from_errors import from_error_arrays
from meddiff.readout.from_logits import from_logits
from meddiff.readout.ood import logit_scores, with_ood
from meddiff.readout.predictions import (
    CALIBRATED,
    IN_SET,
    OOD,
    PROBABILITY,
    SCORE,
    TRIAGE,
    UNCERTAINTY,
    class_sets,
    scores,
)
from meddiff.readout.triage import REFER

UNLIKE, CLASS, AT_POINT, DECISION = "unlike", "class", "at_operating_point", "decision"
_SHOWN = (PROBABILITY, CALIBRATED, AT_POINT, TRIAGE, IN_SET, UNLIKE, UNCERTAINTY, OOD, "steps", SCORE)


@dataclass(frozen=True)
class Answers:
    """How images are decided.

    Attributes:
        class_names: in the order of the class index.
        decision: the decision rule.
        fitted: on validation images that were scored likewise.
        deciding: prevalence, and what is promised of images that are decided.
    """

    class_names: Sequence[str]
    decision: str
    fitted: Fitted
    deciding: DecideParams

    def of_errors(self, errors: np.ndarray, logsnr: np.ndarray, image_ids: Sequence[str]) -> pd.DataFrame:
        """Predictions (`meddiff.readout.predictions`) of errors [I, S, K] at logSNR [I, S]."""
        ids, nothing = np.asarray(image_ids, dtype=str), np.zeros(len(image_ids), dtype=np.int64)
        table = from_error_arrays(errors, logsnr, ids, ids, nothing, self.class_names, self.decision)
        table = self._calibrated(table)
        if self.fitted.profile is None:
            return table
        return with_ood(table, self.fitted.profile(errors, logsnr), self.fitted.limits)

    def of_logits(self, logits: np.ndarray, image_ids: Sequence[str]) -> pd.DataFrame:
        """Predictions of logits [I, K]."""
        nothing = np.zeros(len(image_ids), dtype=np.int64)
        table = self._calibrated(from_logits(image_ids, image_ids, nothing, logits, self.class_names))
        if self.fitted.limits is None:
            return table
        return with_ood(table, logit_scores(table), self.fitted.limits)

    def _calibrated(self, table: pd.DataFrame) -> pd.DataFrame:
        calibration, deciding = self.fitted.calibration, self.deciding
        if calibration is None:
            return table
        table = with_calibrated(table, calibration, Path("calibration.json"), deciding.prevalence)
        if deciding.triage is None:
            return table
        return with_triage(table, calibration, deciding.triage.model_dump(), deciding.prevalence)

    def shown(self, table: pd.DataFrame) -> pd.DataFrame:
        """Predictions without labels, which are not known, and with names of classes; the id comes last."""
        names, found = np.asarray(self.class_names, dtype=object), {}
        if unlike := [column for column in table if column.startswith(OOD)]:
            # One kind says it, or one image in ten would be called so: of diffusion models the distance from
            # the profile of their errors, of baselines the largest probability.
            found[UNLIKE] = table[unlike[0]] > 0
        if self.fitted.threshold is not None:
            own = scores(table)
            found[AT_POINT] = names[(own[:, 1] - own[:, 0] >= self.fitted.threshold).astype(np.int64)]
        if TRIAGE in table and class_sets(table) is None:
            # Of two classes a table of predictions has no sets: one that is not sure may be either.
            sure = table[TRIAGE].to_numpy()
            found |= {IN_SET + name: np.isin(sure, [name, REFER]).astype(np.int64) for name in names}
        table = table.assign(
            **found, **{CLASS: names[table["prediction"].to_numpy()], DECISION: self.decision}
        )
        columns = [column for kind in _SHOWN for column in table if column.startswith(kind)]
        return table[[CLASS, DECISION, *columns, "image_id"]]
