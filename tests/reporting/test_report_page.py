"""The page: what it says of made-up results, and that nothing in them is taken for HTML."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from meddiff.config.datasets.folds import fold_number
from meddiff.errors import ConfigError, DataError
from meddiff.reporting.given import Given
from meddiff.reporting.page import page
from meddiff.reporting.part import PagePart
from meddiff.reporting.parts import parts_after_cases, parts_before_cases
from meddiff.reporting.summary.asked import asked
from meddiff.reporting.summary.found import datasets_of, found
from meddiff.reporting.summary.limits import limits
from report_samples import BASELINE, DATASET, DIFFUSION, comparison, participants, rows_of_accuracy, sample

HOSTILE = "<script>alert(1)</script>\"'&{{ 7 * 7 }}"
UNET = rows_of_accuracy(DIFFUSION, "majority", 90.0, 83.3, 94.7)
RESNET = rows_of_accuracy(BASELINE, "softmax", 80.0, 71.7, 86.7)


def text_of(sentences: list) -> str:
    """Sentences as they are read."""
    return re.sub(r"<[^>]+>", "", " ".join(map(str, sentences))).replace("\u00a0", " ")


def whole(given: Given) -> str:
    return page(given.settings, [*parts_before_cases(given), *parts_after_cases(given)])


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (
            comparison(10.0, 3.0, 17.0, 0.004),
            "the diffusion classifier is better (difference +10.0 points [3.0, 17.0]",
        ),
        (comparison(-10.0, -17.0, -3.0, 0.004), "the diffusion classifier is worse"),
        (comparison(10.0, -3.0, 23.0, 0.2), "the data do not tell the two apart"),
    ],
)
def test_the_verdict_is_that_of_the_corrected_test(tmp_path: Path, row: dict, verdict: str) -> None:
    tables = {"tables/classification": [UNET, RESNET], "tables/comparison": [row]}
    said = text_of(found(sample(tmp_path, tables), DATASET))
    assert "The diffusion classifier, UNet (majority), has an accuracy of 90.0 % [83.3, 94.7]." in said
    assert "The best baseline, ResNet (chosen on the validation images), has 80.0 %" in said
    assert verdict in said


@pytest.mark.parametrize(
    ("after", "said"),
    [(0.05, "improves {}: a"), (0.2, "makes {} worse: a"), (0.102, "hardly changes {}: a")],
)
def test_classifiers_are_models_with_decisions_and_calibration_may_harm(tmp_path, after, said) -> None:
    by_mean = rows_of_accuracy(DIFFUSION, "mean", 85.0, 77.0, 91.0)
    row = {"dataset": DATASET, "model": DIFFUSION, "decision": "majority", "metric": "ece", "raw": 0.1}
    tables = {
        "tables/classification": [UNET, by_mean, RESNET],
        "tables/calibration": [{**row, "calibrated": after}],
    }
    text = text_of(found(sample(tmp_path, tables), DATASET))
    assert (
        "The most accurate of 2 diffusion classifiers (1 model with several decision rules) on these" in text
    )
    assert (
        "Calibration on the validation images " + said.format("the probabilities of UNet (majority)") in text
    )


def test_nothing_is_said_of_what_there_is_not(tmp_path: Path) -> None:
    without_baseline = sample(tmp_path / "a", {"tables/classification": [UNET]}, models=[DIFFUSION])
    assert "baseline" not in text_of([*asked(without_baseline), *found(without_baseline, DATASET)])
    without_diffusion = sample(tmp_path / "b", {"tables/classification": [RESNET]}, models=[BASELINE])
    said = text_of([*asked(without_diffusion), *found(without_diffusion, DATASET)])
    assert "diffusion" not in said and "The baseline, ResNet, has an accuracy of 80.0 % [71.7, 86.7]." in said
    assert "network passes" not in whole(without_diffusion)


def test_uncertainty_is_worth_something_only_where_the_interval_says_so(tmp_path: Path) -> None:
    def curve(after: float, low: float) -> list[dict]:
        row = {
            "dataset": DATASET,
            "model": DIFFUSION,
            "decision": "majority",
            "source": "ours",
            "images_left": 96,
        }
        before = {
            "removed_percent": 0,
            "accuracy_percent": 80.0,
            "ci_low_percent": 72.0,
            "ci_high_percent": 86.0,
        }
        rest = {
            "removed_percent": 20,
            "accuracy_percent": after,
            "ci_low_percent": low,
            "ci_high_percent": 99.0,
        }
        return [{**row, **before}, {**row, **rest}]

    said = {}
    for name, rows in {
        "clear": curve(95.0, 88.0),
        "chance": curve(84.0, 75.0),
        "none": curve(78.0, 70.0),
    }.items():
        tables = {"tables/classification": [UNET], "figures/uncertainty": rows}
        said[name] = text_of(found(sample(tmp_path / name, tables), DATASET))
    assert (
        "accuracy rises from 80.0 % to 95.0 % [88.0, 99.0]: its uncertainty is worth something"
        in said["clear"]
    )
    assert "rises from 80.0 % to 84.0 % [75.0, 99.0], which may be chance" in said["chance"]
    assert "falls from 80.0 % to 78.0 % [70.0, 99.0]: its uncertainty is of no help here" in said["none"]
    mean = rows_of_accuracy(DIFFUSION, "mean", 95.0, 90.0, 98.0)
    tables = {"tables/classification": [UNET, mean], "figures/uncertainty": curve(95.0, 88.0)}
    other = text_of(found(sample(tmp_path / "other", tables), DATASET))
    why = "(Uncertainty is looked at by the first decision rule.)"
    assert why in other and why not in said["clear"]


def test_limits_are_those_that_hold(tmp_path: Path) -> None:
    leak = {
        "dataset": DATASET,
        "part": "equal pixels",
        "metric": "shared",
        "split": "test",
        "other_split": "train",
    }
    tables = {
        "tables/classification": [UNET, RESNET],
        "tables/comparison": [comparison(10.0, -3.0, 23.0, 0.2, "test")],
        "tables/participants": participants(["healthy", "ill"], [112, 8]),
        "tables/leaks": [{**leak, "class": "all", "value": 0.05, "n": 120}],
    }
    said = text_of(limits(sample(tmp_path, tables, phantom=True)))
    for sentence in (
        "The images of Chest are generated",
        "Chest has 120 test images only: accuracies are known to about ±8 points at worst",
        "Classes with fewer than 10 test images, which tell little of them: ill (Chest, 8).",
        "Test images of Chest are not all new to its models: 6 of 120 share equal pixels with train.",
        "was not audited",
        "chosen on the test images themselves",
        "Probabilities are not calibrated",
    ):
        assert sentence in said
    clean = {**tables, "tables/leaks": [{**leak, "class": "all", "value": 0.0, "n": 120}]}
    given = sample(tmp_path / "clean", clean)
    said = text_of(limits(given))
    assert "generated" not in said and "Leaks" not in said and "share equal pixels" not in said
    assert "no test image was found to share" in text_of(found(given, DATASET))


def test_one_test_image_and_many_classes(tmp_path: Path) -> None:
    classes = [f"class {number}" for number in range(12)]
    one = rows_of_accuracy(DIFFUSION, "majority", 100.0, 2.5, 100.0, n=1)
    tables = {
        "tables/classification": [one],
        "tables/participants": participants(classes, [1, *[0] * 11]),
    }
    given = sample(tmp_path, tables, classes=classes, models=[DIFFUSION])
    assert "1 test image only" in text_of(limits(given))
    assert "class 11" in whole(given)


def test_folds_are_one_dataset_of_which_the_mean_is_said(tmp_path: Path) -> None:
    rows = [
        {**UNET, "dataset": name, "folds": folds} for name, folds in (("chest-fold1", "nan"), (DATASET, 5))
    ]
    given = sample(tmp_path, {"tables/classification": rows}, models=[DIFFUSION])
    assert fold_number("chest-fold1") == 1, "what a fold is called"
    assert datasets_of(given) == [DATASET]


class Tags(HTMLParser):
    """Counts tags, and what would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "data", "srcset", "action")
        ]


