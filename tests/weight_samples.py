"""Small weight files for tests that only move them about."""

from __future__ import annotations

import numpy as np
import safetensors.numpy


def small_weights(text: str) -> bytes:
    """A whole safetensors file, as long as its text is."""
    return safetensors.numpy.save({"text": np.frombuffer(text.encode(), dtype=np.uint8)})
