"""YAML as a person would write it: comments above keys, short mappings and lists on one line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_WIDTH = 110
_PLAIN = re.compile(r"[A-Za-z_][\w./()-]*(?: [\w./()-]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def commented(lines: Sequence[str]) -> list[str]:
    """`lines` as comments, folded at the page's width."""
    folded: list[str] = []
    for line in lines:
        words, text = line.split(), "#"
        for word in words:
            if len(text) + len(word) + 1 > _WIDTH and text != "#":
                folded.append(text)
                text = "#  "
            text += f" {word}"
        folded.append(text)
    return [re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]", "?", line) for line in folded]


def document(
    schema: str, head: Sequence[str], content: Mapping[str, Any], notes: Mapping[str, Sequence[str]]
) -> str:
    """A file of configuration.

    Args:
        schema: name of its JSON schema, such as ``dataset``.
        head: comments that stand first.
        content: what the file says.
        notes: key of `content`, or ``key.inner`` -> comments above it.
    """
    lines = [f"# yaml-language-server: $schema=../../workflow/schemas/{schema}.schema.json", *commented(head)]
    for key, value in content.items():
        lines += commented(notes.get(key, ()))
        inner = {name: notes[f"{key}.{name}"] for name in _keys(value) if f"{key}.{name}" in notes}
        lines += _entry(key, value, "", inner)
    return "\n".join(lines) + "\n"


def _keys(value: Any) -> Sequence[str]:
    return list(value) if isinstance(value, Mapping) else []


def _entry(key: str, value: Any, indent: str, notes: Mapping[str, Sequence[str]] | None = None) -> list[str]:
    """A key and its value: on one line where it is short and nothing is to be said about its parts."""
    line = f"{indent}{scalar(key)}: {flow(value)}"
    blocks = isinstance(value, Mapping | list) and value and isinstance(next(iter(_parts(value))), Mapping)
    if not notes and ((len(line) <= _WIDTH and not blocks) or not isinstance(value, Mapping | list)):
        return [line]
    lines = [f"{indent}{scalar(key)}:"]
    if isinstance(value, list):
        return lines + [f"{indent}  - {flow(part)}" for part in value]
    for name, inner in value.items():
        lines += [f"{indent}  {line}" for line in commented((notes or {}).get(name, ()))]
        lines += _entry(name, inner, f"{indent}  ")
    return lines


def _parts(value: Mapping | list) -> list[Any]:
    return list(value.values()) if isinstance(value, Mapping) else value


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(key)}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A single value; text in quotes where a reader could take it for something else."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 0.01 else repr(value)
    if isinstance(value, int):
        return str(value)
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS and value.isascii():
        return value
    # A backslash needs no doubling in single quotes, which patterns are full of.
    if value.isprintable() and value.isascii() and "'" not in value:
        return f"'{value}'"
    # What is not printable is escaped as YAML has it, which knows no halves of characters as JSON does.
    return "".join(
        char if char.isprintable() else f"\\U{ord(char):08x}"
        for char in json.dumps(value, ensure_ascii=False)
    )
