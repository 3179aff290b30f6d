"""Data loading as a plain script does it: one image after another, from its file, at every use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
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


def plain_batches(files: ImageFiles, orders: Iterable[np.ndarray]) -> Iterator[Tensor]:
    """The inputs [N, 4, size / 2, size / 2] of each of the batches `orders`, by the rows in them."""
    for rows in orders:
        yield torch.stack([files[row][0] for row in rows])


def seconds_of_batches(files: ImageFiles, orders: Sequence[np.ndarray]) -> float:
    """Wall-clock time of `plain_batches`, each dropped before the next is made."""
    started = time.perf_counter()
    for _ in plain_batches(files, orders):
        pass
    return time.perf_counter() - started
