"""The audit of shortcuts: cases with known answers, and what its tables and figure show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as example_settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from meddiff.artifacts.render import to_latex, to_markdown
from meddiff.cli import main
from meddiff.config import load_dataset
from meddiff.data.strata import stratify
from meddiff.data.tables import write_csv
from meddiff.errors import DataError
from meddiff.evaluate import audit as auditing
from meddiff.evaluate.audit import AGAINST, FOLLOWS, GAP, NOT_SHOWN, RIGHT, RULE, UNDEFINED, WRONG, CueGap
from meddiff.evaluate.audit_figure import audit_figure_data, draw_audit
from meddiff.evaluate.audit_table import audit_grids
from meddiff.evaluate.metrics import point_metrics
from meddiff.evaluate.predictions import from_probabilities, is_correct, write_predictions
from meddiff.evaluate.settings import AuditFigureSettings, AuditSettings

RESAMPLING = {"bootstrap_samples": 100, "confidence": 0.9, "bootstrap_seed": 0}
ENTRY = {"title": "archive", "strata": ["old", "new"], "subset": "new", "classes": ["benign", "melanoma"]}


def strata_of(counts: dict[tuple[str, str, int], int]) -> pd.DataFrame:
    """A table of strata with `counts[split, stratum, label]` images, each a group of its own."""
    rows = [key for key, count in counts.items() for _ in range(count)]
    frame = pd.DataFrame(rows, columns=["split", "stratum", "label"])
    ids = [f"{split}{i}" for i, split in enumerate(frame["split"])]
    return frame.assign(image_id=ids, group=ids)


# The old archive is nearly all melanoma and the new one nearly all benign, in both splits.
STRATA = strata_of(
    {(split, "old", 0): 20 for split in ("train", "valid", "test")}
    | {(split, "old", 1): 180 for split in ("train", "valid", "test")}
    | {(split, "new", 0): 170 for split in ("train", "valid", "test")}
    | {(split, "new", 1): 30 for split in ("train", "valid", "test")}
)


def predictions_of(
    strata: pd.DataFrame, prediction: np.ndarray, score: np.ndarray | None = None
) -> pd.DataFrame:
    """Predictions on the test split; `score` is the probability of class 1."""
    test = strata[strata["split"] == "test"]
    p = 0.1 + 0.8 * prediction if score is None else score
    ids = test["image_id"].tolist()
    return from_probabilities(ids, ids, test["label"].to_numpy(), np.stack([1 - p, p], axis=1))


def settings_of(*models: str, dataset: str = "isic", **changes: Any) -> AuditSettings:
    return AuditSettings(
        datasets=[{"name": dataset, "title": "ISIC"}],
        models=[{"name": m, "title": m.title(), "family": "cnn"} for m in models],
        runs=[{"dataset": dataset, "model": m, "seed": 0, "decision": "softmax"} for m in models],
        audits={dataset: ENTRY | changes},
        **RESAMPLING,
    )


def result_of(strata: pd.DataFrame, **models: np.ndarray) -> pd.DataFrame:
    settings = settings_of(*models)
    tables = [predictions_of(strata, prediction) for prediction in models.values()]
    table = auditing.audit(list(zip(settings.runs, tables, strict=True)), {"isic": strata}, settings)
    assert list(table.columns) == auditing.COLUMNS
    return table


def gaps_of(table: pd.DataFrame) -> dict[str, Any]:
    return {row.model: row for row in table.itertuples() if row.metric == GAP and row.split == "test"}


TEST = STRATA[STRATA["split"] == "test"]
LABEL, OLD = TEST["label"].to_numpy(), (TEST["stratum"] == "old").to_numpy()
NOISE = np.random.default_rng(0).random(len(TEST)) < 0.2


def test_cue_is_found_where_it_is_used_and_only_there() -> None:
    table = result_of(
        STRATA,
        cue=OLD.astype(int),
        skill=np.where(NOISE, 1 - LABEL, LABEL),
        perfect=LABEL,
        melanoma=np.ones_like(LABEL),  # prefers a class, whatever the archive
        contrary=np.where(NOISE, 1 - OLD, LABEL),
    )
    gaps = gaps_of(table)
    assert gaps["cue"].value == 1 and gaps[RULE].value == 1
    assert gaps["perfect"].value == gaps["melanoma"].value == 0
    assert gaps["contrary"].value < -0.05
    verdicts = {model: row.verdict for model, row in gaps.items()}
    assert verdicts == {
        RULE: "",
        "cue": FOLLOWS,
        "skill": NOT_SHOWN,
        "perfect": NOT_SHOWN,
        "melanoma": NOT_SHOWN,
        "contrary": AGAINST,
    }


def test_gap_is_within_classes_and_its_parts_add_up() -> None:
    """Of the images on which the rule is wrong most are melanomas, which this classifier prefers."""
    prediction = np.where(NOISE, 1, LABEL)
    table = result_of(STRATA, one=prediction)
    values = table[table["model"] == "one"].set_index(["stratum", "metric"])["value"]
    right = np.equal(OLD, LABEL)
    hit = prediction == LABEL
    expected = [np.mean([hit[side & np.equal(LABEL, k)].mean() for k in (0, 1)]) for side in (right, ~right)]
    assert [values["all", RIGHT], values["all", WRONG]] == pytest.approx(expected)
    assert values["all", GAP] == pytest.approx(expected[0] - expected[1])
    assert values["all", "accuracy"] == pytest.approx(hit.mean())
    assert values["old", "accuracy"] == pytest.approx(hit[OLD].mean())
    counts = table[table["model"] == "one"].set_index(["stratum", "metric"])["n_by_class"]
    assert counts["all", "accuracy"] == "190/210" and counts["new", "auroc"] == "170/30"
    assert counts["all", RIGHT] == "170/180" and counts["all", WRONG] == "20/30"


def test_a_classifier_that_is_always_right_has_intervals_too() -> None:
    found = result_of(STRATA, perfect=LABEL)
    rows = found[found["model"] == "perfect"].set_index(["stratum", "metric"])
    for stratum, images in (("all", 400), ("old", 200), ("new", 200)):
        exact = binomtest(images, images).proportion_ci(0.9).low
        row = rows.loc[(stratum, "accuracy")]
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((exact, 1))
        for metric in ("balanced_accuracy", "auroc"):
            assert 0.8 < rows.loc[(stratum, metric), "ci_low"] < 1
    # The rule is wrong on 20 and 30 images of the classes: one of the two shares may be as low as .86.
    wrong = rows.loc[("all", WRONG)]
    assert 1 - wrong["ci_low"] > (1 - binomtest(20, 20).proportion_ci(0.9).low) / 2
    gap = rows.loc[("all", GAP)]
    assert gap["ci_low"] < 0 < gap["ci_high"] == pytest.approx(1 - wrong["ci_low"])


def test_metrics_within_a_stratum_are_those_of_its_images() -> None:
    settings = settings_of("net")
    score = np.random.default_rng(1).uniform(0.05, 0.95, len(TEST)) * 0.6 + 0.3 * LABEL
    table = predictions_of(STRATA, LABEL, score)
    found = auditing.audit([(settings.runs[0], table)], {"isic": STRATA}, settings)
    found = found[found["model"] == "net"].set_index(["stratum", "metric"])
    for name, mask in {"all": np.full(len(TEST), True), "old": OLD, "new": ~OLD}.items():
        expected = point_metrics(table[mask], False)
        for metric in auditing.METRICS:
            row = found.loc[(name, metric)]
            assert row["value"] == pytest.approx(expected[metric])
            assert row["ci_low"] <= row["value"] <= row["ci_high"] and row["n"] == mask.sum()


def test_rule_is_fitted_on_the_training_split_only() -> None:
    swapped = STRATA.assign(label=STRATA["label"].where(STRATA["split"] == "train", 1 - STRATA["label"]))
    table = auditing.audit([], {"isic": swapped}, settings_of("x").model_copy(update={"runs": []}))
    rule = table[(table["metric"] == "accuracy") & (table["stratum"] == "all")].set_index("split")["value"]
    assert rule["train"] == pytest.approx(350 / 400)
    assert rule["test"] == rule["valid"] == pytest.approx(50 / 400)
    unseen = pd.concat([STRATA, TEST[:3].assign(stratum="other")])
    shares = auditing.fit_rule(unseen, 2)
    assert shares.loc["other"].tolist() == pytest.approx([190 / 400, 210 / 400])
    assert shares.loc["old"].tolist() == pytest.approx([0.1, 0.9])


def test_without_images_to_compare_nothing_is_claimed() -> None:
    few = strata_of({("train", "old", 1): 30, ("train", "new", 0): 30, ("valid", "old", 1): 2}
                    | {("test", "old", 1): 40, ("test", "new", 0): 40, ("test", "new", 1): 9})  # fmt: skip
    test = few[few["split"] == "test"]
    table = result_of(few, cue=(test["stratum"] == "old").to_numpy().astype(int))
    row = gaps_of(table)["cue"]
    assert row.verdict == UNDEFINED and np.isnan(row.value) and np.isnan(row.ci_low) and row.n == 0
    undefined = table[(table["stratum"] == "old") & (table["metric"] == "auroc") & (table["split"] == "test")]
    assert undefined["value"].isna().all() and len(undefined) == 2
    grids = audit_grids(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings_of("cue"))
    assert grids[0].blocks[0].rows[-1][-2].value == "–" and grids[0].blocks[0].rows[-1][-1].value == UNDEFINED
    assert "too few images" in grids[0].caption
    settings = AuditFigureSettings(
        **settings_of("cue").model_dump(include={"datasets", "models", "runs"}), confidence=0.9
    )
    figure = draw_audit(audit_figure_data(table), settings)
    assert "not defined: too few images" in [text.get_text() for text in figure.axes[0].texts]


@given(data=st.data())
@example_settings(max_examples=20)
def test_weighted_gap_is_that_of_the_repeated_images(data: st.DataObject) -> None:
    seed = data.draw(st.integers(0, 1000))
    rng = np.random.default_rng(seed)
    label, right, hit = (rng.integers(0, 2, 120) for _ in range(3))
    frame = pd.DataFrame({"label": label, "prediction": np.where(hit, label, 1 - label)})
    frame["group"] = np.arange(120)
    weights = rng.integers(1, 4, 120)
    gap = CueGap(frame, right.astype(bool), 2)
    repeated = frame.loc[np.repeat(frame.index, weights)].reset_index(drop=True)
    again = CueGap(repeated, np.repeat(right, weights).astype(bool), 2)
    once, twice = gap(weights[None]), again(np.ones((1, len(repeated))))
    assert gap.compared == again.compared == [0, 1]
    for name in (RIGHT, WRONG, GAP):
        np.testing.assert_allclose(once[name], twice[name])
    per_class = [
        [is_correct(frame)[(label == k) & (right == side)].mean() for side in (1, 0)] for k in (0, 1)
    ]
    assert gap(np.ones((1, 120)))[GAP][0] == pytest.approx(np.mean([a - b for a, b in per_class]))


def test_images_of_a_group_count_once_towards_the_minimum() -> None:
    frame = pd.DataFrame(
        {"label": 1, "prediction": 1, "group": [f"p{i}" for i in range(40)]}, index=range(40)
    )
    right = np.arange(40) < 20
    assert CueGap(frame, right, 2).compared == [1]
    assert CueGap(frame.assign(group=[f"p{i // 3}" for i in range(40)]), right, 2).compared == []


def test_predictions_must_be_of_the_test_split() -> None:
    settings, table = settings_of("net"), predictions_of(STRATA, LABEL)
    for wrong, column in ((table[:-1], "image_id"), (table.assign(label=1 - table["label"]), "label")):
        with pytest.raises(DataError, match=f"differ in {column}"):
            auditing.audit([(settings.runs[0], wrong)], {"isic": STRATA}, settings)
    shuffled = table.sample(frac=1, random_state=0)
    expected = auditing.audit([(settings.runs[0], table)], {"isic": STRATA}, settings)
    pd.testing.assert_frame_equal(
        auditing.audit([(settings.runs[0], shuffled)], {"isic": STRATA}, settings), expected
    )


def test_seeds_are_averaged() -> None:
    settings = settings_of("net")
    runs = [settings.runs[0].model_copy(update={"seed": seed}) for seed in (0, 1)]
    tables = [predictions_of(STRATA, LABEL), predictions_of(STRATA, OLD.astype(int))]
    table = auditing.audit(list(zip(runs, tables, strict=True)), {"isic": STRATA}, settings)
    row = gaps_of(table)["net"]
    assert (row.value, row.seeds) == (0.5, 2) and row.sd == pytest.approx(np.sqrt(0.5))
    grid = audit_grids(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings)[0]
    assert "± 70.7" in grid.blocks[0].rows[-1][-2].detail and "mean over seeds" in grid.caption


def test_tables_to_read() -> None:
    settings = settings_of("cue", "perfect")
    table = result_of(STRATA, cue=OLD.astype(int), perfect=LABEL)
    accuracies, subset = audit_grids(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings)
    assert [c.title for c in accuracies.columns] == [
        "Model", "all images", "old", "new", "right", "wrong", "Gap", "Cue",
    ]  # fmt: skip
    images, rule, cue, perfect = accuracies.blocks[0].rows
    assert [cell.value for cell in images] == ["Images", "400", "200", "200", "350", "50", "", ""]
    assert images[1].detail == "(190 / 210)"
    assert [cell.value for cell in rule] == ["Rule", "87.5", "90.0", "85.0", "100.0", "0.0", "+100.0", ""]
    assert [cell.value for cell in cue][1:] == [*[cell.value for cell in rule][1:-1], FOLLOWS]
    assert [cell.value for cell in perfect][-2:] == ["0.0", NOT_SHOWN]
    assert (
        "old: melanoma; new: benign" in accuracies.caption and "87.5 % of the training" in accuracies.caption
    )
    assert (
        subset.blocks[0].title == "ISIC (all: 190 benign, 210 melanoma; subset new: 170 benign, 30 melanoma)"
    )
    assert [cell.value for cell in subset.blocks[0].rows[0]] == ["Rule", "87.6", "0.876", "50.0", "0.500"]
    for grid in (accuracies, subset):
        assert "Perfect" in to_markdown(grid) and to_latex(grid).isascii()


def test_counts_of_three_classes_are_of_those_that_are_compared() -> None:
    """As found: "16 (16 / 0 / 0)" beside 68.8 %, though other classes have images where the rule is right."""
    counts = {(split, "old", 0): 16 for split in ("train", "valid", "test")}
    counts |= {
        (split, "new", k): n for split in ("train", "valid", "test") for k, n in ((0, 12), (1, 30), (2, 4))
    }
    strata = strata_of(counts)
    test = strata[strata["split"] == "test"].sort_values("image_id", ignore_index=True)
    p = np.eye(3)[np.where(np.arange(len(test)) % 3 == 0, 2, test["label"])]
    ids = test["image_id"].tolist()
    predictions = from_probabilities(ids, ids, test["label"].to_numpy(), p)
    settings = settings_of("net", classes=["a", "b", "c"])
    table = auditing.audit([(settings.runs[0], predictions)], {"isic": strata}, settings)
    grid = audit_grids(table, {"isic": {"old": "a", "new": "b"}}, settings)[0]
    images = dict(zip([column.title for column in grid.columns], grid.blocks[0].rows[0], strict=True))
    assert (images["all images"].value, images["all images"].detail) == ("62", "(28 / 30 / 4)")
    assert (images["right"].value, images["right"].detail) == ("16", "(16 / – / –)")
    assert (images["wrong"].value, images["wrong"].detail) == ("12", "(12 / – / –)")
    assert (
        "on both sides: a. Gap" in grid.caption and "in brackets a class that is not compared" in grid.caption
    )


def test_without_a_subset_there_are_no_columns_and_no_words_of_one() -> None:
    settings = settings_of("cue", subset=None)
    table = result_of(STRATA, cue=OLD.astype(int))
    subset = audit_grids(table, {"isic": {"old": "melanoma", "new": "benign"}}, settings)[1]
    assert {column.group for column in subset.columns} == {"", "all images"}
    assert "stratum" not in subset.caption and len(subset.blocks[0].rows[0]) == 3


def test_official_isic_splits_give_the_known_audit(official: Path, root: Path) -> None:
    dataset = load_dataset("isic", root / "config")
    splits = {}
    for name in ("train", "valid", "test"):
        rows = pd.read_csv(official / f"splits/isic-{name}.csv")
        ids = rows["image_name"]
        columns = {"image_id": ids, "path": ids, "label": rows["target"], "group": ids}
        splits[name] = pd.DataFrame(columns)
    strata = stratify(dataset, splits, Path("nowhere"), {})
    assert auditing.fit_rule(strata, 2).idxmax(axis=1).to_dict() == {
        "ISIC 2019 and before": 1,
        "ISIC 2020 range": 0,
    }
    test = strata[strata["split"] == "test"]
    names = [stratum.name for stratum in dataset.audit.strata]
    settings = settings_of("cue", strata=names, subset=dataset.audit.subset)
    old = (test["stratum"] == names[0]).to_numpy().astype(int)
    pairs = [(settings.runs[0], predictions_of(strata, old))]
    table = auditing.audit(pairs, {"isic": strata}, settings)
    rule = table[(table["model"] == RULE) & (table["metric"] == "accuracy") & (table["stratum"] == "all")]
    assert [f"{100 * value:.1f}" for value in rule["value"]] == ["94.3", "94.6", "93.8"]
    row = table[(table["model"] == "cue") & (table["stratum"] == names[1]) & (table["metric"] == "auroc")]
    assert row["n_by_class"].tolist() == ["515/63"] and row["value"].tolist() == [0.5]
    assert gaps_of(table)["cue"].verdict == FOLLOWS  # melanomas alone: there is no old benign test image
    assert gaps_of(table)["cue"].n_by_class == "0/506"


def test_figure_shows_both_sides() -> None:
    table = result_of(STRATA, cue=OLD.astype(int), skill=np.where(NOISE, 1 - LABEL, LABEL))
    data = audit_figure_data(table)
    assert data[["model", "rule"]].to_numpy().tolist() == [
        [model, side] for model in (RULE, "cue", "skill") for side in ("right", "wrong")
    ]
    assert data.loc[:1, "accuracy_percent"].tolist() == [100, 0]
    layout = settings_of("cue", "skill").model_dump(include={"datasets", "models", "runs"})
    figure = draw_audit(data, AuditFigureSettings(**layout, confidence=0.9))
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Rule", "Cue", "Skill"]
    drawn = [line.get_xdata() for line in axes.lines if line.get_linestyle() == "None"]
    np.testing.assert_allclose(np.concatenate(drawn), data["accuracy_percent"])
    assert "90 % interval" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_commands_from_predictions_to_figure(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = settings_of("cue")
    write_predictions(predictions_of(STRATA, OLD.astype(int)), tmp_path / "p.csv")
    write_csv(STRATA, tmp_path / "strata.csv")
    params = json.dumps(settings.model_dump())
    outputs = [f"--out-{suffix}={tmp_path / ('audit.' + suffix)}" for suffix in ("csv", "md", "tex")]
    sources = ["--predictions", str(tmp_path / "p.csv"), "--strata", str(tmp_path / "strata.csv")]
    table = ["table", "--kind", "audit", "--params", params]
    assert main([*table, *sources, *outputs]) == 0
    first = [path.read_bytes() for path in sorted(tmp_path.glob("audit.*"))]
    assert main([*table, *sources, *outputs]) == 0
    assert [path.read_bytes() for path in sorted(tmp_path.glob("audit.*"))] == first
    assert FOLLOWS in (tmp_path / "audit.md").read_text()
    assert (tmp_path / "audit.tex").read_text().count(r"\begin{table*}") == 2

    layout = settings.model_dump(include={"datasets", "models", "runs"}) | {"confidence": 0.9}
    figure = ["figure", "--kind", "audit", "--params", json.dumps(layout)]
    drawn = [f"--out-{suffix}={tmp_path / ('figure.' + suffix)}" for suffix in ("csv", "png", "pdf")]
    assert main([*figure, "--table", str(tmp_path / "audit.csv"), *drawn]) == 0
    assert len(pd.read_csv(tmp_path / "figure.csv")) == 4
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")

    assert main([*figure, "--table", str(tmp_path / "strata.csv"), *drawn]) == 1
    assert "make the audit table again" in caplog.text
    assert main([*table, *sources, str(tmp_path / "strata.csv"), *outputs]) == 1
    assert "got 2 files for 1 datasets" in caplog.text
    assert main([*table, *sources[:2], *outputs]) == 1
    assert "--strata goes with --kind audit" in caplog.text
    wrong = json.dumps(settings.model_dump() | {"audits": {}})
    assert main(["table", "--kind", "audit", "--params", wrong, *sources, *outputs]) == 1
    assert "audits: []" in caplog.text


def test_entries_must_match_the_datasets() -> None:
    with pytest.raises(ValueError, match=r"audits: \['isic'\], but datasets: \['chest'\]"):
        AuditSettings.model_validate(
            settings_of("x").model_dump() | {"datasets": [{"name": "chest", "title": "Chest"}]}
            | {"runs": [{"dataset": "chest", "model": "x", "seed": 0, "decision": "softmax"}]}
        )  # fmt: skip
