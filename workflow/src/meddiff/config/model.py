"""What ``config/models/<name>.yaml`` may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, model_validator

from meddiff.config.augmentation import Augmentation
from meddiff.config.strict import Strict


class EMAConfig(Strict):
    """Exponential moving average of the weights, with the warm-up of ema-pytorch.

    Every `update_every` steps, with k = step - `update_after_step`:
    decay = min(`beta`, 1 - (1 + k / `inv_gamma`)^-`power`).
    """

    beta: float = Field(default=0.999, gt=0, lt=1)
    update_after_step: int = Field(default=50, ge=0)
    update_every: int = Field(default=5, ge=1)
    power: float = Field(default=2 / 3, gt=0)
    inv_gamma: float = Field(default=1.0, gt=0)


class TrainConfig(Strict):
    """Optimisation. Defaults are the paper's for diffusion models, except the length."""

    epochs: int | None = Field(default=None, ge=1, description="length; give this or `steps`")
    steps: int | None = Field(default=None, ge=1, description="length in optimizer steps")
    batch_size: int = Field(default=128, ge=1, description="images a step: over all processes, accumulated")
    accumulate: int = Field(default=1, ge=1, description="parts that a process divides its batch into")
    lr: float = Field(default=1e-4, gt=0)
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0)
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0)
    clip_grad_norm: float = Field(default=1.0, gt=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    select: Literal["best_f1", "last"] = Field(
        default="best_f1", description="weights of the best validation F1, or the last ones (no validation)"
    )
    validate_every: int = Field(
        default=1, ge=1, description="epochs between validations; the last one always"
    )
    ema: EMAConfig | None = None
    augmentation: Augmentation | None = Field(
        default=None, description="the dataset's, where the model says `augment` and this is not given"
    )

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, not both and not neither")
        return self


class ScheduleConfig(Strict):
    """Shifted cosine schedule of simple diffusion; shift = ln(noise_size / image_size)."""

    image_size: int = Field(ge=1)
    noise_size: int = Field(ge=1)
    logsnr_max: float = 15.0
    logsnr_min: float = -15.0


class ModelBase(Strict):
    """What all kinds have in common."""

    title: str
    family: Literal["cnn", "transformer", "diffusion"] = Field(description="block of the paper's table")
    image_size: int | None = Field(default=None, description="input side; the dataset's where not given")
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the library's model"
    )
    train: TrainConfig
    augment: bool = Field(default=False, description="change training images as the dataset's file allows")
    published: str | None = Field(default=None, description="row of config/published.yaml")


class DiffusionModelConfig(ModelBase):
    """A class-conditional diffusion model, used as a classifier.

    The five fields that default to ``None`` are where the authors' code has a bug; the experiment's
    preset (``fixed`` or ``official``) fills in those that are not given here.
    """

    kind: Literal["unet", "dit"]
    wavelet: bool = Field(default=True, description="work on the one-level Haar transform of the image")
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    schedule: ScheduleConfig
    label_dropout: float = Field(default=0.15, ge=0, lt=1)
    validation_steps: int = Field(default=51, ge=1, description="classification steps in validation")
    loss_weight: Literal["min_snr", "official"] | None = None
    embedding_outside: bool | None = Field(
        default=None, description="UNet: class embedding gets neither EMA nor gradient clipping"
    )
    adaln_zero_init: bool | None = Field(default=None, description="DiT: start each block as the identity")
    label_table_size: int | None = Field(
        default=None,
        description="DiT: rows of each block's label table before its null row; 0 = number of classes",
    )
    block_label_dropout: float | None = Field(
        default=None, description="DiT: further label dropout, drawn by every block on its own"
    )


class TimmModelConfig(ModelBase):
    """A discriminative classifier from timm."""

    kind: Literal["timm"]
    pretrained: bool = False
    normalisation: Literal["half", "pretrained"] | None = Field(
        default=None, description="(x - .5) / .5, or the mean and deviation of the pretrained weights"
    )


AnyModel = Annotated[DiffusionModelConfig | TimmModelConfig, Field(discriminator="kind")]


class ModelConfig(RootModel[AnyModel]):
    """One model after overrides and preset have been applied."""
