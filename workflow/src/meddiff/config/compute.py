"""How networks are run: what changes speed and memory, and results only by rounding."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from meddiff.config.strict import Strict


class ComputeConfig(Strict):
    """Rules take this as a resource, which is not tracked: changing it reruns nothing."""

    attention: Literal["auto", "sdpa", "flash"] = Field(
        default="auto", description="FlashAttention where possible, PyTorch's, or FlashAttention or an error"
    )
    channels_last: bool = Field(default=False, description="memory format of convolutions; faster on GPUs")
    compile: bool = Field(default=False, description="torch.compile the network")
    tf32: bool = Field(default=False, description="TensorFloat-32 for fp32 matrix products on NVIDIA cards")


DEFAULT_COMPUTE = ComputeConfig()
