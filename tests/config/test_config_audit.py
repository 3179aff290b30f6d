"""The ``audit:`` of a dataset: what is refused, and what the shipped files say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from meddiff.config import load_dataset
from meddiff.config.schema.audit import AuditConfig

IMAGE_ID = {"kind": "image_id", "pattern": r"ISIC_(\d+)"}
COLUMN = {"kind": "column", "column": "site"}
OLD, NEW = {"name": "old", "below": 10}, {"name": "new"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value": {**IMAGE_ID, "pattern": "ISIC_("}}, "not a regular expression"),
        ({"value": {**IMAGE_ID, "pattern": r"ISIC_\d+"}}, "expected one group in parentheses"),
        ({"value": {**IMAGE_ID, "pattern": r"(\w+)_(\d+)"}}, "there are 2"),
        ({"value": {**COLUMN, "csv": "other.csv"}}, "give csv and id_column together"),
        ({"value": {**COLUMN, "id_column": "file"}}, "give csv and id_column together"),
        ({"strata": [NEW, OLD]}, "it must be last"),
        ({"strata": [OLD, OLD]}, "every name must be different"),
        ({"strata": [{**OLD, "values": [1]}]}, "give below or values, not both"),
        ({"strata": [{"name": "all"}]}, "stands for all images together"),
        ({"subset": "newer"}, "'newer' is not one of the strata"),
        ({"stratum": "x"}, "Extra inputs"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], reason: str) -> None:
    document = {"title": "archive", "value": IMAGE_ID, "strata": [OLD, NEW], **changes}
    with pytest.raises(ValidationError, match=reason):
        AuditConfig.model_validate(document)


def test_without_strata_any_subset_may_be_named() -> None:
    assert AuditConfig(title="site", value=COLUMN, subset="Oslo").strata == []


def test_shipped_audits(root: Path) -> None:
    isic = load_dataset("isic", root / "config").audit
    phantom = load_dataset("phantom_shortcut", root / "config")
    assert isic is not None and isic.subset == "ISIC 2020 range"
    assert phantom.audit is not None and phantom.source.shortcut > 0.9
    assert load_dataset("chexpert", root / "config").audit is None
