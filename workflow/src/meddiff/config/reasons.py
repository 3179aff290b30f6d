"""What pydantic found wrong, in words that say what to write instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

_SHOWN = 120
_SWITCHES = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}


def lines_of(error: ValidationError) -> list[str]:
    """One line for each thing that is wrong: ``<key>: <reason> (got <value>)``."""
    return [f"{_key(found['loc'])}: {_reason(found)}" for found in error.errors()]


def _key(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location) or "(top level)"


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key"
    if error["type"] == "missing":
        return "missing"
    return f"{error['msg']}{_hint(error)} (got {_shown(error['input'])})"


def _hint(error: Mapping[str, Any]) -> str:
    value = error["input"]
    if error["type"] == "bool_type" and isinstance(value, str) and value.lower() in _SWITCHES:
        return f"; write {_SWITCHES[value.lower()]}"
    if error["type"] == "string_type" and isinstance(value, bool | int | float):
        return "; write it in quotes if it is text"
    if error["type"] == "int_type" and isinstance(value, float) and value.is_integer():
        return f"; write {int(value)}"
    return ""


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more digits than Python writes
        text = f"an integer of {value.bit_length()} bits"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
