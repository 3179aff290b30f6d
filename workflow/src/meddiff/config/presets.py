"""The authors' code against the reproduction, where they differ on purpose."""

from __future__ import annotations

from typing import Any

from meddiff.config.schema.kinds.base import ModelBase

# Each entry is one flag, a key of the models that have it; `fixed` is the default.
PRESETS: dict[str, dict[str, Any]] = {
    "fixed": {
        "loss_weight": "min_snr",
        "augment": True,
        "embedding_outside": False,
        "adaln_zero_init": True,
        "label_table_size": 0,
        "block_label_dropout": 0.0,
        "train_geometry": "squash",
        "normalisation": "pretrained",
    },
    "official": {
        "loss_weight": "official",
        "augment": False,
        "embedding_outside": True,
        "adaln_zero_init": False,
        "label_table_size": 1000,
        "block_label_dropout": 0.1,
        "train_geometry": "crop",
        "normalisation": "half",
    },
}


def open_flags(model: ModelBase, preset: str) -> dict[str, Any]:
    """The flags of `preset` that `model` has and its file leaves open."""
    return {
        flag: value
        for flag, value in PRESETS[preset].items()
        if flag in type(model).model_fields and getattr(model, flag) is None
    }
