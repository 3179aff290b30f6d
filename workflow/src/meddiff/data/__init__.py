"""Datasets: from a folder of images to canonical tables, disjoint splits and memory-mapped arrays."""
