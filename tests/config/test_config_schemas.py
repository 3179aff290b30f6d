"""The JSON schemas in the repository are those of the code, and fit the shipped files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
import yaml

from meddiff.cli import main
from meddiff.config.json_schemas import schemas

KINDS = {"dataset": "datasets", "experiment": "experiments", "model": "models"}


def objects(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that describes an object with named properties."""
    if isinstance(schema, dict):
        if "properties" in schema:
            yield path, schema
        for key, value in schema.items():
            yield from objects(value, f"{path}/{key}")


@pytest.mark.parametrize("kind", KINDS)
def test_schema_files_are_up_to_date(kind, root):
    stored = json.loads((root / "workflow" / "schemas" / f"{kind}.schema.json").read_text())
    assert stored == schemas()[kind], "run `python -m meddiff schemas`"


def test_no_schema_file_is_left_over(root):
    stored = {path.name for path in (root / "workflow" / "schemas").iterdir()}
    assert (
        stored == {f"{kind}.schema.json" for kind in schemas()} == {f"{kind}.schema.json" for kind in KINDS}
    )


def test_command_writes_them(tmp_path, root):
    assert main(["schemas", "--out", str(tmp_path)]) == 0
    for path in (root / "workflow" / "schemas").iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_keys_are_forbidden_everywhere(kind):
    found = list(objects(schemas()[kind]))
    assert found
    assert [path for path, schema in found if schema.get("additionalProperties") is not False] == []


@pytest.mark.parametrize("kind", KINDS)
def test_shipped_files_fit_their_schema(kind, root):
    validator = jsonschema.Draft202012Validator(schemas()[kind])
    for path in (root / "config" / KINDS[kind]).glob("*.yaml"):
        document = yaml.safe_load(path.read_text())
        assert [error.message for error in validator.iter_errors(document)] == [], path.name
        assert list(validator.iter_errors({**document, "colour": "blue"})) != []
        first = path.read_text().splitlines()[0]
        assert first == f"# yaml-language-server: $schema=../../workflow/schemas/{kind}.schema.json"
