"""In what two trainings differ, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_SHOWN = 12
_NAMES = {
    "params": "setting",
    "code": "code",
    "data": "images or splits",
    "pretrained": "weights that it begins from",
}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """One line for each thing in which two `training_inputs` differ; the longest lists are cut.

    Configuration is shown with both values, files by their names.
    """
    lines = []
    for key, name in _NAMES.items():
        before, after = dict(_leaves(old.get(key))), dict(_leaves(new.get(key)))
        changed = [path for path in sorted(before | after) if before.get(path) != after.get(path)]
        for path in changed[:_SHOWN]:
            values = f": {before.get(path)!r} -> {after.get(path)!r}" if key == "params" else ""
            lines.append(f"{name} {path}".rstrip() + values)
        if len(changed) > _SHOWN:
            lines.append(f"{name}: {len(changed) - _SHOWN} more")
    return lines


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
