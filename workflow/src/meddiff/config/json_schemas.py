"""JSON schemas of the configuration files, made from the classes that read them."""

from __future__ import annotations

from typing import Any

from meddiff.config.presets import PRESETS
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.experiment import ExperimentConfig
from meddiff.config.schema.model import ModelConfig


def schemas() -> dict[str, dict[str, Any]]:
    """Schema of each kind of file: ``dataset``, ``experiment``, ``model``."""
    model = ModelConfig.model_json_schema()
    for reference in model["discriminator"]["mapping"].values():
        definition = reference.rpartition("/")[2]
        # Overrides are merged before a model is checked, so the class does not have these keys.
        model["$defs"][definition]["properties"]["datasets"] = {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "overrides for single datasets, merged over the rest",
        }
        model["$defs"][definition]["properties"]["presets"] = {
            "type": "object",
            "properties": {preset: {"type": "object"} for preset in PRESETS},
            "additionalProperties": False,
            "description": "overrides for single presets, merged over the rest and under `datasets`",
        }
    return {
        "dataset": DatasetConfig.model_json_schema(),
        "experiment": ExperimentConfig.model_json_schema(),
        "model": model,
    }
