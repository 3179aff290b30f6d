"""Find images that look alike: the same picture saved again, smaller, brighter or in another format."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from meddiff.config.schema.data.leaks import ALIKE_BITS

LOOK, PIXELS = "look", "pixels"
BITS = 255
# Measured on 1,000 NIH chest films and 1,000 ISIC images: two different ones differ in 40 and 44 bits at
# least; the same one as JPEG of quality 50, at half or another size, brighter or with noise in 18 at most.
ALIKE = ALIKE_BITS

_SIDE, _KEPT = 64, 16
_WORDS = 4  # of 64 bits
_ROWS_HASHED = 512
_ROWS_AT_ONCE = 64


def pixel_hash(image: Image.Image) -> str:
    """A hash of size and pixels as 32 hexadecimal digits: the same for a picture saved in two formats.

    Args:
        image: mode ``RGB``, so that grey saved as colour is the same picture.
    """
    digest = hashlib.blake2b(f"{image.width} {image.height} ".encode(), digest_size=16)
    for top in range(0, image.height, _ROWS_HASHED):  # a copy of all of a large image takes gigabytes
        bottom = min(top + _ROWS_HASHED, image.height)
        digest.update(image.crop((0, top, image.width, bottom)).tobytes())
    return digest.hexdigest()


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


def alike(
    looks: Sequence[str], others: Sequence[str], most: int = ALIKE
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """All pairs of one of `looks` and one of `others` that differ in `most` bits or less.

    Args:
        looks, others: as `look` makes them.
        most: 0 to `BITS`.

    Yields:
        int [P] positions in `looks`, [P] positions in `others` and [P] the bits in which they differ, sorted
        by the first, the bits and the second; all pairs of some of `looks`, so that what is in memory is
        bounded where thousands of images are the same. 140,000 against 60,000 take a minute.
    """
    mine, theirs = _words(looks), _words(others)
    for start in range(0, len(mine), _ROWS_AT_ONCE):
        block = mine[start : start + _ROWS_AT_ONCE]
        # Half of the bits rule out nearly all pairs.
        half = sum(np.bitwise_count(block[:, None, word] ^ theirs[None, :, word]) for word in range(2))
        row, other = np.nonzero(half <= most)
        bits = np.bitwise_count(block[row] ^ theirs[other]).sum(axis=1, dtype=np.int64)
        order = np.lexsort((other, bits, row))
        order = order[bits[order] <= most]
        yield row[order] + start, other[order], bits[order]


def _words(looks: Sequence[str]) -> np.ndarray:
    """[N, 4] unsigned integers of 64 bits."""
    return np.frombuffer(bytes.fromhex("".join(looks)), dtype=np.uint64).reshape(-1, _WORDS)
