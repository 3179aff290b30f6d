"""What a model's file may say about its training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from meddiff.config.schema.augmentation import Augmentation
from meddiff.config.schema.strict import Strict

_MOST_STEPS = 1_000_000_000


class EMAConfig(Strict):
    """Exponential moving average of the weights, with the warm-up and the counting of ema-pytorch.

    After the first step, and every `update_every` steps from there, with k = number of steps before -
    `update_after_step`: decay = min(`beta`, 1 - (1 + k / `inv_gamma`)^-`power`), or 0 (a copy) after the
    first step and where k is not above 0.
    """

    beta: float = Field(default=0.999, gt=0, lt=1)
    update_after_step: int = Field(default=50, ge=-1, le=_MOST_STEPS)
    update_every: int = Field(default=5, ge=1, le=_MOST_STEPS)
    power: float = Field(default=2 / 3, gt=0, le=100)
    inv_gamma: float = Field(default=1.0, gt=0, le=1e9)


class TrainConfig(Strict):
    """Optimisation. Defaults are the paper's for diffusion models, except the length."""

    epochs: int | None = Field(default=None, ge=1, le=1_000_000, description="length; give this or `steps`")
    steps: int | None = Field(default=None, ge=1, le=_MOST_STEPS, description="length in optimizer steps")
    batch_size: int = Field(
        default=128, ge=1, le=1_000_000, description="images a step: over all processes, accumulated"
    )
    accumulate: int = Field(
        default=1, ge=1, le=1_000_000, description="parts that a process divides its batch into"
    )
    lr: float = Field(default=1e-4, gt=0)
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = Field(default=100, ge=0, le=_MOST_STEPS)
    optimizer: Literal["adam", "adamw"] = "adam"
    weight_decay: float = Field(default=0.0, ge=0, le=1000)
    clip_grad_norm: float = Field(default=1.0, gt=0)
    mixed_precision: Literal["no", "fp16", "bf16"] = "no"
    select: Literal["best_f1", "last"] = Field(
        default="best_f1", description="weights of the best validation F1, or the last ones (no validation)"
    )
    validate_every: int = Field(
        default=1, ge=1, le=1_000_000, description="epochs between validations; the last one always"
    )
    ema: EMAConfig | None = None
    sampler: Literal["shuffled", "balanced"] = Field(
        default="shuffled",
        description="an epoch has every training image once, or as many images of every class",
    )
    augmentation: Augmentation | None = Field(
        default=None, description="the dataset's, where the model says `augment` and this is not given"
    )

    @model_validator(mode="after")
    def _has_one_length(self) -> TrainConfig:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps, not both and not neither")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> TrainConfig:
        if self.steps is not None and self.warmup_steps >= self.steps:
            raise ValueError(
                f"warmup_steps ({self.warmup_steps}) must end before the training, which has {self.steps} "
                "steps"
            )
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate ({self.accumulate}) cannot be more than batch_size ({self.batch_size}): a part "
                "of a batch has at least one image"
            )
        return self
