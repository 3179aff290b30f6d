"""How many test images each class has, and what follows for the metrics that are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def sentences(
    sizes: Mapping[str, Sizes], titles: Mapping[str, str], names: Mapping[str, Sequence[str]]
) -> list[str]:
    """What a caption says about datasets whose classes are unequal or small.

    Args:
        sizes: dataset -> images of each class.
        titles: dataset -> title.
        names: dataset -> names of the classes; where they are missing the index is given.
    """
    said = []
    uneven = [
        f"{100 * most_frequent_share(of):.1f} % on {titles[name]}"
        for name, of in sizes.items()
        if is_unequal(of)
    ]
    if uneven:
        said.append(
            "Where classes are unequal, balanced accuracy (mean recall of the classes) and AUROC are shown "
            "as well; always answering with the most frequent class has an accuracy of "
            f"{', '.join(uneven)}, and no accuracy that is not higher is bold."
        )
    few = [
        f"{titles[name]}: {', '.join(found)}"
        for name, of in sizes.items()
        if (found := few_images(of, names.get(name, ())))
    ]
    if few:
        said.append(
            f"Warning: a class has so few test images ({'; '.join(few)}) that F1, balanced accuracy and "
            "AUROC say little about it, as their intervals show."
        )
    return said
