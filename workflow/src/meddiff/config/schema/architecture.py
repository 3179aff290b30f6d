"""What can be said about a model's ``architecture`` without the library that it is for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

# These read weights from files or the network, some by unpickling, or make something that is no classifier.
_REFUSED = re.compile(r"pretrained.*|checkpoint.*|cache_dir|custom_load|features_only|out_indices|scriptable")
# Sizes that a network cannot be without; zero of them would make one that learns nothing.
_SIZES = re.compile(
    r"num_layers|layers_per_block|num_attention_heads|attention_head_dim|patch_size|norm_num_groups|"
    r"encoder_hid_dim|cross_attention_dim|block_out_channels|embed_dim|depths?|num_heads|img_size|window_size"
)
_COUNTS = re.compile(r"num_layers|layers_per_block|num_attention_heads|depths?|num_heads")
_MOST, _LARGEST = 1000, 1_000_000


def architecture_problems(architecture: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """What cannot be right in the ``architecture`` of a model, each with its key.

    Args:
        architecture: what the model's file says.
        given: keys that the workflow sets itself, and what it takes them from.
    """
    problems = []
    for key in architecture:
        if key in given:
            problems.append(f"{key}: is set by the workflow, from {given[key]}; leave it out")
        elif _REFUSED.fullmatch(key):
            problems.append(
                f"{key}: not allowed here; the model's own key `pretrained` names weights to begin from"
            )
    for path, value in _leaves(architecture):
        problems += [f"{path}: {problem}" for problem in _value_problems(path, value)]
    return problems


def _value_problems(path: str, value: Any) -> Iterator[str]:
    key = path.split("[")[0].split(".")[-1]
    if isinstance(value, bool | str) and _SIZES.fullmatch(key):
        yield f"expected a number, got {value!r}"
    if value is None or isinstance(value, bool | str):
        return
    if not isinstance(value, int | float):
        yield f"expected a number, a text, true, false, a list or a mapping, got {value!r}"
    elif not math.isfinite(value):
        yield f"expected a finite number, got {value!r}"
    elif value < 0:
        yield f"expected no negative number, got {value!r}"
    elif value == 0 and _SIZES.fullmatch(key):
        yield "expected at least 1, got 0"
    elif value > (limit := _MOST if _COUNTS.fullmatch(key) else _LARGEST):
        yield f"expected at most {limit}, got {value!r}"


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{number}]")
    else:
        yield path, value
