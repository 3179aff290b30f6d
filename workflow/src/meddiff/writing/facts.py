"""What tables and records of trainings know: counts of images, parameters, epochs, versions of libraries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from meddiff.errors import DataError
from meddiff.writing.settings import WritingSettings

if TYPE_CHECKING:
    import pandas as pd

_REPAIR = "run snakemake, which makes it again"
SPLITS = ("train", "valid", "test")
TABLES = ("participants", "flow", "leaks")


@dataclass(frozen=True)
class Facts:
    """What is known of an experiment's data and trainings.

    Attributes:
        participants, flow, leaks: the tables of these names.
        trained: folder of a run -> what its training noted; without those that are not here.
    """

    participants: pd.DataFrame
    flow: pd.DataFrame
    leaks: pd.DataFrame
    trained: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, settings: WritingSettings, files: Mapping[str, Sequence[Path]]) -> Facts:
        """Read them.

        Args:
            settings: the experiment.
            files: ``participants``, ``flow`` and ``leaks``, one CSV each.

        Raises:
            DataError: if one is missing or cannot be read.
        """
        from meddiff.result_csv import read_csv

        tables = {}
        for name in TABLES:
            if len(files.get(name, ())) != 1:
                raise DataError(f"--input {name}: expected one file, the table tables/{name}.csv")
            tables[name] = read_csv(files[name][0], repair=_REPAIR, dtype={"level": str})
        folders = [folder for model in settings.models for folder in model.folders]
        return cls(**tables, trained={folder: found for folder in folders if (found := _record(folder))})

    def count(self, dataset: str, split: str, what: str = "images", level: str | None = None) -> int:
        """Images, groups (``what``) or images of a class (``level``) of a split, ``all`` for all of them."""
        table = self.participants
        rows = table[(table["dataset"] == dataset) & (table["split"] == split) & (table["what"] == what)]
        if level is not None:
            rows = rows[rows["level"] == level]
        return int(rows["images"].iloc[0]) if len(rows) else 0

    def listed(self, dataset: str) -> int:
        """Images in the dataset's list, before any was left out."""
        return self._flow(dataset, "found")

    def left_out(self, dataset: str) -> int:
        """Images that were left out."""
        return self._flow(dataset, "left out")

    def _flow(self, dataset: str, step: str) -> int:
        table = self.flow
        return int(table[(table["dataset"] == dataset) & (table["step"] == step)]["images"].sum())

    def alike(self, dataset: str) -> int | None:
        """Test images that look like one of training or validation; None where nobody looked."""
        table = self.leaks
        rows = table[
            (table["dataset"] == dataset) & (table["part"] == "look-alikes") & (table["split"] == "test")
        ]
        rows = rows[
            (rows["other_split"] == "train or valid") & (rows["class"] == "all") & rows["value"].notna()
        ]
        return round(float(rows["value"].iloc[0]) * int(rows["n"].iloc[0])) if len(rows) else None

    def grouped(self, dataset: str) -> bool:
        """Whether test images share groups."""
        return self.count(dataset, "test", "groups") < self.count(dataset, "test", "images")

    def parameters(self, folders: Sequence[str]) -> int | None:
        """Trainable and other parameters of a model, if one of its runs says so."""
        found = [self.trained[folder].get("parameters") for folder in folders if folder in self.trained]
        return next((int(number) for number in found if number), None)

    def architecture(self, folders: Sequence[str]) -> Mapping[str, Any]:
        """What a model that began from pretrained weights took over from them; empty where not noted."""
        for folder in folders:
            inputs = self.trained.get(folder, {}).get("inputs") or {}
            found = ((inputs.get("params") or {}).get("model") or {}).get("architecture")
            if found:
                return dict(found)
        return {}

    def hours(self) -> float:
        """Hours on the clock that all trainings took together, as far as they are here."""
        return sum(float(record.get("hours") or 0) for record in self.trained.values())

    def devices(self) -> list[str]:
        """What models were trained on."""
        return sorted({str(record["device"]) for record in self.trained.values() if record.get("device")})

    def versions(self) -> dict[str, list[str]]:
        """Library -> versions that models were trained with."""
        found: dict[str, set[str]] = {}
        for record in self.trained.values():
            for name, version in (record.get("versions") or {}).items():
                found.setdefault(name, set()).add(str(version))
            if record.get("python"):
                found.setdefault("python", set()).add(str(record["python"]))
        return {name: sorted(found[name]) for name in sorted(found)}


def _record(folder: str) -> dict[str, Any]:
    """What a training noted; nothing where the folder was not restored."""
    path = Path(folder) / "run.json"
    if not path.is_file():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: is no JSON ({error}); {_REPAIR}") from None
    if not isinstance(record, dict):
        raise DataError(f"{path}: expected an object; {_REPAIR}")
    return record
