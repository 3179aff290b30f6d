"""Counterfactual images, and how they are judged."""
