"""What the documentation says exists: links, commands, examples, keys."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import rooms
from documented_commands import PAGES, write_examples
from meddiff.config import Config, load_dataset
from meddiff.config.json_schemas import schemas


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(root: Path, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    for link in links:
        path, _, heading = link.partition("#")
        file = (root / page).parent / path if path else root / page
        assert file.exists(), f"{page}: {link} is not there"
        assert not heading or heading in anchors(file), f"{page}: no heading for {link}"


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_what_was_tried_is_dated_newest_first_and_says_where_it_comes_from(root: Path) -> None:
    entries = re.split(r"^## ", (root / "docs/tried.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    dates = [re.match(r"(\d{4}-\d\d-\d\d): \S", entry) for entry in entries]
    assert all(dates), "an entry begins with its date"
    assert [date[1] for date in dates] == sorted((date[1] for date in dates), reverse=True)
    for entry in entries:
        assert re.search(r"\[[^\]]*\b([0-9a-f]{7}\b|issues? \d)[^\]]*\]\n*$", entry), entry


@pytest.mark.parametrize("page", PAGES)
def test_sources_and_tests_that_are_named_exist(root: Path, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    text = re.sub(r"^`[^`]+`:\n\n```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)  # files of recipes
    places = [
        root,
        root / "workflow/src",
        root / "workflow/src/meddiff",
        root / "workflow/rules",
        root / "benchmarks",
    ]
    for path in re.findall(r"`((?:tests|workflow|meddiff)/[\w./-]+|[\w/-]+\.(?:py|smk))`", text):
        assert any((place / path).exists() for place in places), f"{page}: {path} is not there"


@pytest.fixture
def examples(root: Path, tmp_path: Path) -> Path:
    """A configuration folder with the project's files and the documented examples beside them."""
    assert len(write_examples(tmp_path)) == 5
    return tmp_path


def test_examples_are_valid_and_their_models_can_be_built(examples: Path) -> None:
    from meddiff.models.kinds import build_model

    config = Config({"experiment": "fundus", "root_fundus": "somewhere"}, examples)
    assert config.model("small_unet", "fundus").train.epochs == 200
    dataset = config.datasets["fundus"]
    for name in config.experiment.models:
        model = config.model(name, "fundus")
        size = model.image_size or dataset.image_size
        build_model(model, len(dataset.classes), dataset.channels, size)
    pool = load_dataset("fundus_pool", examples)
    assert len(pool.classes) == 1 and pool.channels == dataset.channels


def keys_of(schema: dict[str, Any]) -> set[str]:
    """All keys that a file of this schema may have, at any depth (free-form values have none)."""
    parts = [schema, *schema["$defs"].values()]
    return {key for part in parts for key in part.get("properties", {})}


def test_every_key_of_the_configuration_is_documented(root: Path) -> None:
    text = (root / "config" / "README.md").read_text(encoding="utf-8")
    reference = text[text.index("## Reference: datasets") :]
    named = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", reference))))
    for kind, schema in schemas().items():
        assert not keys_of(schema) - named, f"config/README.md does not say what these keys of a {kind} are"


def test_the_rooms_are_drawn_as_they_are(root: Path) -> None:
    page = (root / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert rooms.with_block(page) == page, "ARCHITECTURE.md: run `make rooms`, and look at what has changed"


def test_the_picture_of_the_rooms_leaves_out_what_follows() -> None:
    imports = {"cli": {"io", "data"}, "data": {"store"}, "store": {"io"}, "io": set()}
    assert rooms.order(imports) == ["cli", "data", "store", "io"]
    assert rooms.reduced(imports) == {"cli": {"data"}, "data": {"store"}, "store": {"io"}, "io": set()}
    with pytest.raises(ValueError, match=r"in a circle: (data, store, data|store, data, store)"):
        rooms.order({**imports, "store": {"data"}})


def test_citation_names_software_and_paper(root: Path) -> None:
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{citation["version"]}"' in project
    assert f'license = "{citation["license"]}"' in project
    assert len(citation["references"][0]["authors"]) == 5
