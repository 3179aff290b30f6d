"""Data loading as a plain script does it: one image after another, from its file, at every use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pywt
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms


def wavelet(image: Tensor) -> Tensor:
    """Halved Haar bands of one image [C, H, W] with PyWavelets, [4 C, H / 2, W / 2]."""
    bands: list[np.ndarray] = []
    for channel in image.numpy():
        average, details = pywt.dwt2(channel, "haar")
        bands += [average, *details]
    return torch.from_numpy(np.stack(bands)) / 2


def transform(size: int, hflip: float = 0.0) -> transforms.Compose:
    """A Pillow image to fp32 [C, size, size] in [-1, 1], flipped with probability `hflip`."""
    steps = [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize([0.5], [0.5])]
    return transforms.Compose([transforms.RandomHorizontalFlip(hflip), *steps] if hflip else steps)


class ImageFiles(Dataset):
    """Network inputs [4, size / 2, size / 2] of grey image files, and their labels."""

    def __init__(self, files: Sequence[Path], labels: Sequence[int], size: int, hflip: float = 0.0) -> None:
        """Read `files` when asked for them.

        Args:
            size: side in pixels that images are resized to.
            hflip: probability of a left-right flip.
        """
        self._files, self._labels = files, labels
        self._transform = transform(size, hflip)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """The input and label of one image."""
        image = Image.open(self._files[index]).convert("L")
        return wavelet(self._transform(image)), self._labels[index]
