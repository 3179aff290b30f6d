"""meddiff: conditional diffusion models as medical image classifiers."""

__version__ = "0.1.0"
