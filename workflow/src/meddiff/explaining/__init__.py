"""Counterfactuals: made and judged by networks (``explain``), then measured without them (``measure``).

Making, from the bottom up: `counterfactuals` (images in memory), `edits` (which ones a run makes, and their
files), `making`, `feature_network` and `judging`, `run`. Measuring: `image_distances` and `image_measures`
(one row an image), `set_distances` and `summary` (metrics of each direction, which `metrics` names),
`lesions`, `examples` (what the figure shows), `measure_run`.
"""
