"""A small configuration folder for tests that write something wrong into one of its files."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

TRAIN = {"steps": 100, "batch_size": 8, "lr": 1e-3, "warmup_steps": 10}
DIFFUSION = {"family": "diffusion", "schedule": {"image_size": 16, "noise_size": 16}, "train": TRAIN}
UNET = {
    "layers_per_block": 1,
    "block_out_channels": [8, 8],
    "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
    "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
    "norm_num_groups": 4,
    "attention_head_dim": 2,
    "encoder_hid_dim": 8,
    "encoder_hid_dim_type": "text_proj",
    "cross_attention_dim": 8,
}
DIT = {"num_attention_heads": 2, "attention_head_dim": 4, "num_layers": 1, "patch_size": 4}
FILES: dict[str, dict[str, Any]] = {
    "datasets/eyes": {
        "title": "Eyes",
        "source": {"kind": "local"},
        "format": {"kind": "table", "csv": "labels.csv", "image_column": "file", "label_column": "grade"},
        "classes": [{"value": 0, "name": "healthy"}, {"value": 1, "name": "glaucoma"}],
        "image_size": 16,
        "channels": 1,
        "split": {"kind": "recipe"},
    },
    "models/unet": {"title": "UNet", "kind": "unet", **DIFFUSION, "architecture": UNET},
    "models/dit": {"title": "DiT", "kind": "dit", **DIFFUSION, "architecture": DIT},
    "models/resnet": {
        "title": "ResNet",
        "family": "cnn",
        "kind": "timm",
        "architecture": {"model_name": "test_resnet"},
        "train": TRAIN,
    },
    "models/stable": {
        "title": "Stable Diffusion",
        "kind": "stable_diffusion",
        "pretrained": {"generate": "tiny_stable_diffusion", "datasets": ["eyes"]},
        "train": TRAIN,
    },
    "experiments/trial": {
        "title": "Trial",
        "datasets": ["eyes"],
        "models": ["unet", "dit", "resnet", "stable"],
        "score": {"steps": 51},
    },
}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `document` with the key at `path` (dots between keys, numbers in lists) set to `value`."""
    copy = deepcopy(document)
    *parents, last = path.split(".")
    place: Any = copy
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[int(last) if isinstance(place, list) else last] = value
    return copy


def paths_of(value: Any, path: str = "") -> Iterator[str]:
    """The paths of all keys and entries below `value`, as `changed` takes them."""
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in parts:
        below = f"{path}.{key}" if path else str(key)
        yield below
        yield from paths_of(inner, below)


def write_files(folder: Path) -> Path:
    """Write all files to `folder`."""
    for name, document in FILES.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def write_changed(folder: Path, name: str, path: str, value: Any) -> Path:
    """Write all files, with one key of the file `name` changed; return that file."""
    write_files(folder)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(changed(FILES[name], path, value)), encoding="utf-8")
    return file
