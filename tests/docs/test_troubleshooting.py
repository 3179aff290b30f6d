"""Messages that the page on troubleshooting explains are those of the program."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from meddiff.provenance import SOURCE

PAGE = Path(__file__).resolve().parents[2] / "docs/troubleshooting.md"
ANYTHING = "…"
ENTRIES = [
    heading.strip("`").strip()
    for heading in re.findall(r"^### (`+.*`+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
]


def template(node: ast.expr) -> str:
    """A text of the source with an ellipsis where a value comes (texts in a row are one to Python)."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ANYTHING
    if isinstance(node, ast.JoinedStr):
        return "".join(template(value) for value in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return template(node.left) + template(node.right)
    return ANYTHING


def raised(tree: ast.AST) -> Iterator[str]:
    """Texts of the errors that are raised, or made to be raised, in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id.endswith("Error"):
            yield from (template(argument) for argument in node.args)


@cache
def messages() -> list[str]:
    texts = [path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py")]
    return [message for text in texts if "Error(" in text for message in raised(ast.parse(text))]


def test_there_are_entries() -> None:
    assert len(ENTRIES) >= 25
    assert len(set(ENTRIES)) == len(ENTRIES)


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_explained_message_exists(entry: str) -> None:
    assert entry.replace(ANYTHING, "").strip(" :;,."), "says nothing"
    pattern = ".+".join(re.escape(part) for part in entry.split(ANYTHING))
    assert any(re.fullmatch(pattern, message, re.DOTALL) for message in messages()), (
        "no error of the program reads so: take the message as it is raised, with … for what it fills in"
    )


def test_a_message_that_has_changed_is_found() -> None:
    assert not any(re.fullmatch("there is no artefact .+", message) for message in messages())
    assert any(re.fullmatch("there is no artifact .+; there are .+", message) for message in messages())
