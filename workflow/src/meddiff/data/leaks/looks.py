"""Find images that look alike: the same picture saved again, smaller, brighter or in another format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from PIL import Image

LOOK = "look"
BITS = 255
# Measured on 1,000 NIH chest films and 1,000 ISIC images: two different ones differ in 40 and 44 bits at
# least; the same one as JPEG of quality 50, at half or another size, brighter or with noise in 18 at most.
ALIKE = 24

_SIDE, _KEPT = 64, 16
_WORDS = 4  # of 64 bits
_ROWS_AT_ONCE = 64


def look(image: Image.Image) -> str:
    """A perceptual hash of 255 bits, as 64 hexadecimal digits.

    pHash (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions") with 16 x 16
    instead of 8 x 8 frequencies: which coefficients of the discrete cosine transform of 64 x 64 pixels are
    above their median. Films of the same view are too alike for 64 bits.
    """
    from scipy.fft import dctn

    small = image.convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    waves = dctn(np.asarray(small, dtype=np.float32), norm="ortho")[:_KEPT, :_KEPT].ravel()[1:]
    return np.packbits(waves > np.median(waves)).tobytes().hex()


def nearest(looks: Sequence[str], others: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """For each of `looks` the nearest of `others`.

    Returns:
        int [N] its position, -1 where none differs in `ALIKE` bits or less, and int [N] the bits in which
        they differ. 140,000 against 60,000 take a minute.
    """
    mine, theirs = _words(looks), _words(others)
    found, distance = np.full(len(mine), -1), np.full(len(mine), BITS)
    for start in range(0, len(mine), _ROWS_AT_ONCE):
        block = mine[start : start + _ROWS_AT_ONCE]
        # Half of the bits rule out nearly all pairs.
        half = sum(np.bitwise_count(block[:, None, word] ^ theirs[None, :, word]) for word in range(2))
        row, other = np.nonzero(half <= ALIKE)
        bits = np.bitwise_count(block[row] ^ theirs[other]).sum(axis=1, dtype=np.int64)
        order = np.lexsort((other, bits, row))
        order = order[bits[order] <= ALIKE]
        row, first = np.unique(row[order], return_index=True)
        found[start + row], distance[start + row] = other[order][first], bits[order][first]
    return found, distance


def alike_across(
    splits: Mapping[str, pd.DataFrame], looks: Mapping[str, str], hashes: Mapping[str, str]
) -> list[str]:
    """Describe each image of a split that looks like one of an earlier split without being the same file.

    Args:
        splits: name -> table with `image_id`; the header of its file is row 1.
        looks: image id -> `look`.
        hashes: image id -> SHA-256 of the file.
    """
    lines = []
    for (first, before), (second, after) in combinations(splits.items(), 2):
        # Copies are reported elsewhere, and would hide other pairs here.
        contents = set(before["image_id"].map(hashes.__getitem__))
        after = after.reset_index(drop=True)
        after = after[~after["image_id"].map(hashes.__getitem__).isin(contents)]
        ids = before["image_id"].tolist()
        found, bits = nearest([looks[i] for i in after["image_id"]], [looks[i] for i in ids])
        lines += [
            f"{first} row {other + 2} ({ids[other]}) and {second} row {row + 2} ({image_id}): look alike "
            f"({distance} of {BITS} bits differ)"
            for row, image_id, other, distance in zip(
                after.index, after["image_id"], found, bits, strict=True
            )
            if other >= 0
        ]
    return lines


def _words(looks: Sequence[str]) -> np.ndarray:
    """[N, 4] unsigned integers of 64 bits."""
    return np.frombuffer(bytes.fromhex("".join(looks)), dtype=np.uint64).reshape(-1, _WORDS)
