"""What splits share: found, counted, and refused, reported or moved as the dataset's file says."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError
from test_data_looks import scene

from meddiff.cli import main
from meddiff.config import DatasetConfig, load_dataset
from meddiff.config.dataset_slices import LeaksParams, SplitParams, slice_of
from meddiff.config.schema.data.leaks import LeakGroupsConfig, LeaksConfig
from meddiff.data.leaks.looks import ALIKE
from meddiff.data.leaks.pairs import LISTED, find_pairs
from meddiff.data.leaks.policy import moved_to_train
from meddiff.data.leaks.report import find_leaks
from meddiff.data.leaks.shares import count_shared, read_shared
from meddiff.data.leaks.user_groups import read_groups
from meddiff.data.obtain.fetch import fetch, read_manifest
from meddiff.data.splitting.splits import make_splits
from meddiff.data.tables import SPLITS, read_splits, write_csv
from meddiff.data.validate import validate_dataset
from meddiff.errors import DataError

IDS = {"train": range(8), "valid": range(8, 14), "test": range(14, 20)}


def jpeg(image: Image.Image, path: Path) -> None:
    image.save(path.with_suffix(".jpg"), quality=80)


# What is planted: file name -> how it is made of scene 3, which trains.
PLANTED: dict[str, Callable[[Image.Image, Path], None]] = {
    "copy.png": lambda image, path: image.save(path),
    "colour.bmp": lambda image, path: image.convert("RGB").save(path),
    "jpeg.jpg": lambda image, path: image.save(path, quality=60),
    "smaller.png": lambda image, path: image.resize((160, 120), Image.Resampling.BILINEAR).save(path),
}
SAME, ALIKE_ONLY = {"copy", "colour"}, {"jpeg", "smaller"}


@pytest.fixture
def made(tmp_path: Path, make_dataset):
    """Twenty scenes and what is planted among the test images, in given splits; makes dataset and table."""

    def make(
        leaks: dict | None = None, planted: str = "test", patient: str = ""
    ) -> tuple[DatasetConfig, Path]:
        (tmp_path / "images").mkdir(exist_ok=True)
        rows = ["file,patient,diagnosis"]
        for i in range(20):
            scene(i).save(tmp_path / f"images/{i:02d}.png")
            rows.append(f"{i:02d}.png,p{i},{i % 2}")
        for name, save in PLANTED.items():
            save(scene(3), tmp_path / "images" / name)
            rows.append(f"{name},{patient or name},1")
        (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
        ids = {name: [f"{i:02d}" for i in numbers] for name, numbers in IDS.items()}
        ids[planted] += [Path(name).stem for name in PLANTED]
        for name in SPLITS:
            (tmp_path / f"{name}.csv").write_text("\n".join(["image_id", *ids[name]]) + "\n")
        split = {"kind": "files"} | {name: str(tmp_path / f"{name}.csv") for name in SPLITS}
        dataset = make_dataset(split=split, **({"leaks": leaks} if leaks else {}))
        write_csv(validate_dataset(dataset, tmp_path, {"files": {}}).table, tmp_path / "table.csv")
        return dataset, tmp_path / "splits"

    return make


def run(dataset: DatasetConfig, folder: Path) -> int:
    """The two commands, as the rules call them; returns the exit status of the last one."""
    table = ["--table", str(folder.parent / "table.csv"), "--out-dir", str(folder)]
    assert main(["split", "--params", slice_of(dataset, SplitParams), *table]) == 0
    found = ["--splits-dir", str(folder)]
    return main(["leaks", "--params", slice_of(dataset, LeaksParams), *found, *table])


def test_what_is_an_error_stays_one(made, caplog) -> None:
    dataset, folder = made()
    assert run(dataset, folder) == 1
    assert "images that two splits share: 2 problems" in caplog.text
    assert "train row 5 (03) and test row 8 (copy): the same pixels" in caplog.text
    assert "leaks: {duplicates: move_to_train}" in caplog.text
    assert not (folder / "leaks.csv").exists()
    refused = pd.read_csv(folder / "leaks.refused.csv", dtype={"other_image_id": str})
    assert set(refused["image_id"]) == SAME | ALIKE_ONLY and set(refused["other_image_id"]) == {"03"}


def test_what_is_reported(made, caplog) -> None:
    dataset, folder = made({"duplicates": "report"})
    (folder.parent / "splits").mkdir()
    (folder / "leaks.refused.csv").write_text("of an earlier run")
    assert run(dataset, folder) == 0
    pairs = pd.read_csv(folder / "leaks.csv", dtype={"other_image_id": str})
    assert set(pairs.query("kind == 'same_pixels'")["image_id"]) == SAME
    alike = pairs.query("kind == 'alike'").set_index("image_id")["bits"]
    assert set(alike.index) == ALIKE_ONLY and alike.between(0, ALIKE).all()
    assert set(pairs["split"]) == {"test"} and set(pairs["other_split"]) == {"train"}
    assert (pairs["other_label"] == 1).all() and (pairs["others"] == 1).all()
    shared = (
        read_shared(folder / "shared.csv").set_index(["kind", "split", "other_split", "class"]).sort_index()
    )
    numbers = shared.loc[("anything", "test", "train or valid")]
    assert numbers.loc["all", "shared"] == 4 and numbers.loc["healthy", "shared"] == 0
    assert numbers.loc["all", "images"] == 10
    assert "test: 4 of 10 images share anything with train or valid (40.0 %)" in caplog.text
    assert not (folder / "leaks.refused.csv").exists()


@pytest.mark.parametrize("leaks, left", [({"duplicates": "move_to_train"}, ALIKE_ONLY), (
    {"duplicates": "move_to_train", "look_alikes": "move_to_train"}, set())])  # fmt: skip
@pytest.mark.parametrize("planted", ["valid", "test"])
def test_what_is_moved(made, leaks: dict, left: set, planted: str) -> None:
    dataset, folder = made(leaks, planted)
    assert run(dataset, folder) == 0
    splits = read_splits(folder)
    moved = (SAME | ALIKE_ONLY) - left
    assert splits["train"]["image_id"].tolist() == [
        *(f"{i:02d}" for i in range(8)), *(Path(name).stem for name in PLANTED if Path(name).stem in moved)
    ]  # fmt: skip
    assert left <= set(splits[planted]["image_id"]) and not moved & set(splits[planted]["image_id"])
    assert set(pd.read_csv(folder / "leaks.csv")["image_id"]) == left
    origin = json.loads((folder / "origin.json").read_text())
    assert origin["moved"] == {"valid": 0, "test": 0} | {planted: len(moved)} and origin["left_out"] == 0


def test_a_group_is_moved_as_a_whole(made) -> None:
    dataset, folder = made({"duplicates": "move_to_train"}, patient="one")
    assert run(dataset, folder) == 0
    assert set(read_splits(folder)["train"]["image_id"]) >= SAME | ALIKE_ONLY
    assert json.loads((folder / "origin.json").read_text())["moved"] == {"valid": 0, "test": 4}


def test_look_alikes_may_be_an_error_or_of_fewer_bits(made, caplog) -> None:
    dataset, folder = made({"duplicates": "report", "look_alikes": "error"})
    assert run(dataset, folder) == 1
    assert "(jpeg): look alike" in caplog.text and "leaks: {look_alikes: move_to_train}" in caplog.text
    bits = pd.read_csv(folder / "leaks.refused.csv").set_index("image_id")["bits"]
    closest = {"duplicates": "report", "look_alikes": "report", "bits": int(bits["jpeg"])}
    dataset = DatasetConfig.model_validate(dataset.model_dump() | {"leaks": closest})
    assert run(dataset, folder) == 0
    found = pd.read_csv(folder / "leaks.csv").query("kind == 'alike'")
    assert set(found["image_id"]) == set(bits.index[bits <= bits["jpeg"]])


def test_splits_that_are_drawn_keep_equal_pixels_together(made) -> None:
    dataset, folder = made()
    dataset = DatasetConfig.model_validate(
        dataset.model_dump() | {"split": {"kind": "recipe", "valid": 0.3, "test": 0.3}}
    )
    assert run(dataset, folder) == 0
    where = {i: name for name, frame in read_splits(folder).items() for i in frame["image_id"]}
    assert len({where[name] for name in (*SAME, "03")}) == 1


def test_nothing_shared(made, caplog) -> None:
    dataset, folder = made()
    for name in SPLITS:
        path = folder.parent / f"{name}.csv"
        path.write_text(
            "".join(f"{line}\n" for line in path.read_text().split() if line not in SAME | ALIKE_ONLY)
        )
    with caplog.at_level(logging.INFO, "meddiff"):
        assert run(dataset, folder) == 0
    assert "no two splits share an image or a group, and no image looks like" in caplog.text
    assert pd.read_csv(folder / "leaks.csv").empty
    assert (read_shared(folder / "shared.csv")["shared"] == 0).all()


def test_only_what_moves_images_is_a_setting_of_the_splits(made) -> None:
    plain, _ = made()
    slices = []
    for leaks in ({}, {"duplicates": "report", "look_alikes": "error", "bits": 5}):
        slices.append(slice_of(plain.model_copy(update={"leaks": LeaksConfig(**leaks)}), SplitParams))
    assert slices[0] == slices[1] and "leaks" not in slices[0]
    moving = plain.model_copy(update={"leaks": LeaksConfig(duplicates="move_to_train", bits=5)})
    assert json.loads(slice_of(moving, SplitParams))["leaks"] == {"duplicates": "move_to_train"}


def test_published_splits_cannot_be_changed(root: Path) -> None:
    document = load_dataset("isic", root / "config").model_dump()
    with pytest.raises(ValidationError, match="published splits are reported on and never changed"):
        DatasetConfig.model_validate(document | {"leaks": {"duplicates": "move_to_train"}})


@pytest.mark.parametrize("leaks, expected", [
    ({"duplicates": "move"}, "duplicates"),
    ({"bits": True}, "not true or false"),
    ({"bits": 65}, "bits"),
    ({"groups": {"csv": "a.csv", "columns": []}}, "columns"),
    ({"groups": {"columns": ["patient"]}}, "csv"),
])  # fmt: skip
def test_impossible_settings_are_refused(leaks: dict, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        LeaksConfig.model_validate(leaks)


GROUPS = "image,patient,site\n00.png,a,x\n14.png,a,x\n15.png,b,y\n16.png,,y\nother.png,a,x\n"


@pytest.mark.parametrize("text, config, expected", [
    ("file,patient\n00,a\n", {}, "no column image"),
    ("image,patient\n77.png,a\n", {}, r"no row is of an image of this .*\['77.png'\]"),
    ("image,patient\n00,a\n00.png,b\n", {}, "row 3: patient of '00' is 'b', in row 2 it is 'a'"),
    (GROUPS, {"by": "camera"}, "no column camera"),
])  # fmt: skip
def test_files_of_groups_that_cannot_be_used(tmp_path: Path, text: str, config: dict, expected: str) -> None:
    (tmp_path / "groups.csv").write_text(text)
    document = {"csv": str(tmp_path / "groups.csv"), "id_column": "image", "columns": ["patient"]} | config
    with pytest.raises(DataError, match=expected):
        read_groups(LeakGroupsConfig.model_validate(document), ["00", "14"])


def test_groups_of_a_file(made, tmp_path: Path, caplog) -> None:
    (tmp_path / "groups.csv").write_text(GROUPS)
    groups = {"csv": str(tmp_path / "groups.csv"), "id_column": "image", "columns": ["patient"], "by": "site"}
    dataset, folder = made({"duplicates": "report", "groups": groups})
    assert run(dataset, folder) == 0
    pairs = pd.read_csv(folder / "leaks.csv", dtype=str).query("kind == 'same_group'")
    assert pairs[["column", "value", "image_id", "other_image_id"]].to_numpy().tolist() == [
        ["patient", "a", "14", "00"]
    ]
    shared = read_shared(folder / "shared.csv").query("column == 'patient' and split == 'test'")
    shared = shared[shared["other_split"] == "train"].set_index(["part", "class"])
    assert shared.loc[("all", "all"), ["images", "known", "shared"]].tolist() == [10, 2, 1]
    assert shared.loc[("x", "all"), ["images", "known", "shared"]].tolist() == [1, 1, 1]
    assert shared.loc[("y", "all"), ["images", "known", "shared"]].tolist() == [2, 1, 0]
    assert "test: 1 of 2 images share patient with train (50.0 %)" in caplog.text
    assert "20 of 24 images have no row" in caplog.text


def test_the_published_isic_split_leaks_as_was_measured(official: Path, root: Path) -> None:
    """The numbers of ../shared/official/README.md."""
    groups = {"csv": str(official / "isic-groups.csv"), "id_column": "image_name", "by": "source"}
    document = load_dataset("isic", root / "config").model_dump()
    leaks = {"groups": groups | {"columns": ["lesion_id", "patient_id"]}}
    dataset = DatasetConfig.model_validate(document | {"leaks": leaks})
    splits = {}
    for name in SPLITS:
        frame = pd.read_csv(official / f"splits/isic-{name}.csv", dtype={"image_name": str})
        splits[name] = frame.set_axis(["image_id", "label"], axis="columns")
    images = pd.concat(splits.values())
    # The images are not here; no two are taken for alike.
    looks = [np.random.default_rng(i).bytes(32).hex() for i in range(len(images))]
    found = find_leaks(
        dataset, splits, images.assign(pixels=images["image_id"], group=images["image_id"], look=looks)
    )
    shared = found.shared.query("split == 'test' and other_split == 'train'")
    shared = shared.set_index(["column", "part", "class"])
    lesions = shared.loc[("lesion_id", "isic2019", "melanoma")]
    assert (lesions["known"], lesions["shared"]) == (408, 352)  # 86 %
    patients = shared.loc[("patient_id", "isic2020", "all")]
    assert (patients["known"], patients["shared"]) == (578, 511)  # 88 %
    assert shared.loc[("patient_id", "all", "all"), "known"] == 578
    listed = found.pairs.query("split == 'test' and other_split == 'train' and column == 'patient_id'")
    assert listed["image_id"].nunique() == 511 and listed.groupby("image_id").size().max() == LISTED


@pytest.mark.parametrize(
    "name, expected", [("pneumoniamnist", ("valid", "train", 8)), ("breastmnist", ("test", "train", 1))]
)
def test_real_sets_share_the_images_that_are_known(
    medmnist: Path, root: Path, tmp_path: Path, name: str, expected: tuple[str, str, int], caplog
) -> None:
    """The numbers of ../shared/real/medmnist/README.md."""
    dataset = load_dataset(name, root / "config")
    fetch(name, dataset, medmnist, tmp_path / "raw.json")
    table = validate_dataset(dataset, medmnist, read_manifest(tmp_path / "raw.json")).table
    found = find_leaks(dataset, make_splits(dataset, table), table)
    pairs = found.pairs.query("kind == 'same_pixels'")
    numbers = pairs.groupby(["split", "other_split"])["image_id"].nunique()
    assert list(numbers.items()) == [(expected[:2], expected[2])]
    assert "THE PUBLISHED SPLITS SHARE IMAGES" in caplog.text


looks = st.sampled_from([bytes([first] * 32).hex() for first in (0, 1, 3, 255)])
images = st.lists(
    st.tuples(st.sampled_from(SPLITS), st.integers(0, 4), looks, st.integers(0, 6), st.integers(0, 1)),
    min_size=1, max_size=16,
)  # fmt: skip


def arranged(rows: list) -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    """Splits and table of images; groups are within a split, and equal pixels look the same."""
    table = pd.DataFrame(rows, columns=["split", "pixels", "look", "group", "label"])
    table["image_id"] = [f"i{i:02d}" for i in range(len(table))]
    table["group"] = table["split"] + table["group"].astype(str)
    table["look"] = table.groupby("pixels")["look"].transform("first")
    table["pixels"] = table["pixels"].map("p{}".format)
    splits = {name: table[table["split"] == name].reset_index(drop=True) for name in SPLITS}
    return splits, table


@examples(max_examples=20)
@given(images, st.randoms(use_true_random=False))
def test_pairs_are_all_there_are_in_any_order(rows: list, random) -> None:
    splits, table = arranged(rows)
    found = find_pairs(splits, table)
    expected = set()
    for one, two in itertools.combinations(table.to_dict("records"), 2):
        early, late = sorted((one, two), key=lambda row: SPLITS.index(row["split"]))
        bits = (int(one["look"], 16) ^ int(two["look"], 16)).bit_count()
        if one["split"] != two["split"] and (one["pixels"] == two["pixels"] or bits <= ALIKE):
            kind = "same_pixels" if one["pixels"] == two["pixels"] else "alike"
            expected.add((kind, late["image_id"], early["image_id"]))
    assert set(found[["kind", "image_id", "other_image_id"]].itertuples(index=False, name=None)) == expected
    assert len(found) == len(expected)
    mixed = {name: frame.sample(frac=1, random_state=random.randrange(99)) for name, frame in splits.items()}
    pd.testing.assert_frame_equal(find_pairs(mixed, table.sample(frac=1, random_state=1)), found)


@examples(max_examples=20)
@given(images)
def test_after_moving_nothing_is_shared_and_no_image_is_lost(rows: list) -> None:
    splits, table = arranged(rows)
    leaks = LeaksConfig(duplicates="move_to_train", look_alikes="move_to_train")
    after, numbers = moved_to_train(splits, table, leaks)
    assert find_pairs(after, table).empty
    ids = [image_id for frame in after.values() for image_id in frame["image_id"]]
    assert sorted(ids) == sorted(table["image_id"])
    groups = [set(frame["group"]) for frame in after.values()]
    assert sum(map(len, groups)) == len(set.union(*groups))
    for name in ("valid", "test"):
        assert numbers[name] == len(splits[name]) - len(after[name])
        assert set(after[name]["image_id"]) <= set(splits[name]["image_id"])
    untouched, none = moved_to_train(splits, table, LeaksConfig())
    assert none == {"valid": 0, "test": 0} and all(untouched[name] is splits[name] for name in SPLITS)


def test_a_thousand_copies_are_counted_and_few_listed() -> None:
    rows = [("train", 0, bytes(32).hex(), i, 0) for i in range(100)] + [
        ("test", 0, bytes(32).hex(), 0, 1)
    ] * 10
    splits, table = arranged(rows)
    found = find_pairs(splits, table)
    assert len(found) == 10 * LISTED and (found["others"] == 100).all()
    shared = count_shared(found, splits, ["healthy", "sick"]).set_index(
        ["kind", "split", "other_split", "class"]
    )
    assert shared.loc[("same_pixels", "test", "train", "sick"), ["images", "shared"]].tolist() == [10, 10]
