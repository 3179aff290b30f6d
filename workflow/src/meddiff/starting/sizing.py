"""One dial, ``tiny | small | base | large``, from which sizes of images, networks and trainings follow.

As nnU-Net (Isensee et al., Nature Methods 2021) does it for segmentation: a fingerprint of the data and the
device go in, and rules that are written down give a configuration that runs. Nothing is tried out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, log2, sqrt
from typing import Any, Literal

Dial = Literal["tiny", "small", "base", "large"]
DIALS: tuple[Dial, ...] = ("tiny", "small", "base", "large")

_GRID = 32  # sides are multiples of this, so that every level of a UNet and every patch of a DiT fits
_COARSEST = 4  # side of a UNet's last level
_MOST_EPOCHS = 300  # beyond that a small dataset is only learned by heart
_TOKENS_PATCH_2 = 16  # side of a network's input up to which a DiT's patch is 2, else 4


@dataclass(frozen=True)
class Fingerprint:
    """What the rules know of the data.

    Attributes:
        images: of training.
        judged: of validation and test together.
        side: the median over images of the shorter side, in pixels.
        channels: 1 or 3.
        classes: at least 2.
    """

    images: int
    judged: int
    side: int
    channels: int
    classes: int


@dataclass(frozen=True)
class Device:
    """What the rules know of the machine: `memory` in GiB, of the card where there is one."""

    gpu: bool
    memory: float


@dataclass(frozen=True)
class _Preset:
    side: int
    widths: tuple[int, ...]
    blocks: int  # residual blocks a level of the UNet
    embedding: int
    heads: tuple[int, int, int]  # of the DiT: number, dimension, layers
    resnet: str
    batch: int
    steps: int
    lr: float
    memory: int  # MiB that training takes for one image, of the larger network
    passes: int  # network passes for scoring that are bearable


_PRESETS: Mapping[Dial, _Preset] = {
    "tiny": _Preset(32, (16, 32, 64), 1, 32, (4, 16, 4), "test_resnet", 16, 300, 2e-3, 4, 10_000),
    "small": _Preset(64, (32, 64, 128), 1, 64, (4, 32, 8), "resnet10t", 64, 8_000, 1e-3, 40, 1_000_000),
    "base": _Preset(
        128, (64, 128, 256, 256), 2, 256, (6, 64, 12), "resnet18", 128, 30_000, 2e-4, 250, 20_000_000
    ),
    "large": _Preset(
        256,
        (128, 128, 256, 512, 1024),
        2,
        512,
        (12, 64, 12),
        "resnet50",
        128,
        100_000,
        1e-4,
        1500,
        200_000_000,
    ),
}


@dataclass(frozen=True)
class Sizes:
    """What is written into the files.

    Attributes:
        image_size: side in pixels; never far above the images' own.
        batch: images a step.
        accumulate: parts of a batch, so that one fits into memory.
        steps: of training.
        epochs: the same in passes over the training images; 0 where that is less than two.
        warmup: steps.
        lr: learning rate of diffusion models.
        score_steps: classification steps an image, odd.
        validation_steps: the same in validation.
        ema: of the weights.
        half: whether numbers of 16 bits are used.
    """

    dial: Dial
    image_size: int
    batch: int
    accumulate: int
    steps: int
    epochs: int
    warmup: int
    lr: float
    score_steps: int
    validation_steps: int
    ema: Mapping[str, Any]
    half: bool


def sizes(dial: Dial, data: Fingerprint, device: Device) -> Sizes:
    """All sizes for a dataset on a device.

    - The side is the dial's (32, 64, 128, 256), or the images' own if smaller, up to a multiple of 32.
    - The batch is the dial's (16, 64, 128, 128), but at most an eighth of the training images (a power of 2,
      at least 8); the learning rate goes with its square root. Parts of it fit into half of the memory.
    - The steps are the dial's (300, 8,000, 30,000, 100,000), but at most 300 epochs and at least 50 steps.
    - Warm-up takes 2 % of them; the average of weights covers the last 100 steps or so, of long trainings the
      last 1,000 updates.
    - An image is scored with 501 steps (as in the paper), or with so many that scoring keeps to the dial's
      number of network passes, but at least 5; validation takes 11 (tiny: 5), with a GPU 51, and no more than
      scoring.

    Args:
        dial: how large.
        data: its fingerprint.
        device: what it is trained on.
    """
    preset = _PRESETS[dial]
    side = image_side(dial, data.side)
    batch = min(preset.batch, max(8, 2 ** int(log2(max(data.images // 8, 1)))))
    steps = max(50, min(preset.steps, _MOST_EPOCHS * data.images // batch))
    epochs = ceil(steps * batch / max(data.images, 1))
    epochs = 0 if epochs < 2 else epochs
    fits = 512 * device.memory / (preset.memory * (side / preset.side) ** 2)
    parts = 2 ** max(0, ceil(log2(batch / max(fits, 1))))
    score_steps = _odd(min(501, preset.passes // max(data.judged * data.classes, 1)))
    validation = 5 if dial == "tiny" else 51 if device.gpu else 11
    warmup = min(max(10, steps // 50), steps - 1)
    short = steps < 3_000
    ema = {"beta": 0.99 if short else 0.999, "update_after_step": warmup, "update_every": 1 if short else 5}
    return Sizes(
        dial=dial,
        image_size=side,
        batch=batch,
        accumulate=min(parts, batch),
        steps=steps,
        epochs=epochs,
        warmup=warmup,
        lr=_rounded(preset.lr * sqrt(batch / preset.batch)),
        score_steps=score_steps,
        validation_steps=min(validation, score_steps),
        ema=ema,
        half=device.gpu,
    )


def image_side(dial: Dial, native: int) -> int:
    """The side that images are resized to, in pixels.

    Args:
        dial: how large.
        native: of the images.
    """
    return min(_PRESETS[dial].side, _GRID * ceil(max(native, 1) / _GRID))


def unet(sizes: Sizes, channels: int) -> dict[str, Any]:
    """A UNet's architecture: halved level by level down to a side of four, attention on the last but one."""
    preset, net = _PRESETS[sizes.dial], sizes.image_size // 2  # the Haar transform halves the side
    levels = max(2, min(len(preset.widths), int(log2(net / _COARSEST)) + 1))
    widths = list(preset.widths[:levels])
    if channels == 3:  # twelve Haar channels need a wider first level
        widths[0] = max(widths[0], 32)
    down = ["DownBlock2D"] * levels
    up = ["UpBlock2D"] * levels
    down[levels - 2], up[1] = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
    return {
        "layers_per_block": preset.blocks,
        "block_out_channels": widths,
        "down_block_types": down,
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "up_block_types": up,
        "norm_num_groups": 8 if widths[0] < 64 else 32,
        "attention_head_dim": 4 if widths[0] < 64 else 8,
        "encoder_hid_dim": preset.embedding,
        "encoder_hid_dim_type": "text_proj",
        "cross_attention_dim": preset.embedding,
    }


def dit(sizes: Sizes) -> dict[str, Any]:
    """A DiT's architecture: at most 1,024 tokens."""
    heads, dimension, layers = _PRESETS[sizes.dial].heads
    return {
        "num_attention_heads": heads,
        "attention_head_dim": dimension,
        "num_layers": layers,
        "patch_size": 2 if sizes.image_size // 2 <= _TOKENS_PATCH_2 else 4,
    }


def resnet(sizes: Sizes) -> str:
    """timm's name of the baseline."""
    return _PRESETS[sizes.dial].resnet


def _odd(number: int) -> int:
    """The odd number just below or equal, at least 5: a majority of an even number can be a draw."""
    return max(5, number - 1 + number % 2)


def _rounded(rate: float) -> float:
    """Two digits: more say nothing."""
    return float(f"{rate:.1e}")
