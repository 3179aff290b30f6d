"""Which code a result depends on, and which modules stay light."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from meddiff import provenance
from meddiff.models.kinds import network_module, task_module
from meddiff.provenance import NEUTRAL, SOURCE, code_files, code_hash, environment
from meddiff.records.chain import Link
from meddiff.records.show import as_text

# Importing these must not import torch: they run on the login node, for every rule and every target.
LIGHT = ("artifacts", "cli", "config", "data", "evaluate", "pipeline", "records", "sharing")
LIGHT += ("checksums", "csv_text", "errors", "io", "progress", "provenance", "result_csv", "runs")
LIGHT += ("sealed_file", "signals", "state_folder", "text")
LIGHT_FILES = ("diffusion.level_weights", "diffusion.stopping", "diffusion.vote", "models.kinds")
LIGHT_FILES += ("models.spec", "scoring.error_file", "scoring.shards", "training.inputs")
LIGHT_FILES += ("weights.approval", "weights.keeping", "weights.pretrained", "weights.released")
HEAVY = ("meddiff.data.stores.augment",)


def modules() -> list[str]:
    """Every module of the package."""
    dotted = (path.relative_to(SOURCE.parent).with_suffix("") for path in SOURCE.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in dotted)


def names(*of: str) -> set[str]:
    return {path.relative_to(SOURCE).as_posix() for path in code_files(of)}


def training(kind: str) -> set[str]:
    return names("meddiff.training.trainer", network_module(kind), task_module(kind))


def test_training_of_a_unet_depends_on_its_own_modules_only():
    files = training("unet")
    assert {
        "training/trainer.py",
        "training/ema.py",
        "training/optim.py",
        "models/checkpoint.py",
        "diffusion/pixels.py",
    } <= files
    assert {f"diffusion/{n}.py" for n in ("objective", "noise", "vote", "haar")} <= files
    assert {"networks/unet.py", "scoring/score.py"} <= files
    others = {
        "networks/classifier.py",
        "networks/dit.py",
        "training/run.py",
        "scoring/run.py",
        "models/kinds.py",
    }
    assert not files & {*others, "models/kinds.py"}
    assert not any(name.startswith(("evaluate/", "cli/")) for name in files)


def test_networks_do_not_depend_on_each_other():
    assert "networks/unet.py" not in training("dit")
    assert "networks/dit.py" in training("dit")
    assert not any(
        name.startswith("diffusion/") and name not in ("diffusion/noise.py", "diffusion/pixels.py")
        for name in training("timm")
    )


def test_scoring_does_not_depend_on_training():
    files = names("meddiff.scoring.score", "meddiff.networks.unet")
    assert not files & {
        "training/trainer.py",
        "training/optim.py",
        "training/ema.py",
        "diffusion/objective.py",
        "diffusion/vote.py",
    }


def test_neutral_modules_are_left_out_everywhere():
    neutral = {name.removeprefix("meddiff.").replace(".", "/") for name in NEUTRAL}
    for name in modules():
        assert not any(Path(file).with_suffix("").parts[0] in neutral for file in names(name)), name


def test_neutral_modules_exist():
    assert set(NEUTRAL) <= set(modules())


def test_unknown_module():
    with pytest.raises(ModuleNotFoundError, match="not a module of meddiff"):
        code_files(["meddiff.trian"])
    with pytest.raises(ModuleNotFoundError):
        code_files(["numpy"])


@pytest.fixture
def copy(tmp_path, monkeypatch) -> Path:
    """A copy of the package that `provenance` looks at, to be edited."""
    source = tmp_path / "meddiff"
    shutil.copytree(SOURCE, source, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "SOURCE", source)
    provenance._imports.cache_clear()
    yield source
    provenance._imports.cache_clear()


def test_hash_changes_with_the_files_it_names_only(copy):
    parts = ["meddiff.training.trainer", "meddiff.networks.unet", "meddiff.training.tasks.diffusion"]
    before = code_hash(parts)
    assert code_hash(reversed(parts)) == before
    used = names_in(copy, parts)
    for path in sorted(copy.rglob("*.py")):
        relative, text = path.relative_to(copy).as_posix(), path.read_text()
        path.write_text(text + "# edited\n")
        assert (code_hash(parts) != before) == (relative in used), relative
        path.write_text(text)
    assert code_hash(parts) == before


def names_in(source: Path, of: list[str]) -> set[str]:
    return {path.relative_to(source).as_posix() for path in code_files(of)}


def test_imports_count_wherever_a_statement_can_be():
    text = """
