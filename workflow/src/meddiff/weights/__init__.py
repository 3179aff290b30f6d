"""Weights from elsewhere, and weights that were released."""
