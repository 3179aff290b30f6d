"""Tiny models and image stores for the tests of the core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from meddiff.config import parse_model
from meddiff.config.presets import open_flags
from meddiff.data.decoding.pixels import PixelFormat
from meddiff.data.stores.build import build_store

ARCHITECTURES: dict[str, dict[str, Any]] = {
    "unet": {
        "layers_per_block": 1,
        "block_out_channels": [8, 16],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 4,
        "attention_head_dim": 2,
        "encoder_hid_dim": 8,
        "encoder_hid_dim_type": "text_proj",
        "cross_attention_dim": 8,
    },
    "dit": {"num_attention_heads": 2, "attention_head_dim": 8, "num_layers": 2, "patch_size": 2},
    # Batch norm and dropout: what is hardest to resume exactly.
    "timm": {"model_name": "test_resnet", "drop_rate": 0.3},
}
SIDE = 8


def tiny_document(kind: str, preset: str = "fixed", **changes: Any) -> dict[str, Any]:
    """A resolved model configuration; `changes` replace top-level keys, `train` is merged."""
    document: dict[str, Any] = {
        "title": f"tiny {kind}",
        "family": "cnn" if kind == "timm" else "diffusion",
        "kind": kind,
        "architecture": ARCHITECTURES[kind],
        "train": {"epochs": 3, "batch_size": 8, "lr": 1e-3, "warmup_steps": 2},
    }
    if kind != "timm":
        document["schedule"] = {"image_size": SIDE, "noise_size": SIDE}
        document["validation_steps"] = 3
        document["train"]["ema"] = {"beta": 0.9, "update_after_step": 2, "update_every": 2}
    document["train"] |= changes.pop("train", {})
    return document | open_flags(parse_model(document), preset) | changes


def tiny_config(kind: str, preset: str = "fixed", **changes: Any) -> Any:
    """`tiny_document`, parsed."""
    return parse_model(tiny_document(kind, preset, **changes))


def write_store(
    folder: Path,
    counts: dict[str, int] | None = None,
    *,
    size: int = SIDE,
    channels: int = 1,
    classes: int = 2,
) -> Path:
    """Write a store of noisy grey images with a bright bar whose place is the class.

    Args:
        folder: gets ``images``, ``splits`` and ``store``.
        counts: images per split; default 20, 10 and 12.

    Returns:
        The store's folder.
    """
    rng = np.random.default_rng(7)
    (folder / "images").mkdir(parents=True)
    (folder / "splits").mkdir()
    for split, count in (counts or {"train": 20, "valid": 10, "test": 12}).items():
        rows = []
        for i in range(count):
            label, name = i % classes, f"{split}-{i:03d}"
            pixels = rng.integers(60, 110, (size, size, channels), dtype=np.uint8)
            bar = size // classes
            pixels[label * bar : (label + 1) * bar] += 120
            Image.fromarray(pixels.squeeze()).save(folder / "images" / f"{name}.png")
            rows.append({"image_id": name, "path": f"images/{name}.png", "label": label, "group": name})
        pd.DataFrame(rows).to_csv(folder / "splits" / f"{split}.csv", index=False)
    names = [f"class {c}" for c in range(classes)]
    build_store(folder / "splits", folder, folder / "store", PixelFormat(size, channels), names, threads=1)
    return folder / "store"
