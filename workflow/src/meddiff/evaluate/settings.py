"""What the ``--params`` of the evaluation commands may say, checked before any file is read."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, Field, ValidationError

from meddiff.config.schema.figure import FigureStyle
from meddiff.config.schema.strict import Strict
from meddiff.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


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
