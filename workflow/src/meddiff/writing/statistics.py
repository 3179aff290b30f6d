"""Sentences about intervals and tests, as `meddiff.evaluate` makes them."""

from __future__ import annotations

from meddiff.writing.facts import Facts
from meddiff.writing.settings import WritingSettings
from meddiff.writing.wording import listed, percent, plain, several


def statistics_text(settings: WritingSettings, facts: Facts) -> list[str]:
    """Paragraphs: intervals, and comparisons where there are some."""
    found = [_intervals(settings)]
    if settings.has("tables/comparison") and settings.diffusion and settings.baselines:
        found.append(_comparisons(settings, facts))
    last = ""
    if settings.has("figures/decision_curve"):
        last = "Decision curves show the net benefit of acting on a probability [@vickers2006]. "
    seeds = listed(map(str, settings.seeds))
    last += f"Every model was trained with {several(len(settings.seeds), 'seed')} ({seeds})."
    if len(settings.seeds) > 1:
        last += " Metrics are means over seeds; their intervals add what the seeds leave open (Student's t)."
    found.append(last)
    return found


def _intervals(settings: WritingSettings) -> str:
    """What `meddiff.evaluate.intervals` and `meddiff.evaluate.proportion` do."""
    given = settings.evaluate
    return (
        f"Intervals are of {percent(given.confidence)}. Those of shares are exact [@clopper1934], for the "
        "number of independent images that images in groups are worth [@korn1998]. Those of other measures "
        "with bounds, such as AUROC, are no percentiles of a bootstrap: the variance over "
        f"{several(given.bootstrap_samples, 'bootstrap sample')} of groups [@efron1979] (seed {given.seed}) "
        "says how many independent images the measure is worth, and the interval is that of a share of so "
        "many. Where nearly all images are right, resamples say little about the errors that are missing: "
        "part of the largest possible variance is then mixed in, so that an interval keeps a width at 0 and "
        "at 1. Measures without bounds, such as the negative log-likelihood, have percentiles of the "
        "bootstrap."
    )


def _comparisons(settings: WritingSettings, facts: Facts) -> str:
    """What `meddiff.evaluate.comparison` and `meddiff.evaluate.paired` do."""
    grouped = [dataset for dataset in settings.datasets if facts.grouped(dataset.name)]
    single = [dataset for dataset in settings.datasets if dataset not in grouped]
    tests = []
    if grouped:
        where = f" ({listed(plain(one.title) for one in grouped)})" if single else ""
        tests.append(
            "a permutation test that swaps the two decisions on all images of a group together, with "
            f"mid-p values{where}"
        )
    if single:
        where = f" where every image is a group of its own ({listed(plain(one.title) for one in single)})"
        tests.append(f"McNemar's mid-p test [@fagerland2013]{where if grouped else ''}")
    return (
        "Diffusion models are compared with the best baseline on the same images. Accuracies: by "
        f"{listed(tests)}; their difference has Bonett and Price's interval [@bonett2012]. AUROCs: by a "
        "permutation test that swaps the ranks that the two models give to the images of a group "
        f"[@venkatraman1996], with {several(settings.evaluate.bootstrap_samples, 'drawn swap')}, so that no "
        f"p value is below {1 / (settings.evaluate.bootstrap_samples + 1):.2g}; the difference has an "
        "interval from the variance of its paired bootstrap, to which part of the largest possible variance "
        "of a difference is added. It is therefore wider than the bootstrap alone says, and can hold 0 where "
        "the test rejects that two models are equal: the test takes them for exchangeable and adds nothing. "
        "p values are two-sided and adjusted for the number of rows of the table by Holm's method "
        "[@holm1979], accuracies and AUROCs each for themselves."
    )
