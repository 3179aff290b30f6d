"""JSON schemas of the configuration files, made from the classes that read them."""

from __future__ import annotations

from typing import Any

from meddiff.config.dataset import DatasetConfig
from meddiff.config.experiment import ExperimentConfig
from meddiff.config.model import ModelConfig


def schemas() -> dict[str, dict[str, Any]]:
    """Schema of each kind of file: ``dataset``, ``experiment``, ``model``."""
    model = ModelConfig.model_json_schema()
    for definition in ("DiffusionModelConfig", "TimmModelConfig"):
        # Overrides are merged before a model is checked, so the class does not have the key.
        model["$defs"][definition]["properties"]["datasets"] = {
            "type": "object",
            "additionalProperties": {"type": "object"},
            "description": "overrides for single datasets, merged over the rest",
        }
    return {
        "dataset": DatasetConfig.model_json_schema(),
        "experiment": ExperimentConfig.model_json_schema(),
        "model": model,
    }
