"""meddiff: conditional diffusion models as medical image classifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Classifier", "__version__"]

if TYPE_CHECKING:
    from meddiff.bundles.classifier import Classifier


def __getattr__(name: str) -> Any:
    """`Classifier` when it is asked for, since it imports PyTorch."""
    if name == "Classifier":
        from meddiff.bundles.classifier import Classifier

        return Classifier
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
