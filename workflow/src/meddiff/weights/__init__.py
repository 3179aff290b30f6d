"""Weights from elsewhere, versions that are kept, and weights that were published."""
