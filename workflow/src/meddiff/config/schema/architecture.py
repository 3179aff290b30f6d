"""What can be said about a model's ``architecture`` without the library that it is for."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

# The workflow gives these itself: from the dataset and from the model's other keys.
_GIVEN: dict[str, dict[str, str]] = {
    "timm": {"num_classes": "the dataset's classes", "in_chans": "the dataset's channels"},
    "unet": {
        "sample_size": "image_size and wavelet",
        "in_channels": "the dataset's channels and wavelet",
        "out_channels": "the dataset's channels and wavelet",
    },
    "dit": {
        "sample_size": "image_size and wavelet",
        "in_channels": "the dataset's channels and wavelet",
        "out_channels": "the dataset's channels and wavelet",
        "num_embeds_ada_norm": "the dataset's classes, or label_table_size",
    },
}
# These read weights from files or the network, some by unpickling, or make something that is no classifier.
_REFUSED = re.compile(r"pretrained.*|checkpoint.*|cache_dir|custom_load|features_only|out_indices|scriptable")
# A tag after a dot names weights in timm's list. No colon: `hf-hub:` and `local-dir:` fetch a model.
_TIMM_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
# Sizes that a network cannot be without; zero of them would make one that learns nothing.
_SIZES = re.compile(
    r"num_layers|layers_per_block|num_attention_heads|attention_head_dim|patch_size|norm_num_groups|"
    r"encoder_hid_dim|cross_attention_dim|block_out_channels|embed_dim|depths?|num_heads|img_size|window_size"
)
_COUNTS = re.compile(r"num_layers|layers_per_block|num_attention_heads|depths?|num_heads")
_MOST, _LARGEST = 1000, 1_000_000


def architecture_problems(kind: str, architecture: Mapping[str, Any]) -> list[str]:
    """What cannot be right in the ``architecture`` of a model of `kind`, each with its key."""
    problems = []
    for key in architecture:
        if key in _GIVEN.get(kind, {}):
            problems.append(f"{key}: is set by the workflow, from {_GIVEN[kind][key]}; leave it out")
        elif _REFUSED.fullmatch(key):
            problems.append(
                f"{key}: not allowed here; the model's own key `pretrained` names weights to begin from"
            )
    if kind == "timm":
        problems += _name_problems(architecture)
    for path, value in _leaves(architecture):
        problems += [f"{path}: {problem}" for problem in _value_problems(path, value)]
    return problems


def _name_problems(architecture: Mapping[str, Any]) -> list[str]:
    name = architecture.get("model_name")
    if name is None:
        return ["model_name: missing; it is timm's name of the model"]
    if not isinstance(name, str) or not _TIMM_NAME.fullmatch(name):
        return [
            f"model_name: expected a name in timm's list, such as resnet18, got {name!r}; nothing is fetched "
            "from a hub or read from a folder"
        ]
    return []


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
