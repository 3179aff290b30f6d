"""How networks are run: what changes speed and memory, and results only by rounding."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meddiff.config.strict import Strict


class ComputeConfig(Strict):
    """Rules take this as a resource, which is not tracked: changing it reruns nothing."""

    processes: int = Field(
        default=1, ge=1, description="processes of a training, one a GPU; the batch is divided among them"
    )
    save_minutes: float = Field(
        default=10.0, ge=0, description="how often training, scoring and counterfactuals save what they have"
    )

    attention: Literal["auto", "sdpa", "flash"] = Field(
        default="auto", description="FlashAttention where possible, PyTorch's, or FlashAttention or an error"
    )
    channels_last: bool = Field(default=False, description="memory format of convolutions; faster on GPUs")
    compile: bool = Field(default=False, description="torch.compile the network")
    tf32: bool = Field(default=False, description="TensorFloat-32 for fp32 matrix products on NVIDIA cards")


DEFAULT_COMPUTE = ComputeConfig()
