"""The command line: one command a module, errors without traceback."""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import tomllib

import pytest

from meddiff import cli
from meddiff.cli.params import require
from meddiff.errors import ConfigError, MeddiffError
from meddiff.provenance import SOURCE


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_its_parts_and_help(command, capsys):
    module = importlib.import_module(f"meddiff.cli.{command}")
    assert module.__doc__ and callable(module.run)
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert f"python -m meddiff {command}" in capsys.readouterr().out


def test_every_module_is_a_command():
    helpers = {"__init__", "params"}
    assert {path.stem for path in (SOURCE / "cli").glob("*.py")} - helpers == set(cli.COMMANDS)


@pytest.mark.parametrize("arguments", [[], ["trian"], ["trian", "--help"]])
def test_unknown_command_lists_the_known(arguments, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert "command" in error and (not arguments or "'trian'" in error)


def test_help_lists_all_commands(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text for name in cli.COMMANDS)
    own, rules = text.split("commands that rules call")
    assert all(f"  {name} " in own for name in cli.OWN) and all(f"  {name} " in rules for name in cli.RULES)


def test_the_installed_command_says_its_own_name(root, monkeypatch, capsys):
    scripts = tomllib.loads((root / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, name = scripts["meddiff"].partition(":")
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/meddiff", "train", "--help"])
    with pytest.raises(SystemExit):
        getattr(importlib.import_module(module), name)()
    assert capsys.readouterr().out.startswith("usage: meddiff train ")


@pytest.fixture
def command(monkeypatch):
    """Make ``schemas`` raise what the test wants."""

    def install(error: Exception) -> None:
        module = importlib.import_module("meddiff.cli.schemas")

        def run(args: argparse.Namespace) -> None:
            raise error

        monkeypatch.setattr(module, "run", run)

    return install


def test_error_of_the_user_is_a_message_and_exit_code_1(command, caplog):
    command(ConfigError("config/x.yaml: colour: unknown key"))
    assert cli.main(["schemas"]) == 1
    (record,) = caplog.records
    assert record.getMessage() == "config/x.yaml: colour: unknown key"
    assert record.levelno == logging.ERROR and record.exc_info is None


def test_bug_keeps_its_traceback(command):
    command(KeyError("bug"))
    with pytest.raises(KeyError):
        cli.main(["schemas"])


def test_params_must_be_exactly_the_known_ones():
    assert require({"b": 2, "a": 1}, "a", "b") == [1, 2]
    with pytest.raises(ConfigError, match=r"missing keys \['b'\], unknown keys \['c'\]"):
        require({"a": 1, "c": 3}, "a", "b")


def test_params_must_be_json(capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "--params", "{oops", "--store", "s", "--out", "o"])
    assert "--params" in capsys.readouterr().err


SCORE = ["score", "--weights", "w", "--store", "s", "--out", "o", "--params"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["plan", "--tflops", "nan"], "--tflops: expected a finite number above 0, got 'nan'"),
        (["plan", "--tflops", "inf"], "--tflops: expected a finite number above 0, got 'inf'"),
        (["plan", "--tflops", "-3"], "--tflops: expected"),
        (["plan", "--tflops", "fast"], "--tflops: expected a finite number above 0, got 'fast'"),
        (["plan", "--training-factor", "nan"], "--training-factor: expected a finite number"),
        (["plan", "--gpus", "0"], "--gpus: expected a whole number, at least 1, got '0'"),
        ([*SCORE, "{}", "--threads", "-1"], "--threads: expected"),
        (
            [*SCORE, "{}", "--batch-size", "1.5"],
            "--batch-size: expected a whole number, at least 0, got '1.5'",
        ),
        ([*SCORE, "[]"], "--params: expected a JSON object"),
        ([*SCORE, '{"steps": NaN}'], "--params: not valid JSON: NaN is no number of JSON"),
        ([*SCORE, '{"steps": 1, "steps": 2}'], "--params: not valid JSON: a key stands twice"),
        ([*SCORE, "[" * 100_000], "--params: not valid JSON"),
    ],
)
def test_arguments_that_cannot_be_right(arguments, reason, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert f"argument {reason}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"seed": -1}, "--params: seed: expected a whole number from 0"),
        ({"seed": True}, "--params: seed: expected a whole number from 0"),
        ({"steps": 10**9}, "--params: steps: Input should be less than or equal to 100000"),
        ({"precision": "fp8"}, "--params: precision: Input should be 'fp32', 'fp16' or 'bf16'"),
        ({"stopping": {"kind": "sequential"}}, "--params: stopping: Value error, delta is needed"),
    ],
)
def test_params_of_scoring_that_cannot_be_right(changes, reason, caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = {"seed": 0, "steps": 3, "noise_levels": "uniform", "precision": "fp32", **changes}
    assert cli.main([*SCORE, json.dumps(params)]) == 1
    assert reason in caplog.text


def test_compute_that_cannot_be_right(caplog, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = {"seed": 0, "steps": 3, "noise_levels": "uniform", "precision": "fp32"}
    assert cli.main([*SCORE, json.dumps(params), "--compute", '{"tf32": 1}']) == 1
    assert "--compute: tf32: Input should be a valid boolean" in caplog.text


def test_all_errors_have_one_base():
    errors = importlib.import_module("meddiff.errors")
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert len(classes) >= 4 and all(issubclass(value, MeddiffError) for value in classes)
