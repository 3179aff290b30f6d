"""What was found: the best classifiers, calibration, uncertainty, and the passes that stopping saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from meddiff.artifacts.settings import decision_title
from meddiff.config.datasets.folds import fold_number, whole
from meddiff.reporting.summary.leaks import no_leaks
from meddiff.reporting.summary.words import (
    counted,
    interval,
    named,
    p_value,
    percent,
    say,
    signed,
)

if TYPE_CHECKING:
    import pandas as pd

    from meddiff.reporting.given import Given

REMOVED_PERCENT = 20
DELTA = "0.05"


@dataclass(frozen=True)
class Best:
    """The classifier of a kind with the highest accuracy on a dataset.

    Attributes:
        model, decision: which it is.
        of: how many there are of its kind, each model with each of its decisions.
        models: how many models these are.
        value, low, high: its accuracy and the interval, percent.
    """

    model: str
    decision: str
    of: int
    models: int
    value: float
    low: float
    high: float


def best_of(given: Given, dataset: str, *, diffusion: bool) -> Best | None:
    """The most accurate one of the diffusion classifiers or of the baselines; None where there is none."""
    table = given.table("tables/classification")
    if table is None:
        return None
    rows = table[(table["dataset"] == dataset) & (table["metric"] == "accuracy")].dropna(subset=["value"])
    rows = rows[rows["family"].eq("diffusion") == diffusion]
    if rows.empty:
        return None
    row = rows.loc[rows["value"].idxmax()]
    of, models = len(rows), rows["model"].nunique()
    return Best(row["model"], row["decision"], of, models, row["value"], row["ci_low"], row["ci_high"])


def datasets_of(given: Given) -> list[str]:
    """What results call the datasets that models are tested on, in their order; of folds only their mean."""
    table = given.table("tables/classification")
    if table is None:
        return []
    names = list(dict.fromkeys(table["dataset"]))
    return [name for name in names if fold_number(name) is None or whole(name) not in names]


def shown_name(given: Given, model: str, decision: str) -> Markup:
    """A model as tables name it: with its decision where it may have several."""
    title = given.settings.model_titles().get(model, model)
    return named(title if decision == "softmax" else f"{title} ({decision_title(decision)})")


def found(given: Given, dataset: str) -> list[Markup]:
    """Sentences about one dataset, as results name it; only those that its numbers are there for."""
    diffusion, baseline = (best_of(given, dataset, diffusion=kind) for kind in (True, False))
    sentences = [_best(given, dataset, diffusion, baseline)]
    for best in (diffusion, baseline):
        if best is not None:
            sentences.append(_calibrated(given, dataset, best))
    if diffusion is not None:
        sentences += [_uncertainty(given, dataset, diffusion), _saved(given, dataset, diffusion)]
    sentences += [_published(given, dataset), no_leaks(given, dataset)]
    return [sentence for sentence in sentences if sentence is not None]


def _accuracy(best: Best) -> str:
    return f"{percent(best.value)} {interval(best.low, best.high)}".strip()


def _best(given: Given, dataset: str, diffusion: Best | None, baseline: Best | None) -> Markup | None:
    best = diffusion or baseline
    if best is None:
        return None
    kind = "diffusion classifier" if diffusion else "baseline"
    rules = f" ({counted(best.models, 'model')} with several decision rules)" if best.of > best.models else ""
    which = (
        f"The most accurate of {counted(best.of, kind)}{rules} on these test images"
        if best.of > 1
        else f"The {kind}"
    )
    sentence = say(
        "{which}, {name}, has an accuracy of {accuracy}.",
        which=which,
        name=shown_name(given, best.model, best.decision),
        accuracy=_accuracy(best),
    )
    compared = _compared(given, dataset, best) if diffusion else None
    return sentence + Markup(" ") + compared if compared is not None else sentence


def _compared(given: Given, dataset: str, best: Best) -> Markup | None:
    """The verdict on a diffusion classifier beside the best baseline."""
    table = given.table("tables/comparison")
    if table is None or "p_holm" not in table:
        return None
    tested = table.dropna(subset=["p_holm"])
    rows = tested[
        (tested["dataset"] == dataset)
        & (tested["model"] == best.model)
        & (tested["decision"] == best.decision)
    ]
    if rows.empty:
        return None
    row = rows.iloc[0]
    chosen = "validation" if row["chosen_on"] == "validation" else "test"
    baseline = say(
        "The best baseline, {name} (chosen on the {chosen} images), has {value}: ",
        name=shown_name(given, row["baseline"], "softmax"),
        chosen=chosen,
        value=percent(rows["baseline_accuracy"].mean()),
    )
    return baseline + _verdict(rows, len(tested), 1 - given.settings.confidence)


def _verdict(rows: pd.DataFrame, tests: int, level: float) -> Markup:
    if len(rows) > 1:
        clear = rows[rows["p_holm"] < level]
        better, worse = int((clear["difference"] > 0).sum()), int((clear["difference"] < 0).sum())
        return say(
            "a difference of {mean} points in the mean of {n}, of which {better} show it better and {worse} "
            "worse (corrected for {tests} comparisons).",
            mean=signed(rows["difference"].mean()),
            n=counted(len(rows), "comparison"),
            better=better,
            worse=worse,
            tests=tests,
        )
    row = rows.iloc[0]
    if row["p_holm"] < level:
        verdict = (
            f"<strong>the diffusion classifier is {'better' if row['difference'] > 0 else 'worse'}</strong>"
        )
    else:
        verdict = "<strong>the data do not tell the two apart</strong>"
    corrected = f", corrected for {tests} comparisons" if tests > 1 else ""
    return Markup(verdict) + say(
        " (difference {difference} points {limits}, {p}{corrected}).",
        difference=signed(row["difference"]),
        limits=interval(row["ci_low"], row["ci_high"]),
        p=p_value(row["p_holm"]),
        corrected=corrected,
    )


def _calibrated(given: Given, dataset: str, best: Best) -> Markup | None:
    table = given.table("tables/calibration")
    if table is None:
        return None
    rows = _rows(table, dataset, best)
    rows = rows[rows["metric"] == "ece"].dropna(subset=["raw", "calibrated"])
    if rows.empty:
        return None
    row = rows.iloc[0]
    change = row["calibrated"] - row["raw"]
    words = (
        "improves {what}"
        if change < -0.005
        else ("makes {what} worse" if change > 0.005 else "hardly changes {what}")
    )
    what = say("the probabilities of {name}", name=shown_name(given, best.model, best.decision))
    return say(
        "Calibration on the validation images {changes}: a calibration error (ECE) "
        "of {raw} before, {after} after it (0 is best).",
        changes=say(words, what=what),
        raw=f"{row['raw']:.3f}",
        after=f"{row['calibrated']:.3f}",
    )


def _uncertainty(given: Given, dataset: str, best: Best) -> Markup | None:
    table = given.table("figures/uncertainty")
    if table is None:
        return None
    rows = table[(table["dataset"] == dataset) & (table["model"] == best.model) & (table["source"] == "ours")]
    by_share = rows.drop_duplicates("removed_percent").set_index("removed_percent")
    if not {0, REMOVED_PERCENT} <= set(by_share.index) or by_share.loc[REMOVED_PERCENT, "images_left"] < 2:
        return None
    decision = rows["decision"].iloc[0]
    before, after = (float(by_share.loc[share, "accuracy_percent"]) for share in (0, REMOVED_PERCENT))
    if before == 100:
        return None
    change = "rises" if after > before else ("falls" if after < before else "stays")
    low, high = (float(by_share.loc[REMOVED_PERCENT, f"ci_{limit}_percent"]) for limit in ("low", "high"))
    if after <= before:
        verdict = ": its uncertainty is of no help here"
    else:
        verdict = ": its uncertainty is worth something" if low > before else ", which may be chance"
    # The numbers are of the first rule that is decided by, which need not be the most accurate one.
    why = " (Uncertainty is looked at by the first decision rule.)" if decision != best.decision else ""
    return say(
        "Without the {share} % of images that {name} is least certain of, its accuracy {change} from "
        "{before} to {after} {limits}{verdict}.{why}",
        share=REMOVED_PERCENT,
        name=shown_name(given, best.model, decision),
        why=why,
        change=change,
        before=percent(before),
        after=percent(after),
        limits=interval(low, high),
        verdict=verdict,
    )


def _saved(given: Given, dataset: str, best: Best) -> Markup | None:
    table = given.table("tables/efficiency")
    if table is None:
        return None
    rows = table[
        (table["dataset"] == dataset) & (table["model"] == best.model) & (table["decision"] == "majority")
    ]
    rows = rows[(rows["metric"] == "agreement") & rows["rule"].isin(["first", "exact", "sequential"])]
    own = rows[rows["levels"] == rows["levels"].iloc[0]] if len(rows) else rows
    full, exact = own[own["rule"] == "first"], own[own["rule"] == "exact"]
    if full.empty or exact.empty:
        return None
    steps, stopped = float(full["steps"].max()), float(exact["steps"].iloc[0])
    sentence = say(
        "{why}{title} by majority needs {stopped} of {steps} noise levels an image if each stops once its "
        "majority cannot change: {saved} fewer network passes for the same decisions",
        title=named(given.settings.model_titles().get(best.model, best.model)),
        why="" if best.decision == "majority" else "Only votes can stop early: ",
        stopped=f"{stopped:.1f}",
        steps=f"{steps:g}",
        saved=percent(100 * (1 - stopped / steps)),
    )
    return sentence + _likely(own, steps)


def _likely(rows: pd.DataFrame, steps: float) -> Markup:
    sequential = rows[(rows["rule"] == "sequential") & (rows["setting"].astype(float) == float(DELTA))]
    if sequential.empty:
        return Markup(".")
    row: Any = sequential.iloc[0]
    return say(
        "; stopping when another outcome is unlikely (δ = {delta}) saves {saved} and decides {same} of the "
        "images alike.",
        delta=DELTA,
        saved=percent(100 * (1 - row["steps"] / steps)),
        same=percent(100 * row["value"]),
    )


def _published(given: Given, dataset: str) -> Markup | None:
    table = given.table("tables/classification")
    if table is None:
        return None
    rows = table[table["dataset"] == dataset].dropna(
        subset=["difference", "difference_ci_low", "difference_ci_high"]
    )
    if rows.empty:
        return None
    inside = int(((rows["difference_ci_low"] <= 0) & (rows["difference_ci_high"] >= 0)).sum())
    return say(
        "Of {n} of the paper that {are} of test images, {inside} {lie} within our intervals.",
        n=counted(len(rows), "value"),
        are="is" if len(rows) == 1 else "are",
        inside=inside,
        lie="lies" if inside == 1 else "lie",
    )


def _rows(table: pd.DataFrame, dataset: str, best: Best) -> pd.DataFrame:
    return table[
        (table["dataset"] == dataset) & (table["model"] == best.model) & (table["decision"] == best.decision)
    ]
