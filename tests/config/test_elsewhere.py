"""What `test_on` may name: said when the configuration is loaded, with file and entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_files import FILES, write_changed

from meddiff.config import Config, load_dataset
from meddiff.errors import ConfigError

CLASSES = {"normal": "healthy", "sick": "glaucoma"}
CLINIC = {
    **FILES["datasets/eyes"],
    "title": "Clinic",
    "classes": [{"value": k, "name": name} for k, name in enumerate(("normal", "sick", "other"))],
    "image_size": 64,
}


def config(folder: Path, test_on: dict[str, Any], **clinic: Any) -> Config:
    write_changed(folder, "experiments/trial", "test_on", test_on)
    (folder / "datasets/clinic.yaml").write_text(yaml.safe_dump(CLINIC | clinic))
    load_dataset.cache_clear()
    return Config({"experiment": "trial"}, folder)


def test_a_dataset_that_is_only_tested_on_is_none_that_models_are_trained_on(tmp_path):
    found = config(tmp_path, {"eyes": {"clinic": CLASSES}})
    assert list(found.datasets) == ["eyes"] and list(found.every_dataset) == ["eyes", "clinic"]
    assert "root_clinic" in found.places.keys
    assert not [run for run in found.trained_runs() if "clinic" in run]


@pytest.mark.parametrize(
    ("test_on", "clinic", "words"),
    [
        ({"clinic": {"eyes": CLASSES}}, {}, "test_on.clinic: no model is trained on it"),
        ({"eyes": {"eyes": CLASSES}}, {}, "test_on.eyes.eyes: models are tested on this test split anyway"),
        ({"eyes": {"nowhere": CLASSES}}, {}, "dataset 'nowhere': there is no"),
        (
            {"eyes": {"clinic": {**CLASSES, "ill": "glaucoma"}}},
            {},
            "test_on.eyes.clinic: clinic has no class 'ill'; its classes are normal, sick, other",
        ),
        (
            {"eyes": {"clinic": {**CLASSES, "other": "sick"}}},
            {},
            "test_on.eyes.clinic: eyes has no class 'sick'; its classes are healthy, glaucoma",
        ),
        ({"eyes": {"clinic": {"sick": "glaucoma"}}}, {}, "all images would be of one class of eyes"),
        ({"eyes": {"clinic": {}}}, {}, "test_on.eyes.clinic"),
        (
            {"eyes": {"clinic": CLASSES}},
            {"channels": 3},
            "test_on.eyes.clinic: its images have `channels: 3`, and models of eyes take 1",
        ),
    ],
)
def test_what_cannot_be_tested(test_on, clinic, words, tmp_path):
    with pytest.raises(ConfigError) as said:
        config(tmp_path, test_on, **clinic)
    assert words in str(said.value)
