"""A YAML file means what it seems to, or is refused with its line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from meddiff.config.yaml_file import read_yaml
from meddiff.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2] / "config"
# Ten of the last, each of which is ten of the one before.
ALIASES = "a: &a [1]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise("abcdefg")
)


def read(folder: Path, text: str | bytes):
    path = folder / "file.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_yaml(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("0", 0),
        ("-3", -3),
        ("1e-3", 0.001),  # text in YAML 1.1
        ("1.0e-4", 1e-4),
        (".5", 0.5),
        (".inf", float("inf")),
        ("2020-01-01", "2020-01-01"),
        ("'010'", "010"),
        ("1.2.3", "1.2.3"),
        ("12ab", "12ab"),
    ],
)
def test_values_as_in_yaml_1_2(tmp_path, text, value):
    found = read(tmp_path, f"key: {text}\n")["key"]
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize(
    "text", ["010", "08", "0x10", "0o17", "0b11", "1:30", "190:20:30", "1_000", "1:30.5"]
)
def test_numbers_that_two_versions_read_differently(tmp_path, text):
    with pytest.raises(
        ConfigError, match=r"file\.yaml: .*line 2, column 6: .*write a decimal number .*in quotes"
    ):
        read(tmp_path, f"a: 1\nkey: {text}\n")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3, column 1: the key 'a' stands here a second time"),
        ("a: {b: 1, c: 2, b: 1}\n", "line 1, column 17: the key 'b' stands here a second time"),
        ("a: [\n", "line 2, column 1"),
        ("? [1, 2]\n: 3\n", "expected one word as a key"),
        ("a: " + "[" * 1000 + "]" * 1000, "nested too deeply"),
        ("a: " + "[" * 60 + "]" * 60, "at most 50 levels"),
        ("a: &again {b: *again}\n", "at most 50 levels"),
        (ALIASES, "at most 100000 values"),
        (b"title: \xff\xfe\n", "not UTF-8 (byte 7 is 0xff)"),
        ("a: \x00\n", "not valid YAML"),
        ("a: " + "9" * 5000 + "\n", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("- a\n", "expected a mapping"),
    ],
    ids=str.split("twice twice-inside open key deep deeper itself aliases latin nul digits object list"),
)
def test_what_is_refused(tmp_path, text, reason):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path / 'file.yaml'}: ")
    assert reason in str(caught.value)


def test_a_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml(tmp_path)


def test_merged_keys_may_be_overridden(tmp_path):
    text = "base: &base {x: 1, y: 2}\nother: {<<: *base, y: 3}\n"
    assert read(tmp_path, text)["other"] == {"x": 1, "y": 3}


def test_a_switch_that_is_no_switch_says_what_to_write(tmp_path):
    from config_files import TRAIN, write_files

    from meddiff.config import Config

    path = write_files(tmp_path) / "models/resnet.yaml"
    path.write_text(path.read_text() + "augment: yes\n")
    with pytest.raises(ConfigError, match=r"timm\.augment: Input should be a valid boolean; write true"):
        Config({"experiment": "trial"}, tmp_path)
    document = {"title": "R", "kind": "timm", "family": "cnn", "architecture": {"model_name": "test_resnet"}}
    path.write_text(
        yaml.safe_dump({**document, "train": TRAIN}).replace("train:", "train:\n  mixed_precision: no")
    )
    assert Config({"experiment": "trial"}, tmp_path).model("resnet", "eyes").train.mixed_precision == "no"


@pytest.mark.parametrize("path", sorted(ROOT.glob("**/*.yaml")), ids=lambda path: path.stem)
def test_shipped_files_are_the_same_in_both_versions(path):
    assert read_yaml(path) == yaml.safe_load(path.read_text())
