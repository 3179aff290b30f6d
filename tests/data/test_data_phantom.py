from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from meddiff.config.schema.data.layout import CheXpertFormat, ISICFormat, TableFormat
from meddiff.config.schema.data.source import PhantomSource
from meddiff.data import phantom
from meddiff.data.layouts.rows import read_table
from meddiff.data.phantom import chest, common, skin
from meddiff.data.phantom.common import Case
from meddiff.errors import ConfigError

LAYOUTS = {"chexpert": CheXpertFormat(kind="chexpert"), "isic": ISICFormat(kind="isic")}


def source(images: int = 60, **changes: object) -> PhantomSource:
    return PhantomSource.model_validate({"kind": "phantom", "images": images, "native_size": 32} | changes)


def digests(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module", params=sorted(LAYOUTS))
def generated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    root = tmp_path_factory.mktemp(request.param)
    phantom.generate(source(shortcut=0.9), LAYOUTS[request.param], root)
    return request.param, root


def test_more_images_leave_the_first_ones_as_they_are(generated: tuple[str, Path], tmp_path: Path) -> None:
    kind, root = generated
    phantom.generate(source(70, shortcut=0.9), LAYOUTS[kind], tmp_path)
    few, many = digests(root), digests(tmp_path)
    images = {path: digest for path, digest in few.items() if not path.endswith(".csv")}
    assert len(images) >= 120
    assert images.items() <= many.items()


def test_another_seed_gives_other_images(generated: tuple[str, Path], tmp_path: Path) -> None:
    kind, root = generated
    phantom.generate(source(seed=1, shortcut=0.9), LAYOUTS[kind], tmp_path)
    one, other = (
        {digest for path, digest in digests(folder).items() if path.endswith(".jpg")}
        for folder in (root, tmp_path)
    )
    assert not one & other


def test_truth_lists_images_with_masks(generated: tuple[str, Path]) -> None:
    _, root = generated
    truth = pd.read_csv(root / "phantom.csv")
    assert list(truth.columns) == ["image_id", "path", "label", "difficulty", "cue", "mask"]
    assert truth["label"].sum() == 30
    assert truth["difficulty"].between(0, 1).all()
    for row in truth.itertuples():
        mask = np.asarray(Image.open(root / row.mask))
        assert mask.shape == np.asarray(Image.open(root / row.path)).shape[:2]
        assert set(np.unique(mask)) == {0, 255}


def test_truth_agrees_with_what_the_format_reads(generated: tuple[str, Path], make_dataset) -> None:
    kind, root = generated
    table = read_table(make_dataset(format={"kind": kind}), root)
    truth = pd.read_csv(root / "phantom.csv").set_index("image_id")
    assert sorted(table["image_id"]) == sorted(truth.index)
    read = table.set_index("image_id").loc[truth.index]
    assert read["label"].tolist() == truth["label"].tolist()
    assert read["path"].tolist() == truth["path"].tolist()


def test_chest_csv_has_rows_that_the_format_must_drop(tmp_path: Path) -> None:
    phantom.generate(source(150), LAYOUTS["chexpert"], tmp_path)
    rows = pd.read_csv(tmp_path / "CheXpert-v1.0-small/train.csv")
    assert rows["Path"].str.contains("study2/view1_frontal").any()
    assert rows["Path"].str.contains("view2_lateral").any()
    assert (rows["Pleural Effusion"] == -1).any()
    assert all((tmp_path / path).is_file() for path in rows["Path"])


def test_some_skin_patients_have_several_images(tmp_path: Path) -> None:
    phantom.generate(source(150), LAYOUTS["isic"], tmp_path)
    rows = pd.read_csv(tmp_path / "metadata.csv", keep_default_na=False)
    named = rows[rows["patient_id"] != ""]
    assert 0 < len(named) < len(rows)
    assert named["patient_id"].duplicated().any()


@pytest.mark.parametrize("shortcut, expected", [(1.0, 1.0), (0.75, 0.75)])
def test_cue_agrees_with_the_label_as_often_as_asked(shortcut: float, expected: float) -> None:
    cases = [common.draw_case(source(shortcut=shortcut), index) for index in range(400)]
    assert np.mean([case.cue == case.label for case in cases]) == pytest.approx(expected, abs=0.07)


def test_no_cue_without_shortcut() -> None:
    assert not any(common.draw_case(source(), index).cue for index in range(100))


def test_cue_is_in_the_old_id_range(tmp_path: Path) -> None:
    phantom.generate(source(shortcut=0.8), LAYOUTS["isic"], tmp_path)
    truth = pd.read_csv(tmp_path / "phantom.csv")
    number = truth["image_id"].str.removeprefix("ISIC_").astype(int)
    assert truth["image_id"].str.fullmatch(r"ISIC_\d{7}").all()
    assert ((number < skin.FIRST_NEW_ID) == (truth["cue"] == 1)).all()
    assert truth["cue"].nunique() == 2


@pytest.mark.parametrize("draw", [chest.draw, skin.draw])
def test_the_cue_changes_nothing_in_the_middle(draw) -> None:
    plain, cued = (draw(source(), Case(5, 1, 0.2, cue)) for cue in (False, True))
    h, w = plain.mask.shape
    middle = np.s_[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4]
    np.testing.assert_array_equal(plain.pixels[middle], cued.pixels[middle])
    assert not np.array_equal(plain.pixels, cued.pixels)


def test_effusion_shows_in_the_mask_only_and_fades_with_difficulty() -> None:
    def change(difficulty: float) -> tuple[float, float]:
        inside, outside = [], []
        for index in range(12):
            sick, well = (chest.draw(source(), Case(index, label, difficulty, False)) for label in (1, 0))
            np.testing.assert_array_equal(sick.mask, well.mask)
            far = np.s_[: sick.mask.shape[0] // 4]
            difference = sick.pixels.astype(float) - well.pixels
            inside.append(difference[sick.mask].mean())
            outside.append(np.abs(difference[far]).mean())
        return float(np.mean(inside)), float(np.mean(outside))

    plain, far = change(0.0)
    hard, _ = change(0.95)
    assert plain > 60
    assert far < 1
    assert abs(hard) < plain / 3


def test_range_of_difficulty() -> None:
    drawn = [common.draw_case(source(difficulty=(0.2, 0.4)), index).difficulty for index in range(50)]
    assert 0.2 <= min(drawn) < max(drawn) <= 0.4
    with pytest.raises(ValueError, match="low <= high"):
        source(difficulty=(0.6, 0.4))


def test_there_is_no_phantom_of_a_table(tmp_path: Path) -> None:
    layout = TableFormat(kind="table", csv="a.csv", image_column="a", label_column="b")
    with pytest.raises(ConfigError, match="no phantom of 'table'"):
        phantom.generate(source(), layout, tmp_path)
    with pytest.raises(ConfigError, match="'Hernia' is no CheXpert label"):
        phantom.generate(source(), CheXpertFormat(kind="chexpert", positive="Hernia"), tmp_path)
