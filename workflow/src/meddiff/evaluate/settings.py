"""What the ``--params`` of the evaluation commands may say, checked before any file is read."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from meddiff.config.schema.figure import FigureStyle
from meddiff.config.schema.strict import Strict
from meddiff.errors import ConfigError
from meddiff.runs import Run, TrainedRun

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound="TrainedRun")


class Resampling(Strict):
    """How intervals are made that need resamples."""

    bootstrap_samples: int = Field(ge=1)
    confidence: float = Field(gt=0, lt=1)
    bootstrap_seed: int


class MetricsSettings(Run, Resampling):
    """Params of ``metrics``."""


class MethodSettings(Strict):
    """Params of ``figure --kind method``."""

    wavelet: bool = Field(description="whether the model works on Haar coefficients")
    seed: int = Field(default=0, ge=0, description="of the noise in the pictures")
    style: FigureStyle = FigureStyle()


def parse_params(model: type[M], text: str) -> M:
    """Read the JSON string of ``--params``.

    Raises:
        ConfigError: naming the key, for anything unknown, missing or impossible.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        lines = [
            f"--params: {'.'.join(map(str, e['loc'])) or '(top level)'}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from error


def pair_files(runs: list[R], paths: list[Path], option: str) -> list[tuple[R, Path]]:
    """Each run with its file; files are given in the order of the runs.

    Raises:
        ConfigError: if their numbers differ.
    """
    if len(runs) != len(paths):
        raise ConfigError(
            f"{option}: got {len(paths)} files for {len(runs)} runs; give one a run, in their order"
        )
    return list(zip(runs, paths, strict=True))
