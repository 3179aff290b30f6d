"""What starting a command imports: a job of one second must not spend three on libraries it does not use."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

from meddiff import cli
from meddiff.artifacts.lookup import names
from meddiff.provenance import SOURCE, code_files

NETWORKS = {
    "approve",
    "classify",
    "convert",
    "explain",
    "export",
    "generate",
    "gradcam",
    "localise",
    "plan",
    "predict",
    "score",
    "select",
    "train",
    "zeroshot",
}
ERRORS = {"cases", "decide", "gather", "profile", "rules", "vote"}  # read or write errors files
HEAVY = ["torch", "torchvision", "diffusers", "transformers", "timm", "accelerate", "sklearn", "scipy.stats"]


_PRINTS = """
import argparse, sys, types
from meddiff import cli
cli.parse = lambda argv: (types.SimpleNamespace(run=lambda args: print("an answer")), argparse.Namespace())
sys.exit(cli.main(["classify"]))
"""


def test_a_reader_that_has_gone_ends_a_command_without_a_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", _PRINTS], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def imports_of(command: str) -> list[str]:
    """All import statements of a command, also those inside its functions."""
    tree = ast.parse((SOURCE / f"cli/{command}.py").read_text(encoding="utf-8"))
    found = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return [line for line in found if "__future__" not in line]


def loaded_after(*parts: list[str]) -> list[set[str]]:
    """Modules that a fresh interpreter has loaded after each of some lists of statements."""
    report = "print(json.dumps(sorted(sys.modules)))"
    lines = ["import json, sys", *(line for part in parts for line in [*part, report])]
    output = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], check=True, text=True, stdout=subprocess.PIPE
    ).stdout
    return [set(json.loads(line)) for line in output.splitlines()]


def test_commands_without_networks_import_nothing_heavy() -> None:
    light = cli.COMMANDS.keys() - NETWORKS - ERRORS
    parts = [[line for name in sorted(names) for line in imports_of(name)] for names in (light, ERRORS)]
    few, with_errors = loaded_after(*parts)
    assert {"pandas", "yaml"} <= few and "xarray" in with_errors
    assert not few & {*HEAVY, "matplotlib", "xarray"}
    assert not with_errors & {*HEAVY, "matplotlib"}


def test_planning_imports_nothing_heavy_and_drawing_only_matplotlib(root: Path) -> None:
    rules = "\n".join(path.read_text() for path in (root / "workflow/rules").glob("*.smk"))
    found = re.findall(r"^from meddiff[\w.]* import (?:\([^)]*\)|.*$)", rules, re.MULTILINE)
    imports = sorted({" ".join(line.split()) for line in found})
    assert "from meddiff.artifacts.lookup import planned" in imports
    plan = [
        "from pathlib import Path",
        f"planned(Experiment(Config({{'experiment': 'paper'}}, Path({str(root / 'config')!r}))))",
    ]
    draw = ["from meddiff.artifacts import style", "style.blank(1, 1)"]
    planning, drawing = loaded_after([*imports, *plan], draw)
    assert {f"meddiff.artifacts.{name.replace('/', '.')}" for name in names()} <= planning
    assert not planning & {*HEAVY, "matplotlib", "xarray"}
    assert "matplotlib" in drawing and not drawing & {*HEAVY, "matplotlib.pyplot"}


def test_using_a_model_does_not_depend_on_how_it_is_trained() -> None:
    uses = ("models.trained", "explaining.feature_network", "scoring.run", "explaining.run")
    files = {path.relative_to(SOURCE).as_posix() for path in code_files(f"meddiff.{name}" for name in uses)}
    assert {"models/trained.py", "scoring/run.py"} <= files
    assert not [name for name in files if name.startswith("training/")]
