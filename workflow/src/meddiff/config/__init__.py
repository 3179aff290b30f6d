"""Configuration: what may be said (`schema`) and how it is read (`load`)."""

from meddiff.config.load import Config, load_dataset, load_model, parse_model, top_level
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.config.schema.experiment import ExperimentConfig

__all__ = [
    "Config",
    "DatasetConfig",
    "ExperimentConfig",
    "load_dataset",
    "load_model",
    "parse_model",
    "top_level",
]
