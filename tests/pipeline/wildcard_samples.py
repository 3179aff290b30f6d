"""Wildcards as Snakemake gives them to the functions of rules."""

from __future__ import annotations

from types import SimpleNamespace


def job(dataset: str | None = None, model: str = "", seed: int = 0, **more: str) -> SimpleNamespace:
    """The wildcards of a job."""
    named = {} if dataset is None else {"dataset": dataset}
    return SimpleNamespace(**named, model=model, seed=str(seed), **more)
