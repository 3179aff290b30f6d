"""How networks are run: what changes speed and memory, and results only by rounding."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from meddiff.config.schema.strict import Strict

CompileMode = Literal["no", "default", "reduce-overhead", "max-autotune"]


def _from_switch(value: Any) -> Any:
    """YAML reads ``no`` as false; true is the default mode."""
    return ("default" if value else "no") if isinstance(value, bool) else value


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
    tf32: bool = Field(default=False, description="TensorFloat-32 for fp32 matrix products on NVIDIA cards")


DEFAULT_COMPUTE = ComputeConfig()
