"""What ``config/models/<name>.yaml`` may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, field_validator, model_validator

from meddiff.config.augmentation import Augmentation
from meddiff.config.strict import Strict


class EMAConfig(Strict):
    """Exponential moving average of the weights, with the warm-up of ema-pytorch.

    Every `update_every` steps, with k = step - `update_after_step`:
    decay = min(`beta`, 1 - (1 + k / `inv_gamma`)^-`power`).
    """

    beta: float = Field(default=0.999, gt=0, lt=1)
    update_after_step: int = Field(default=50, ge=-1)
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


class PretrainedBase(Strict):
    """Weights that a model begins from, kept in ``data/pretrained/<name>``."""

    name: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]*$",
        description="the model's name where not given; models of one name share the files",
    )


class PretrainedConfig(PretrainedBase):
    """A repository of the Hugging Face hub whose weights training begins from.

    Only safetensors and text are fetched: nothing that would have to be unpickled.
    """

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="owner/name")
    revision: str = Field(default="main", description="branch, tag or commit")
    files: list[str] = Field(min_length=1, description="names or patterns (fnmatch) of the files to fetch")

    @field_validator("files")
    @classmethod
    def _no_pickles(cls, files: list[str]) -> list[str]:
        if bad := [name for name in files if not name.endswith((".safetensors", ".json", ".txt"))]:
            raise ValueError(f"only .safetensors, .json and .txt files are fetched, got {', '.join(bad)}")
        return files


class ModelBase(Strict):
    """What all kinds have in common."""

    title: str
    family: str = Field(description="block of the paper's table")
    image_size: int | None = Field(default=None, description="input side; the dataset's where not given")
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the library's model"
    )
    train: TrainConfig
    augment: bool = Field(default=False, description="change training images as the dataset's file allows")
    published: str | None = Field(default=None, description="row of config/published.yaml")
    released: dict[str, str] = Field(
        default_factory=dict, description="dataset -> folder of the authors' released weights"
    )


class DiffusionBase(ModelBase):
    """What all diffusion classifiers have in common."""

    family: Literal["diffusion"] = "diffusion"
    label_dropout: float = Field(default=0.15, ge=0, lt=1)
    validation_steps: int = Field(default=51, ge=1, description="classification steps in validation")
    loss_weight: Literal["min_snr", "official", "uniform"] | None = None


class DiffusionModelConfig(DiffusionBase):
    """A class-conditional diffusion model, trained from scratch and used as a classifier.

    The five fields that default to ``None`` are where the authors' code has a bug; the experiment's
    preset (``fixed`` or ``official``) fills in those that are not given here.
    """

    kind: Literal["unet", "dit"]
    wavelet: bool = Field(default=True, description="work on the one-level Haar transform of the image")
    prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
    schedule: ScheduleConfig
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


class GeneratedPretrained(PretrainedBase):
    """A small model that the workflow makes itself, in the folder layout of a fetched one."""

    generate: Literal["tiny_stable_diffusion"]
    datasets: list[str] = Field(min_length=1, description="whose training images its autoencoder is fit to")
    seed: int = 0
    autoencoder_steps: int = Field(default=150, ge=1, description="optimizer steps")


class StableDiffusionConfig(DiffusionBase):
    """A latent text-to-image model (diffusers' Stable Diffusion layout), told the class by a prompt.

    `architecture` (``unet``, ``vae``, ``scheduler``, ``tokens``) and `prompts` are filled in from the
    pretrained folder and from the dataset's classes.
    """

    kind: Literal["stable_diffusion"]
    pretrained: PretrainedConfig | GeneratedPretrained
    train: TrainConfig | None = Field(default=None, description="fine-tuning; without it, zero-shot")
    train_on: Literal["dataset", "joint"] = Field(
        default="dataset", description="each dataset on its own, or one model on all of them"
    )
    loss_weight: Literal["min_snr", "official", "uniform"] | None = "uniform"
    label_dropout: float = Field(default=0.0, ge=0, lt=1)
    gradient_checkpointing: bool = Field(default=False, description="less memory, more time; same result")
    train_geometry: Literal["squash", "crop"] | None = Field(
        default=None, description="squash training images like all others, or crop the middle, as published"
    )
    prompts: list[str] | None = Field(default=None, description="one a class; the dataset's where not given")


class TimmModelConfig(ModelBase):
    """A discriminative classifier from timm."""

    kind: Literal["timm"]
    family: Literal["cnn", "transformer"] = Field(description="block of the paper's table")
    pretrained: PretrainedConfig | None = Field(
        default=None, description="weights that training begins from; random where not given"
    )
    normalisation: Literal["half", "pretrained"] | None = Field(
        default=None, description="(x - .5) / .5, or the mean and deviation of the pretrained weights"
    )


AnyModel = Annotated[
    DiffusionModelConfig | StableDiffusionConfig | TimmModelConfig, Field(discriminator="kind")
]


class ModelConfig(RootModel[AnyModel]):
    """One model after overrides and preset have been applied."""
