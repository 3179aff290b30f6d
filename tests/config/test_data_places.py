"""What the command line says about data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from meddiff.config import Config
from meddiff.config.dataset_slices import FetchParams, SplitParams, ValidateParams, slice_of
from meddiff.config.schema.data.split import RecipeSplit
from meddiff.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2] / "config"
PACKAGE = "data/packages/1l1AMd0dKzwbex_CXO8ZRHedtSULUHFad"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch) -> None:
    for name in ("ROOT_CHEXPERT", "ROOT_ISIC", "SPLITS_ROOT"):
        monkeypatch.delenv(f"MEDDIFF_{name}", raising=False)


def paper(**top: str) -> Config:
    return Config({"experiment": "paper", **top}, ROOT)


def test_both_datasets_come_from_one_package() -> None:
    places = paper().places
    assert places.root("chexpert") == f"{PACKAGE}/chexpert"
    assert places.root("isic") == f"{PACKAGE}/isic_mel_balanced"
    assert places.splits_root == "splits/official"


def test_folders_of_the_user(monkeypatch) -> None:
    monkeypatch.setenv("MEDDIFF_ROOT_ISIC", "/env/isic")
    monkeypatch.setenv("MEDDIFF_SPLITS_ROOT", "/env/splits")
    places = paper(root_chexpert="/mine").places
    assert (places.root("chexpert"), places.root("isic")) == ("/mine", "/env/isic")
    assert places.splits_root == "/env/splits"
    assert paper(splits_root="/cli").places.splits_root == "/cli"


def test_places_are_in_no_params() -> None:
    here, there = paper().datasets, paper(root_chexpert="/mine", splits_root="/s").datasets
    for part in (FetchParams, ValidateParams, SplitParams):
        assert slice_of(here["chexpert"], part) == slice_of(there["chexpert"], part)


def test_only_the_checksums_of_published_splits_are_params() -> None:
    dataset = paper().datasets["isic"]
    split = json.loads(slice_of(dataset, SplitParams))["split"]
    assert set(split) == {"kind", "train", "valid", "test"}


def test_drawn_splits_instead_of_published_ones() -> None:
    config = paper(splits_chexpert="recipe", splits_isic="official")
    assert config.datasets["chexpert"].split == RecipeSplit(valid=0.1, test=0.1, seed=42)
    assert config.datasets["isic"].split == paper().datasets["isic"].split
    with pytest.raises(ConfigError, match="--config splits_isic: expected 'official' or 'recipe', got 'x'"):
        paper(splits_isic="x")


def test_split_keys_are_for_datasets_with_published_splits() -> None:
    with pytest.raises(ConfigError, match="splits_phantom_chest: unknown key"):
        Config({"experiment": "demo", "splits_phantom_chest": "recipe"}, ROOT)
    with pytest.raises(ConfigError, match="splits_root: unknown key"):
        Config({"experiment": "demo", "splits_root": "x"}, ROOT)


def test_pins_are_those_of_the_published_files(official: Path) -> None:
    pins = dict(line.split()[::-1] for line in (official / "splits.sha256").read_text().splitlines())
    for name in ("chexpert", "isic"):
        split = paper().datasets[name].split
        for file in (split.train, split.valid, split.test):
            assert pins.pop(file.name) == file.sha256
    assert not pins
