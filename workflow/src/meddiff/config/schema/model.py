"""What ``config/models/<name>.yaml`` may say."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel, field_validator, model_validator

from meddiff.config.schema.architecture import architecture_problems
from meddiff.config.schema.augmentation import Augmentation
from meddiff.config.schema.strict import InnerPath, Name, Prompt, Seed, Side, Steps, Strict, Title

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


class ScheduleConfig(Strict):
    """Shifted cosine schedule of simple diffusion; shift = ln(noise_size / image_size)."""

    image_size: int = Field(ge=1, le=65536)
    noise_size: int = Field(ge=1, le=65536)
    logsnr_max: float = Field(default=15.0, ge=-50, le=50)
    logsnr_min: float = Field(default=-15.0, ge=-50, le=50)

    @model_validator(mode="after")
    def _is_a_range(self) -> ScheduleConfig:
        if self.logsnr_max <= self.logsnr_min:
            raise ValueError(
                f"logsnr_max ({self.logsnr_max}) must be above logsnr_min ({self.logsnr_min}): the signal "
                "fades from the one to the other"
            )
        return self


class PretrainedBase(Strict):
    """Weights that a model begins from, kept in ``data/pretrained/<name>``."""

    name: Name | None = Field(
        default=None,
        description="the model's name where not given; models of one name share the files",
    )


class PretrainedConfig(PretrainedBase):
    """A repository of the Hugging Face hub whose weights training begins from.

    Only safetensors and text are fetched: nothing that would have to be unpickled.
    """

    repo: str = Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
        description="owner/name",
    )
    revision: str = Field(
        default="main",
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+)*$",
        max_length=200,
        description="branch, tag or commit",
    )
    files: list[InnerPath] = Field(
        min_length=1, description="names or patterns (fnmatch) of the files to fetch"
    )

    @field_validator("files")
    @classmethod
    def _no_pickles(cls, files: list[str]) -> list[str]:
        if bad := [name for name in files if not name.endswith((".safetensors", ".json", ".txt"))]:
            raise ValueError(f"only .safetensors, .json and .txt files are fetched, got {', '.join(bad)}")
        return files


# Folders of a release: in each part a letter, digit or underscore comes first, so none leads upwards.
ReleaseFolder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")]


class ModelBase(Strict):
    """What all kinds have in common."""

    kind: str
    title: Title
    family: str = Field(description="block of the paper's table")
    image_size: Side | None = Field(default=None, description="input side; the dataset's where not given")
    architecture: dict[str, Any] = Field(
        default_factory=dict, description="keyword arguments of the library's model"
    )
    train: TrainConfig
    augment: bool | None = Field(
        default=None, description="change training images as the dataset's file allows; set by the preset"
    )
    published: str | None = Field(default=None, description="row of config/published.yaml")
    released: dict[Name, ReleaseFolder] = Field(
        default_factory=dict, description="dataset -> folder of the authors' released weights"
    )

    @model_validator(mode="after")
    def _architecture_is_possible(self) -> ModelBase:
        if problems := architecture_problems(self.kind, self.architecture):
            raise ValueError("; ".join(f"architecture.{problem}" for problem in problems))
        return self

    @model_validator(mode="after")
    def _only_training_images_are_changed(self) -> ModelBase:
        if self.augment and self.train is None:
            raise ValueError("augment: changes training images, but without `train` there is no training")
        return self


class DiffusionBase(ModelBase):
    """What all diffusion classifiers have in common."""

    family: Literal["diffusion"] = "diffusion"
    label_dropout: float = Field(default=0.15, ge=0, lt=1)
    validation_steps: Steps = Field(
        default=51, description="classification steps in validation, an odd number: a draw cannot be"
    )
    loss_weight: Literal["min_snr", "official", "uniform"] | None = None

    @field_validator("validation_steps")
    @classmethod
    def _no_draw(cls, steps: int) -> int:
        if steps % 2 == 0:
            raise ValueError(
                f"a majority of {steps} votes can be a draw; take an odd number, such as {steps + 1}"
            )
        return steps


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
        ge=0,
        le=1_000_000,
        description="DiT: rows of each block's label table before its null row; 0 = number of classes",
    )
    block_label_dropout: float | None = Field(
        default=None, ge=0, lt=1, description="DiT: further label dropout, drawn by every block on its own"
    )


class GeneratedPretrained(PretrainedBase):
    """A small model that the workflow makes itself, in the folder layout of a fetched one."""

    generate: Literal["tiny_stable_diffusion"]
    datasets: list[str] = Field(
        min_length=1, description="of the experiment, whose training images its autoencoder is fit to"
    )
    seed: Seed = 0
    autoencoder_steps: int = Field(default=150, ge=1, le=1_000_000, description="optimizer steps")


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
    # As published it has its own (`train.augmentation`), and a joint model cannot have that of each dataset.
    augment: bool = False
    gradient_checkpointing: bool = Field(default=False, description="less memory, more time; same result")
    train_geometry: Literal["squash", "crop"] | None = Field(
        default=None, description="squash training images like all others, or crop the middle, as published"
    )
    prompts: list[Prompt] | None = Field(
        default=None, description="one a class; the dataset's where not given"
    )


class TimmModelConfig(ModelBase):
    """A discriminative classifier from timm."""

    kind: Literal["timm"]
    family: Literal["cnn", "transformer"] = Field(description="block of the paper's table")
    augment: bool = Field(default=True, description="change training images as the dataset's file allows")
    class_weights: Literal["none", "balanced"] | list[Annotated[float, Field(gt=0, le=1e6)]] = Field(
        default="none",
        description="what an image's loss is multiplied by: by the inverse share of its class in the "
        "training images, or one factor a class",
    )
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
