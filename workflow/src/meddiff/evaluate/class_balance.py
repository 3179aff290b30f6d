"""How many test images each class has, and what follows for the metrics that are shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# From here on the most frequent class alone makes an accuracy that is easily taken for skill.
_UNEQUAL = 1.5
FEW_IMAGES = 10  # with fewer the interval of a recall is wider than half of its range

Sizes = tuple[int, ...]


def as_text(labels: Sequence[int] | np.ndarray, classes: int) -> str:
    """Numbers of images in the order of the class index, such as ``60/58``."""
    return "/".join(str(count) for count in np.bincount(np.asarray(labels), minlength=classes))


def from_text(text: str) -> Sizes:
    """What `as_text` wrote."""
    return tuple(int(count) for count in text.split("/"))


def is_unequal(sizes: Sizes) -> bool:
    """Whether the largest class has half as many images again as the smallest, or more."""
    return max(sizes) >= _UNEQUAL * min(sizes)


def most_frequent_share(sizes: Sizes) -> float:
    """Accuracy of answering with the most frequent class always, within (0, 1]."""
    return max(sizes) / sum(sizes)


def few_images(sizes: Sizes, names: Sequence[str] = ()) -> list[str]:
    """``n of <class>`` for each class with fewer than `FEW_IMAGES`."""
    return [
        f"{size} of {names[k] if k < len(names) else f'class {k}'}"
        for k, size in enumerate(sizes)
        if size < FEW_IMAGES
    ]
