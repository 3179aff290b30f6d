"""Lesion masks of phantoms as they lie in a store."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from meddiff.config.schema.data.layout import CheXpertFormat, ISICFormat
from meddiff.config.schema.data.source import PhantomSource
from meddiff.data import phantom
from meddiff.data.phantom.truth import MARKED_CLASSES, lesion_masks
from meddiff.data.tables import read_csv
from meddiff.errors import DataError


@pytest.mark.parametrize("layout", [CheXpertFormat(kind="chexpert"), ISICFormat(kind="isic")])
def test_masks_of_a_phantom_are_where_its_files_say(layout, tmp_path):
    source = PhantomSource(kind="phantom", images=30, native_size=32)
    phantom.generate(source, layout, tmp_path)
    truth = read_csv(tmp_path / "phantom.csv")
    masks = lesion_masks(tmp_path, truth["image_id"], 32)
    assert masks.shape == (30, 32, 32) and masks.dtype == bool
    for mask, path in zip(masks, truth["mask"], strict=True):
        native = np.asarray(Image.open(tmp_path / path)) > 0
        assert mask.any()
        assert abs(mask.mean() - native.mean()) < 0.01
    # Images of these classes show what their mask marks.
    assert set(MARKED_CLASSES[layout.kind]) <= set(truth["label"].astype(int))


def test_a_missing_mask_is_named(tmp_path):
    with pytest.raises(DataError, match="nobody"):
        lesion_masks(tmp_path, ["nobody"], 8)
