"""Small datasets for the data tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from meddiff.config import DatasetConfig

MakeDataset = Callable[..., DatasetConfig]


@pytest.fixture
def make_dataset() -> MakeDataset:
    """Build a dataset configuration; keyword arguments replace keys of a two-class local table."""

    def make(**changes: Any) -> DatasetConfig:
        document: dict[str, Any] = {
            "title": "test",
            "source": {"kind": "local"},
            "format": {
                "kind": "table",
                "csv": "labels.csv",
                "image_column": "file",
                "label_column": "diagnosis",
                "group_column": "patient",
                "image_dir": "images",
            },
            "classes": [{"value": 0, "name": "healthy"}, {"value": 1, "name": "sick"}],
            "image_size": 16,
            "channels": 1,
            "split": {"kind": "recipe", "valid": 0.2, "test": 0.2, "seed": 3},
        }
        return DatasetConfig.model_validate(document | changes)

    return make


@pytest.fixture
def local_root(tmp_path: Path) -> Path:
    """Forty grey images of twenty patients, two classes, in the layout of `make_dataset`."""
    root = tmp_path / "local"
    (root / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["file,patient,diagnosis"]
    for i in range(40):
        pixels = rng.integers(0, 256, (20, 24), dtype=np.uint8)
        Image.fromarray(pixels).save(root / "images" / f"{i:03d}.png")
        lines.append(f"{i:03d}.png,{i // 2:04d},{i // 2 % 2}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root
