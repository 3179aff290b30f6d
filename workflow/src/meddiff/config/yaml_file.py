"""Read a YAML file in which everything means what it seems to.

The reader of PyYAML follows YAML 1.1, where ``no`` is false, ``010`` is 8 and ``1:30`` is 90, and of a key
that stands twice it takes the last. Here words are words unless they are true, false or null, as in YAML
1.2, and what the two versions read differently is an error, as is a key that stands twice.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from meddiff.errors import ConfigError

DEEPEST, LARGEST = 50, 100_000
_TAG = "tag:yaml.org,2002:"
_AMBIGUOUS = "!number-of-yaml-1.1"


class _Reader(yaml.SafeLoader):
    """The safe loader with the resolvers and checks of this module."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012 - as in PyYAML; filled below

    def refuse_number(self, node: yaml.ScalarNode) -> None:
        """Raise an error that says how to write it."""
        raise ConstructorError(
            None,
            None,
            f"{node.value} is one number in YAML 1.1 and another, or text, in YAML 1.2; write a decimal "
            f'number without leading zeros, colons or underscores, or "{node.value}" in quotes if it is text',
            node.start_mark,
        )


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Reader.add_implicit_resolver(tag, re.compile(rf"^(?:{pattern})$"), list(first) or [""])


_resolve(f"{_TAG}bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve(f"{_TAG}null", "~|null|Null|NULL", "~nN")
_resolve(f"{_TAG}null", "", "")
_resolve(f"{_TAG}merge", "<<", "<")
_resolve(f"{_TAG}int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789")
_resolve(
    f"{_TAG}float",
    r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)\.[0-9]*|(?:0|[1-9][0-9]*)(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)
_resolve(
    _AMBIGUOUS,
    r"[-+]?0[0-9_]+(?:\.[0-9_]*)?|[-+]?0[bB][01_]+|[-+]?0[oO][0-7_]+|[-+]?0[xX][0-9a-fA-F_]+"
    r"|[-+]?[0-9]+(?:_[0-9_]*)+(?:\.[0-9_]*)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?",
    "-+0123456789",
)
_Reader.add_constructor(_AMBIGUOUS, _Reader.refuse_number)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in `path`.

    Raises:
        ConfigError: with the file and the line: it cannot be read, is no UTF-8 or no YAML, is nested deeper
            or larger than any configuration, has a key twice, a number that means different things in YAML
            1.1 and 1.2, or no mapping at the top.
    """
    try:
        document = _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not UTF-8 (byte {error.start} is {error.object[error.start]:#04x}); save it as UTF-8"
        ) from error
    except RecursionError as error:
        raise ConfigError(f"{path}: nested too deeply; at most {DEEPEST} levels are read") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {_shown(error)}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: expected a mapping of keys to values")
    return document


def _parse(text: str) -> Any:
    reader = _Reader(text)
    try:
        node = reader.get_single_node()
        if node is None:
            return None
        _check_nodes(node)
        return reader.construct_document(node)
    except ValueError as error:  # such as an integer of more digits than Python converts
        raise ConstructorError(None, None, str(error), None) from error
    finally:
        reader.dispose()


def _check_nodes(top: yaml.Node) -> None:
    """Aliases may repeat or contain themselves, so what is counted is the document as it will be walked."""
    waiting, count = [(top, 1)], 0
    while waiting:
        node, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > LARGEST:
            limit = f"{DEEPEST} levels" if depth > DEEPEST else f"{LARGEST} values"
            raise ConstructorError(None, None, f"too deep or too large: at most {limit}", node.start_mark)
        if isinstance(node, yaml.MappingNode):
            _check_keys(node)
            waiting += [(part, depth + 1) for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            waiting += [(part, depth + 1) for part in node.value]


def _check_keys(node: yaml.MappingNode) -> None:
    seen: set[tuple[str, str]] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConstructorError(None, None, "expected one word as a key", key.start_mark)
        if (key.tag, key.value) in seen:
            problem = f"the key {key.value!r} stands here a second time; keep one"
            raise ConstructorError(None, None, problem, key.start_mark)
        seen.add((key.tag, key.value))


def _shown(error: yaml.YAMLError) -> str:
    """Without the snippet of the file, which may be long."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return problem if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: {problem}"