try:
    import a
except ValueError:
    import b
else:
    import c
finally:
    import d
match x:
    case 1:
        import e
for _ in x:
    with y:
        async def f():
            class G:
                if z: import g
                elif w: import h
                else: import i
"""
    nodes = [node for node in provenance._statements(ast.parse(text)) if isinstance(node, ast.Import)]
    assert "".join(node.names[0].name for node in nodes) == "acdbeghi"


def test_imports_inside_functions_count(copy):
    (copy / "extra.py").write_text(
        "def f():\n    from meddiff.diffusion import haar\n    import meddiff.training.optim\n"
    )
    assert names_in(copy, ["meddiff.extra"]) == {
        "diffusion/__init__.py",
        "diffusion/haar.py",
        "extra.py",
        "training/optim.py",
    }


def test_hash_does_not_depend_on_the_place(copy):
    parts = ["meddiff.scoring.score"]
    elsewhere = code_hash(parts)
    provenance._imports.cache_clear()
    provenance.SOURCE = SOURCE
    assert code_hash(parts) == elsewhere


def test_environment_names_versions_and_no_place():
    record = environment()
    assert record["versions"]["torch"][0].isdigit() and record["versions"]["meddiff"] != "not installed"
    assert str(Path.home()) not in str(record)


CHECK = """
import importlib, sys
light, heavy = sys.argv[1].split(","), sys.argv[2].split(",")
for name in light:
    importlib.import_module(name)
    assert "torch" not in sys.modules, f"{name} imports torch"
for name in heavy:
    importlib.import_module(name)
"""


def test_every_module_is_importable_and_light_ones_do_not_import_torch():
    """All the tests' light modules first, in one fresh process, then the rest."""
    every = [name for name in modules() if name != "meddiff.__main__"]
    prefixes = tuple(f"meddiff.{part}" for part in LIGHT)
    light = [
        name
        for name in every
        if name not in HEAVY
        and (name.startswith(prefixes) or name in {f"meddiff.{file}" for file in LIGHT_FILES})
    ]
    heavy = sorted(set(every) - set(light))
    assert len(light) > 40 and len(heavy) > 10
    done = subprocess.run(
        [sys.executable, "-c", CHECK, ",".join(light), ",".join(heavy)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_chain_is_printed_with_times_in_fitting_units_and_its_verdict_at_the_end():
    versions = {"versions": {"torch": "2"}, "python": "3", "platform": "Linux", "device": "cpu"}
    links = [
        Link(
            [f"{name}.csv"],
            {
                **{"command": name, "wall_hours": hours, "gpu_hours": 0.0, **versions},
                "outputs": {f"{name}.csv": {"sha256": "a" * 64}},
            },
            absent=[f"{name}.csv"] if hours == 2 else [],
        )
        for name, hours in (("quick", 0.0005), ("slow", 0.5), ("gone", 2))
    ]
    tree, made, found = as_text(links).split("\n\n")
    assert [line.partition(", ")[2][:8] for line in tree.splitlines()] == ["1.8 s on", "30.0 min", "2.00 h o"]
    assert made.startswith("MADE BY\n3 jobs on cpu") and "2.50 h on the clock" in made
    assert found.splitlines()[0] == "VERDICT" and '"not here": deleted' in found
    assert found.endswith("The chain holds (1 file is not here).")
    assert "not here" not in as_text(links[:2])
