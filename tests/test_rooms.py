"""Which room may import which, and the limits that keep the house small.

A room is a folder of the package. Modules beside the rooms know none and are at hand everywhere, but for
`runs`, which stands on the configuration. Who needs another import, or passes a limit, changes a line here
and says why in the same diff.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import rooms
from meddiff import cli
from meddiff.provenance import SOURCE

# From the ground up: what a room imports stands above it. The picture is in ARCHITECTURE.md.
ROOMS = {
    "config": "",
    "runs": "config",
    "diffusion": "config",
    "devices": "",
    "data": "config diffusion devices",
    "networks": "config diffusion data devices",
    "models": "config networks",
    "scoring": "config diffusion data devices models",
    "readout": "diffusion",
    "evaluate": "config runs diffusion readout",
    "localising": "runs diffusion data networks scoring readout evaluate",
    "explaining": "config runs diffusion data devices networks models scoring readout evaluate",
    "records": "config data models",
    "bundles": "config data devices diffusion networks models scoring readout evaluate localising explaining "
    "records",
    "weights": "config networks models records",
    "training": "config diffusion data devices networks models scoring weights",
    "starting": "config data",
    "planning": "config devices networks models scoring explaining records",
    "sharing": "config data records weights",
    "pipeline": "config runs data models readout weights sharing",
    "artifacts": "config runs data scoring readout evaluate localising explaining pipeline",
    "reporting": "config artifacts data planning records",
    "writing": "config reporting",
    "cases": "config data diffusion scoring readout explaining reporting",
    "cli": "config data devices networks models scoring readout evaluate localising explaining artifacts "
    "cases writing bundles records weights training starting planning sharing reporting",
}
# (module, room that it imports all the same) -> why.
EXCEPTIONS: dict[tuple[str, str], str] = {}

LIMITS = {
    "modules a folder": 15,  # without `__init__`; `cli` has one a command
    "lines a module": 300,
    "lines a function": 60,
    "arguments a function": 9,
}
# What passes one of these -> why.
LARGER: dict[str, str] = {
    "config/schema": "one module for each block of the files that people write; `study` is the sixteenth",
}
LINES = {
    "workflow/src/meddiff/diffusion/*.py": 1600,  # the method, read in an hour; 1500 before evidence maps
    # Aim: 4500 for these two and all artifacts, which are 2800 and may be more: one has at most 300.
    "workflow/src/meddiff/evaluate/*.py": 2460,  # 2400 before comparisons on folds and on clean images
    "workflow/src/meddiff/evaluate/metrics/*.py": 900,
    "workflow/src/meddiff/artifacts/*.py": 1260,  # what artifacts share, pairs of datasets and folds among it
    "workflow/rules/*.smk": 1240,  # at most 90 a stage, and one file a stage; 100: report, cases, writing
}
# What must know the workflow; everything else is in `meddiff.pipeline`, with tests.
FUNCTIONS_IN_RULES = {"common.smk": {"told_by_snakemake"}}
COMMANDS_FOR_PEOPLE = 11  # what `meddiff --help` shows first; 9 before `classify` and `export`
# Libraries of networks, of which the method says nothing.
LIBRARIES = re.compile(r"diffusers|timm\b|transformers|hugging.?face|stable.?diffusion", re.IGNORECASE)

ROOT = SOURCE.parents[2]
MODULES = sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    """Dotted, below the package."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports_of_rooms() -> set[tuple[str, str]]:
    """(module, room that it imports) where that is another than its own."""
    pairs = {(module_name(path), room) for path in MODULES for room in rooms.imported(parsed(path))}
    pairs -= {("__main__", "cli"), ("__init__", "bundles")}  # the command, and `meddiff.Classifier`
    return {(module, room) for module, room in pairs if room in ROOMS and room != module.partition(".")[0]}


def functions() -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """All functions and methods, with what they are called in `LARGER`."""
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module_name(path)}.{node.name}", node


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many a caller gives."""
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([argument for argument in given if argument.arg not in ("self", "cls")])


def lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def sizes(of: str) -> dict[str, int]:
    """What a limit of `LIMITS` is about, by name."""
    if of == "modules a folder":
        modules = [path.relative_to(SOURCE) for path in MODULES if path.name != "__init__.py"]
        return dict(Counter(path.parent.as_posix() for path in modules if path.parts[0] != "cli"))
    if of == "lines a module":
        return {module_name(path): lines(path) for path in MODULES}
    if of == "lines a function":
        return {name: node.end_lineno - node.lineno + 1 for name, node in functions()}
    return {name: arguments(node) for name, node in functions()}


def test_every_folder_is_a_room_that_is_stated():
    assert set(rooms.rooms()) == ROOMS.keys() - {"runs"}, "state in ROOMS of what a new room may know"


def test_rooms_import_only_what_is_stated():
    for module, room in sorted(imports_of_rooms() - EXCEPTIONS.keys()):
        own = module.partition(".")[0]
        assert room in ROOMS.get(own, "").split(), (
            f"meddiff.{module} imports meddiff.{room}, which {own} must not know: move what is needed to a "
            "room below both, or state the import in ROOMS, or this one with its reason in EXCEPTIONS"
        )


def test_what_is_stated_is_so_and_leads_down():
    found = imports_of_rooms()
    imported = {(module.partition(".")[0], room) for module, room in found - EXCEPTIONS.keys()}
    order = list(ROOMS)
    for room, stated in ROOMS.items():
        for below in stated.split():
            assert order.index(below) < order.index(room), f"{room} imports {below}, which stands below it"
            assert (room, below) in imported, f"{room} imports {below} no more: strike it out of ROOMS"
    assert EXCEPTIONS.keys() <= found, "an import of EXCEPTIONS is no more: strike it out"


def test_the_method_imports_no_library_of_networks_and_says_nothing_of_one():
    for path in (SOURCE / "diffusion").rglob("*.py"):
        found = LIBRARIES.search(path.read_text(encoding="utf-8"))
        assert not found, f"{path.name}: {found[0]!r} belongs into meddiff/networks"


@pytest.mark.parametrize("of", LIMITS)
def test_nothing_is_large(of: str):
    larger = {name: size for name, size in sizes(of).items() if size > LIMITS[of] and name not in LARGER}
    assert not larger, f"at most {LIMITS[of]} {of}: divide it, or say why in LARGER"


def test_what_may_be_larger_is_so():
    larger = {name for of, limit in LIMITS.items() for name, size in sizes(of).items() if size > limit}
    assert LARGER.keys() <= larger, f"strike out of LARGER: {', '.join(LARGER.keys() - larger)}"


@pytest.mark.parametrize("files", LINES)
def test_parts_of_the_house_stay_small(files: str):
    count = sum(map(lines, ROOT.glob(files)))
    assert 0 < count <= LINES[files], f"{files}: {count} lines; shorten it, or say why it has to be longer"


def test_rules_hold_no_python_that_a_test_cannot_call():
    found = {
        path.name: set(re.findall(r"^ *def (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in [ROOT / "Snakefile", *sorted((ROOT / "workflow/rules").glob("*.smk"))]
    }
    assert {name: names for name, names in found.items() if names} == FUNCTIONS_IN_RULES, (
        "write it in meddiff/pipeline, with a test; or state in FUNCTIONS_IN_RULES what needs the workflow"
    )


def test_help_shows_few_commands_first():
    assert len(cli.OWN) <= COMMANDS_FOR_PEOPLE, "a command that rules call belongs into RULES"
