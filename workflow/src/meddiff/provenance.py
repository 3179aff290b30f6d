"""What a result was made from: package code, software versions, device."""

from __future__ import annotations

import ast
import hashlib
import platform
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGE = "meddiff"
SOURCE = Path(__file__).parent

# Modules that cannot change a result by themselves: editing them must not make one stale. Configuration
# and what rules take of it are among them because values reach every rule as params, which are tracked.
NEUTRAL = (
    "meddiff.config",
    "meddiff.errors",
    "meddiff.format_version",
    "meddiff.io",
    "meddiff.pipeline",
    "meddiff.progress",
    "meddiff.provenance",
    "meddiff.records",
)

_DISTRIBUTIONS = ("meddiff", "torch", "diffusers", "timm", "accelerate", "numpy")


def code_files(modules: Iterable[str]) -> list[Path]:
    """Source files that define what `modules` compute: themselves and all they import of the package.

    Follows ``import`` statements anywhere in a file (also inside functions) and leaves out `NEUTRAL`.

    Args:
        modules: dotted names, e.g. ``meddiff.training.trainer``.

    Returns:
        Sorted absolute paths.

    Raises:
        ModuleNotFoundError: if one is not a module of this package.
    """
    waiting, seen = list(modules), set()
    while waiting:
        module = waiting.pop()
        if module not in seen and not _is_neutral(module):
            seen.add(module)
            waiting.extend(_imports(module))
    return sorted(_path(module) for module in seen)


def code_hashes(modules: Iterable[str]) -> dict[str, str]:
    """Source file, relative to the package -> SHA-256, of `code_files`."""
    files = code_files(modules)
    return {p.relative_to(SOURCE).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def code_hash(modules: Iterable[str]) -> str:
    """SHA-256 over the names and contents of `code_files`."""
    digest = hashlib.sha256()
    for path in code_files(modules):
        digest.update(f"{path.relative_to(SOURCE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment() -> dict[str, Any]:
    """Versions of Python, the platform and the libraries that do the arithmetic."""
    versions = {name: _version(name) for name in _DISTRIBUTIONS}
    return {"python": platform.python_version(), "platform": platform.platform(), "versions": versions}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


@cache
def _imports(module: str) -> frozenset[str]:
    found = set()
    for node in _statements(ast.parse(_path(module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import module` and `from module import name` look alike.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(n for n in names if n.split(".")[0] == PACKAGE and _exists(n))
    return frozenset(found)


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements below `node`. Expressions are most of a tree, and hold no import."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        below = getattr(node, part, ())
        for statement in below if isinstance(below, list) else ():
            yield statement
            yield from _statements(statement)


def _is_neutral(module: str) -> bool:
    return module == PACKAGE or any(module == name or module.startswith(f"{name}.") for name in NEUTRAL)


def _exists(module: str) -> bool:
    try:
        _path(module)
    except ModuleNotFoundError:
        return False
    return True


def _path(module: str) -> Path:
    base = SOURCE.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if module.split(".")[0] == PACKAGE and path.is_file():
            return path
    raise ModuleNotFoundError(f"{module} is not a module of {PACKAGE}")
