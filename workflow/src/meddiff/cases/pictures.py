"""Pictures of the explorer: what fits into a page, always the same bytes for the same pixels."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

# Larger pictures are shown this large. Their noised versions are not shown: noise is drawn for every pixel.
LARGEST_SIDE = 256
# Up to here pictures are kept without a loss.
_LOSSLESS_SIDE = 128
_QUALITY = 88
THUMB_SIDE = 64
SHEET_COLUMNS, SHEET_ROWS = 16, 8
SHEET_IMAGES = SHEET_COLUMNS * SHEET_ROWS
_MAP_SIDE = 64
_CLIPPED = 0.995
_STEPS = 127  # of a signed byte


def data_uri(pixels: np.ndarray) -> str:
    """A picture as text.

    Args:
        pixels: uint8 [H, W, C], C 1 or 3.
    """
    kind, content = encoded(pixels)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def encoded(pixels: np.ndarray) -> tuple[str, bytes]:
    """``png`` or ``webp``, and the bytes of the picture, which is at most `LARGEST_SIDE` large."""
    image = _image(pixels)
    if max(image.size) > LARGEST_SIDE:
        image = _resized(image, LARGEST_SIDE)
    stream = io.BytesIO()
    if max(image.size) <= _LOSSLESS_SIDE:
        image.save(stream, "PNG", optimize=True)
        return "png", stream.getvalue()
    image.save(stream, "WEBP", quality=_QUALITY, method=4)
    return "webp", stream.getvalue()


def sheet(pictures: Sequence[np.ndarray], side: int) -> bytes:
    """Thumbnails of at most `SHEET_IMAGES` pictures [H, W, C] in one WebP file, row after row."""
    from PIL import Image

    channels = pictures[0].shape[-1]
    size = (SHEET_COLUMNS * side, -(-len(pictures) // SHEET_COLUMNS) * side)
    page = Image.new("L" if channels == 1 else "RGB", size)
    for at, pixels in enumerate(pictures):
        page.paste(_resized(_image(pixels), side), (at % SHEET_COLUMNS * side, at // SHEET_COLUMNS * side))
    stream = io.BytesIO()
    page.save(stream, "WEBP", quality=_QUALITY, method=4)
    return stream.getvalue()


def signed_map(values: np.ndarray) -> dict[str, Any]:
    """A map of positive and negative numbers as signed bytes.

    Args:
        values: [H, W]. A larger map than 64 x 64 is summed in blocks, so that its sum stays as it is.

    Returns:
        ``height``, ``width``; ``bytes``: Base64 of int8 [height, width], 127 where a value is ``limit`` (the
        99.5 % quantile of the sizes) or more; ``sum`` of the whole map.
    """
    block = -(-max(values.shape) // _MAP_SIDE)
    total = float(values.sum(dtype=np.float64))
    if block > 1:
        height, width = (-(-side // block) * block for side in values.shape)
        padded = np.pad(values, [(0, height - values.shape[0]), (0, width - values.shape[1])])
        values = padded.reshape(height // block, block, width // block, block).sum(axis=(1, 3))
    limit = max(float(np.quantile(np.abs(values), _CLIPPED)), float(np.finfo(np.float32).tiny))
    scaled = np.rint(np.clip(values / limit, -1, 1) * _STEPS).astype(np.int8)
    return {
        "height": values.shape[0],
        "width": values.shape[1],
        "limit": float(f"{limit:.4g}"),
        "sum": float(f"{total:.4g}"),
        "bytes": base64.b64encode(scaled.tobytes()).decode("ascii"),
    }


def _image(pixels: np.ndarray) -> Image.Image:
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels))


def _resized(image: Image.Image, side: int) -> Image.Image:
    """With its longer side `side` pixels long, or less where it is smaller; small pixels stay sharp."""
    from PIL import Image as Pillow

    if image.size == (side, side):
        return image
    method = Pillow.Resampling.NEAREST if max(image.size) < side else Pillow.Resampling.LANCZOS
    return image.resize((side, side), method)
