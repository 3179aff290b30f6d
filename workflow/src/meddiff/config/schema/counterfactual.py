"""What the experiment's ``counterfactuals`` block may say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from meddiff.config.schema.strict import FilePath, Seed, Steps, Strict

# Errors of guidance grow with it; the images are noise long before.
_STRONGEST = 1000


class Guidance(Strict):
    """What one model has different from the others; None leaves the block's own value."""

    from_t: float | None = Field(default=None, gt=0, le=1)
    cfg_scale: float | None = Field(default=None, gt=0, le=_STRONGEST)


class FrontConfig(Strict):
    """Grid of settings whose counterfactuals are compared in the figure ``counterfactual_front``."""

    from_t: list[float] = Field(min_length=1)
    cfg_scale: list[float] = Field(min_length=1)
    images_per_class: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="as in the block itself; these are the first of its images",
    )

    @field_validator("from_t", "cfg_scale")
    @classmethod
    def _distinct_and_possible(cls, values: list[float], info) -> list[float]:
        if len(set(values)) != len(values):
            raise ValueError(f"every entry must appear once, got {values}")
        limit = 1 if info.field_name == "from_t" else _STRONGEST
        if min(values) <= 0 or max(values) > limit:
            raise ValueError(f"expected values above 0, at most {limit}, got {values}")
        return values


class CounterfactualConfig(Strict):
    """Each test image as it would look as each other class, made by every diffusion model."""

    models: list[str] | None = Field(
        default=None, description="diffusion models of the experiment; null = all of them"
    )
    from_t: float = Field(default=0.5, gt=0, le=1, description="how far an image is noised, as a time")
    cfg_scale: float = Field(
        default=5.5,
        gt=0,
        le=_STRONGEST,
        description="classifier-free guidance, 1 = none; the authors' w is this minus 1",
    )
    by_model: dict[str, Guidance] = Field(
        default_factory=dict, description="model -> its own from_t and cfg_scale"
    )
    sampling_steps: Steps = 256
    sampler: Literal["ancestral", "ddim"] = Field(
        default="ancestral",
        description="under the preset `official` the ancestral one has the published extra last step",
    )
    images_per_class: int | None = Field(
        default=None, ge=1, le=1_000_000, description="test images of each class, drawn by `seed`; null = all"
    )
    seed: Seed = Field(default=0, description="of the noise and of the draw of images")
    precision: Literal["fp32", "fp16", "bf16"] = Field(
        default="fp32", description="of the network; the steps of the sampler are fp32"
    )
    validity_steps: Steps = Field(
        default=51, description="classification steps with which a counterfactual is classified"
    )
    decision: Literal["majority", "mean"] = Field(
        default="majority", description="how images and counterfactuals are classified by the model itself"
    )
    oracle: str | None = Field(
        default=None, description="a baseline of the experiment that classifies the counterfactuals too"
    )
    features: FilePath | None = Field(
        default=None,
        description="network of the feature distances: a baseline of the experiment, or a folder with "
        "model.safetensors and config.yaml of one; null = the oracle",
    )
    front: FrontConfig | None = None
    mask_margin: int = Field(
        default=1,
        ge=0,
        le=1000,
        description="phantoms: pixels that the lesion mask is widened by on every side",
    )
    examples: int = Field(
        default=2, ge=1, le=50, description="images of each class in the figure, for every model"
    )

    @field_validator("models")
    @classmethod
    def _no_repetition(cls, values: list[str] | None) -> list[str] | None:
        if values is not None and (not values or len(set(values)) != len(values)):
            raise ValueError(f"expected at least one model, each once, got {values}")
        return values

    def guidance(self, model: str) -> dict[str, float]:
        """`from_t` and `cfg_scale` of `model`."""
        own = self.by_model.get(model, Guidance())
        return {
            "from_t": self.from_t if own.from_t is None else own.from_t,
            "cfg_scale": self.cfg_scale if own.cfg_scale is None else own.cfg_scale,
        }

    def problems(self, diffusion: list[str], baselines: list[str]) -> list[str]:
        """What does not fit the experiment's models, each with its key.

        Args:
            diffusion, baselines: the experiment's models of these kinds.
        """
        named = {"models": self.models or [], "by_model": list(self.by_model)}
        found = [
            f"counterfactuals.{key}: {name!r} is no diffusion model of the experiment; there are {diffusion}"
            for key, names in named.items()
            for name in names
            if name not in diffusion
        ]
        for key in ("oracle", "features"):
            name = getattr(self, key)
            if name is not None and name not in baselines and not (key == "features" and "/" in name):
                folder = ", or a folder (with a / in its path)" * (key == "features")
                found.append(
                    f"counterfactuals.{key}: {name!r} is no baseline of the experiment; there are {baselines}"
                    f"{folder}"
                )
        if not diffusion:
            found.append("counterfactuals: the experiment has no diffusion model; leave the block out")
        return found


class FrontParams(Strict):
    """`FrontConfig` as a rule passes it."""

    from_t: list[float]
    cfg_scale: list[float]
    images_per_class: int | None


class ExplainParams(Strict):
    """What ``explain`` depends on: the settings of one model.

    Attributes are those of `CounterfactualConfig`, and:
        extra_last_step: see `meddiff.diffusion.sample.sample`.
        noise_levels: of the classification, see `meddiff.scoring.settings.ScoringSettings`.
    """

    from_t: float
    cfg_scale: float
    sampling_steps: int
    sampler: Literal["ancestral", "ddim"]
    extra_last_step: bool
    images_per_class: int | None
    seed: int
    precision: Literal["fp32", "fp16", "bf16"]
    validity_steps: int
    decision: Literal["majority", "mean"]
    noise_levels: Literal["uniform", "low_discrepancy", "antithetic"]
    front: FrontParams | None