def test_names_stay_text(tmp_path: Path) -> None:
    tables = {
        "tables/classification": [UNET, RESNET],
        "tables/participants": participants([HOSTILE, "انصباب"], [60, 60]),
    }
    titles = dict.fromkeys((DATASET, DIFFUSION, BASELINE, "experiment"), HOSTILE)
    plain = whole(sample(tmp_path / "plain", tables))
    hostile = whole(sample(tmp_path / "hostile", tables, classes=[HOSTILE, "انصباب"], titles=titles))
    found = {}
    for name, html in (("plain", plain), ("hostile", hostile)):
        parser = Tags()
        parser.feed(html)
        found[name] = parser
    assert found["hostile"].tags.count("script") == found["plain"].tags.count("script")
    assert "<script>alert(1)" not in hostile and "{{ 7 * 7 }}" in hostile
    assert "<bdi>انصباب</bdi>" in hostile
    assert all(address.startswith(("#", "data:")) for address in found["plain"].addresses)


def test_numbers_can_be_taken_away_as_they_are(tmp_path: Path) -> None:
    given = sample(tmp_path, {"tables/classification": [UNET, RESNET]})
    href = re.search(r'href="data:text/csv;base64,([^"]+)" download="classification.csv"', whole(given))
    assert href and base64.b64decode(href[1]) == (tmp_path / "tables/classification.csv").read_bytes()


def test_the_same_files_make_the_same_page(tmp_path: Path) -> None:
    tables = {"tables/classification": [UNET, RESNET], "tables/comparison": [comparison(1.0, -1.0, 3.0, 0.3)]}
    assert whole(sample(tmp_path, tables)) == whole(sample(tmp_path, tables))


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    given = sample(tmp_path, {"tables/classification": [UNET]})
    with pytest.raises(ConfigError, match="--input shown: got 0 files for 1 tables and figures"):
        Given.of(given.settings, {"csv": [tmp_path / "tables/classification.csv"]})
    (tmp_path / "tables/classification.md").unlink()
    paths = [tmp_path / f"tables/classification.{suffix}" for suffix in ("csv", "md")]
    with pytest.raises(DataError, match=r"classification\.md: there is no such file; run snakemake"):
        Given.of(given.settings, {"csv": paths[:1], "shown": paths[1:]})
    with pytest.raises(ValueError, match="the id 'a'"):
        page(given.settings, [PagePart("a", "A", ""), PagePart("a", "B", "")])
