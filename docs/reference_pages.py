"""Pages that are made from the code: the command line from its parsers, keys from the schemas."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from root_pages import GENERATED, write_if_changed

Schema = Mapping[str, Any]


def write(docs: Path) -> None:
    """Write all of them into ``_generated``."""
    write_if_changed(docs / GENERATED / "commands.md", commands())
    write_if_changed(docs / GENERATED / "keys.md", keys())


def commands() -> str:
    """The reference of the command line."""
    from meddiff.cli import OWN, RULES

    lines = [
        "# Commands",
        "",
        "`meddiff <command>`, or `python -m meddiff <command>`. All run in the folder that has the",
        "`Snakefile`. This page is made from the parsers of the commands.",
        "",
    ]
    rules = [
        "## Commands that rules call",
        "",
        "One for each step. `snakemake -p` shows how they are called.",
        "",
    ]
    for names, head, level in ((OWN, [], 2), (RULES, rules, 3)):
        lines += head
        for name in names:
            lines += [f"{'#' * level} `{name}`", "", *command(name), ""]
    return "\n".join(lines)


def command(name: str) -> list[str]:
    """What one command does, how it is called, and its arguments."""
    module = importlib.import_module(f"meddiff.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"meddiff {name}", add_help=False)
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=96)
    module.add_arguments(parser)
    lines = [
        *(module.__doc__ or "").strip().splitlines(),
        "",
        "```text",
        parser.format_usage().strip(),
        "```",
    ]
    rows = [row for action in parser._actions for row in argument(action, parser)]
    return [*lines, "", *table(("argument", "what"), rows)] if rows else lines


def argument(action: argparse.Action, parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """A row of the table of arguments; none for what the help does not show."""
    if action.help == argparse.SUPPRESS:
        return
    formatter = parser._get_formatter()
    value = formatter._format_args(
        action, (action.metavar or action.dest.upper()) if action.option_strings else action.dest
    )
    names = ", ".join(action.option_strings)
    shown = f"{names} {value}".strip() if action.nargs != 0 else names
    yield f"`{shown}`", formatter._expand_help(action) if action.help else ""


def keys() -> str:
    """Every key of the configuration: type, default, limits, and the schema's word on it."""
    from meddiff.config.json_schemas import schemas

    lines = [
        "# Keys: types, defaults, limits",
        "",
        "Made from the classes that read the files of `config/`, as are the schemas in `workflow/schemas/`.",
        "[Configuration](configuration.md#reference-datasets) says what keys are for: look there first, and",
        "here for what a key takes. `[]` is an entry of a list, `<name>` a name of your own.",
        "",
    ]
    for name, schema in schemas().items():
        lines += [f"## A {name}" if name[0] not in "aeiou" else f"## An {name}", ""]
        for title, part in sections(schema):
            lines += [*([f"### {title}", ""] if title else []), *section(part, schema), ""]
    return "\n".join(lines)


def sections(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """(title, object) of a file and of everything in it that has keys of its own, in reading order."""
    seen: set[str] = set()
    queue = [("", schema)]
    while queue:
        path, part = queue.pop(0)
        for name, variant in variants(part, schema):
            kind = variant.get("properties", {}).get("kind", {}).get("const")
            if name in seen:
                continue
            seen |= {name} if name else set()
            yield (
                " ".join([f"`{path}`" if path else "", f"(`kind: {kind}`)" if kind else ""]).strip(),
                variant,
            )
            for key, value in variant.get("properties", {}).items():
                queue += [(inner, at) for inner, at in below(f"{path}.{key}".lstrip("."), value)]


def below(path: str, value: Schema) -> Iterator[tuple[str, Schema]]:
    """Where below a key there may be objects."""
    yield path, value
    for option in (*value.get("anyOf", ()), *value.get("oneOf", ()), value):
        if isinstance(option.get("items"), Mapping):
            yield from below(f"{path}[]", option["items"])
        for named in (option.get("additionalProperties"), *option.get("patternProperties", {}).values()):
            if isinstance(named, Mapping):
                yield from below(f"{path}.<name>", named)


def variants(part: Schema, schema: Schema) -> Iterator[tuple[str, Schema]]:
    """The objects with keys that a value may be: (name of the class, object)."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        yield from ((name, found) for _, found in variants(schema["$defs"][name], schema))
    elif "properties" in part:
        yield "", part
    else:
        for option in (*part.get("anyOf", ()), *part.get("oneOf", ())):
            yield from variants(option, schema)


def section(part: Schema, schema: Schema) -> list[str]:
    """The table of the keys of one object."""
    required = part.get("required", ())
    rows = []
    for key, value in part["properties"].items():
        default = "required" if key in required else shown_default(value)
        rows.append((f"`{key}`", takes(value, schema), default, value.get("description", "")))
    return table(("key", "takes", "default", "note"), rows)


def shown_default(value: Schema) -> str:
    """The default, where it is short enough to be read."""
    text = json.dumps(value.get("default"))
    if "default" not in value or text == "null":
        return "–"
    return f"`{text}`" if len(text) <= 60 else "see below"


def takes(value: Schema, schema: Schema) -> str:
    """In words what a value may be."""
    if "$ref" in value:
        found = schema["$defs"][value["$ref"].rpartition("/")[2]]
        return takes(found, schema) if "properties" not in found else "keys, see below"
    if "const" in value or "enum" in value:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in value.get("enum", [value.get("const")]))
    options = [
        option
        for option in (*value.get("anyOf", ()), *value.get("oneOf", ()))
        if option.get("type") != "null"
    ]
    if options:
        return " or ".join(dict.fromkeys(takes(option, schema) for option in options))
    if value.get("type") == "array":
        return list_of(value, schema)
    names = {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}
    return f"{names.get(value.get('type', ''), 'mapping')}{limits(value)}"


def list_of(value: Schema, schema: Schema) -> str:
    """In words what a list may hold, and how many of them."""
    if "items" not in value:
        parts = [takes(part, schema) for part in value.get("prefixItems", ())]
        return f"list of {len(parts)}: {', '.join(parts)}" if parts else "list"
    least, most = value.get("minItems", 0), value.get("maxItems")
    number = f"{least:,} to {most:,}" if least and most else f"at most {most:,}" if most else ""
    number = number or (f"at least {least:,}" if least else "")
    return f"list of {takes(value['items'], schema)}{f' ({number})' if number else ''}"


def limits(value: Schema) -> str:
    """`` from 0 to 1`` and the like, or nothing."""
    names = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    words = [(word, value[key]) for key, word in names.items() if key in value]
    shown = [f"{word} {limit:,}" if isinstance(limit, int) else f"{word} {limit:g}" for word, limit in words]
    return f" {' '.join(shown)}" if shown else ""


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A Markdown table; bars in cells are escaped."""
    cells = [[" ".join(cell.replace("|", "\\|").split()) for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(head), ["---"] * len(head), *cells]]
