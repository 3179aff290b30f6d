"""What ``config/models/<name>.yaml`` may say: that of one of the kinds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, RootModel

from meddiff.config.schema.kinds.dit import DiTConfig
from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.config.schema.kinds.timm import TimmConfig
from meddiff.config.schema.kinds.unet import UNetConfig

AnyModel = Annotated[UNetConfig | DiTConfig | StableDiffusionConfig | TimmConfig, Field(discriminator="kind")]


class ModelConfig(RootModel[AnyModel]):
    """One model after overrides and preset have been applied."""
