"""The rooms of the package and what they import of each other, as the picture in ARCHITECTURE.md shows it.

A room is a folder of the package; modules beside the rooms are at hand everywhere and not drawn.
``python docs/rooms.py`` (or ``make rooms``) writes picture and table into the page, between two marks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "workflow" / "src" / "meddiff"
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- rooms: made by `make rooms` -->", "<!-- end -->"

Imports = Mapping[str, set[str]]


def rooms() -> list[str]:
    """Names of the rooms, in order of the alphabet."""
    return sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def imports_between_rooms() -> dict[str, set[str]]:
    """Room -> rooms that its modules import, also in functions, but for those that only type hints use."""
    found = rooms()
    imports = {}
    for room in found:
        trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / room).rglob("*.py")]
        imports[room] = {name for tree in trees for name in imported(tree) if name in found} - {room}
    return imports


def imported(tree: ast.AST) -> Iterator[str]:
    """What follows ``meddiff.`` in the imports below a node, but for those that only type hints use."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        parts = [name.split(".") for name in names]
        yield from (part[1] for part in parts if part[0] == PACKAGE.name and len(part) > 1)
        yield from imported(node)


def order(imports: Imports) -> list[str]:
    """The rooms, each before those that it imports.

    Raises:
        ValueError: if rooms import each other in a circle.
    """
    left, done = dict(imports), []
    while left:
        free = [room for room in left if not any(room in of for of in left.values())]
        if not free:
            raise ValueError(f"these rooms import each other in a circle: {', '.join(_circle(left))}")
        done += free
        left = {room: of for room, of in left.items() if room not in free}
    return done


def _circle(imports: Imports) -> list[str]:
    """Rooms that import each other, from a graph in which every room is imported."""
    path = [next(iter(imports))]
    while (importer := next(room for room, of in imports.items() if path[-1] in of)) not in path:
        path.append(importer)
    return [importer, *reversed(path[path.index(importer) :])]


def reachable(imports: Imports, room: str) -> set[str]:
    """All rooms that `room` depends on."""
    return imports[room].union(*(reachable(imports, other) for other in imports[room]))


def reduced(imports: Imports) -> dict[str, set[str]]:
    """`imports` without those that follow from others (the transitive reduction)."""
    further = {room: set().union(*(reachable(imports, other) for other in imports[room])) for room in imports}
    return {room: imports[room] - further[room] for room in imports}


def block() -> str:
    """The text between the marks: a picture (Mermaid), and a table of the rooms."""
    imports = imports_between_rooms()
    in_order, drawn = order(imports), reduced(imports)
    arrows = [f"  {room} --> {other}" for room in in_order for other in sorted(drawn[room])]
    rows = [
        f"| `{room}/` | {_purpose(room)} | {', '.join(sorted(imports[room])) or '–'} |" for room in in_order
    ]
    head = ["| room | what lives there | imports |", "|---|---|---|"]
    return "\n".join(["```mermaid", "flowchart TD", *arrows, "```", "", *head, *rows])


def _purpose(room: str) -> str:
    """The first line of the room's docstring."""
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")))
    return (docstring or "").partition("\n")[0]


def with_block(page: str) -> str:
    """`page` with what belongs between the marks.

    Raises:
        ValueError: if it has not both marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{PAGE.name}: expected the marks {BEGIN!r} and {END!r}")
    return f"{before}{BEGIN}\n{block()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_block(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
