"""How networks are run: what changes speed and memory, and results only by rounding."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from meddiff.config.schema.strict import Strict

CompileMode = Literal["no", "default", "reduce-overhead", "max-autotune"]


def _from_switch(value: Any) -> Any:
    """YAML reads ``no`` as false; true is the default mode."""
    return ("default" if value else "no") if isinstance(value, bool) else value


class Scratch(Strict):
    """A folder on the disk of the node that a job runs on, by its name or by a variable that has it."""

    variable: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")] | None = Field(
        default=None, description="environment variable of jobs, such as SLURM_TMPDIR or TMPDIR"
    )
    folder: Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]{0,999}$")] | None = Field(
        default=None, description="absolute path"
    )

    @model_validator(mode="after")
    def _one_of_them(self) -> Scratch:
        if (self.variable is None) == (self.folder is None):
            raise ValueError("give either `variable: NAME` or `folder: /PATH`")
        return self


class ComputeConfig(Strict):
    """Rules take this as a resource, which is not tracked: changing it reruns nothing."""

    processes: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="processes of a training, one a GPU; the batch is divided among them",
    )
    save_minutes: float = Field(
        default=10.0,
        ge=0,
        le=1e6,
        description="how often training, scoring and counterfactuals save what they have",
    )

    attention: Literal["auto", "sdpa", "flash"] = Field(
        default="auto", description="FlashAttention where possible, PyTorch's, or FlashAttention or an error"
    )
    channels_last: bool | Literal["auto"] = Field(
        default="auto",
        description="memory format of networks; auto: of convolutional ones",
    )
    compile: Annotated[
        CompileMode, BeforeValidator(_from_switch, json_schema_input_type=CompileMode | bool)
    ] = Field(
        default="no",
        description="torch.compile the network, in a mode of torch.compile: reduce-overhead is CUDA graphs",
    )
    scratch: Scratch | None = Field(
        default=None,
        exclude_if=lambda scratch: scratch is None,
        description="where training, scoring and counterfactuals copy the images that they read",
    )
    tf32: bool = Field(default=False, description="TensorFloat-32 for fp32 matrix products on NVIDIA cards")


DEFAULT_COMPUTE = ComputeConfig()
