"""What a model's file may say about the weights that it begins from."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from meddiff.config.schema.strict import InnerPath, Name, Seed, Strict


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


class PretrainingRun(Strict):
    """A training of this workflow's own, of the same experiment, whose weights another one begins from.

    What belongs to the classes begins anew; all else must fit.
    """

    dataset: Name = Field(
        description="what is trained on first; it need not be among the experiment's, and may have one class"
    )
    model: Name | None = Field(
        default=None, description="the model that is trained on it; this file's own where not given"
    )
    seed: Seed = Field(default=0, description="of that training; every seed of this model begins from it")


class GeneratedPretrained(PretrainedBase):
    """A small model that the workflow makes itself, in the folder layout of a fetched one."""

    generate: Literal["tiny_stable_diffusion"]
    datasets: list[str] = Field(
        min_length=1, description="of the experiment, whose training images its autoencoder is fit to"
    )
    seed: Seed = 0
    autoencoder_steps: int = Field(default=150, ge=1, le=1_000_000, description="optimizer steps")
