"""Metrics: what they are functions of (``ranking``, ``images``), and the list of them (``catalogue``)."""
