"""How artifacts are found, what experiments have of them, and what the command says of wrong arguments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifact_samples import command_of, outputs_of
from meddiff.artifacts.artifact import Figure, Table, style_of
from meddiff.artifacts.lookup import Planned, code_of, load, names, planned
from meddiff.cli import main, parse
from meddiff.config import Config
from meddiff.config.schema.figure import FigureStyle
from meddiff.errors import ConfigError
from meddiff.pipeline.experiment import Experiment
from meddiff.provenance import SOURCE, code_files

OF_ALL = ["tables/classification", "tables/comparison", "tables/metrics", "figures/uncertainty"]
OF_SCORED = ["tables/efficiency", "figures/efficiency", "figures/method", "figures/step_ablation"]
OF_COUNTERFACTUALS = ["tables/counterfactuals", "figures/counterfactual_front"]
OF_AUDITS = ["tables/audit", "figures/audit"]


def experiment_of(root: Path, name: str, **figures: FigureStyle) -> Experiment:
    experiment = Experiment(Config({"experiment": name}, root / "config"))
    experiment.settings.figures.update(figures)
    return experiment


def artifacts_of(root: Path, name: str) -> dict[str, Planned]:
    """Where its files lie -> artifact."""
    return {one.stem: one for one in planned(experiment_of(root, name))}


def test_names_are_the_modules_in_the_folders() -> None:
    folders = {"tables": Table, "figures": Figure}
    found = {
        f"{folder}/{path.stem}"
        for folder in folders
        for path in (SOURCE / "artifacts" / folder).glob("*.py")
        if path.stem != "__init__"
    }
    assert set(names()) == found and len(names()) == len(found) >= 14
    for name in names():
        assert isinstance(load(name), folders[name.partition("/")[0]])


@pytest.mark.parametrize("name", names())
def test_every_artifact_says_what_it_is(name: str) -> None:
    artifact = load(name)
    assert artifact.message and "\n" not in artifact.message and not artifact.message.endswith(".")
    assert len(artifact.caption.split()) > 10 and artifact.caption.rstrip().endswith(".")
    assert max(map(len, artifact.caption.splitlines())) <= 110
    kind, _, stem = name.partition("/")
    files = {path.relative_to(SOURCE).as_posix() for path in code_files(code_of(name))}
    writer = "artifacts/render.py" if kind == "tables" else "artifacts/style.py"
    assert {f"artifacts/{kind}/{stem}.py", writer, "result_csv.py"} <= files
    others = [f"artifacts/{other}.py" for other in names() if other.startswith(f"{kind}/") and other != name]
    assert not files & {*others}, "an edit of another one would make it stale"


def test_an_unknown_name_lists_those_there_are(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(ConfigError, match=r"no artifact 'tables/nothing'; there are tables/audit, .*figures"):
        load("tables/nothing")
    with pytest.raises(SystemExit) as left:
        main(["artifact", "tables/nothing", "--params", "{}", "--out", "a", "b", "c"])
    assert left.value.code == 2 and "'tables/nothing'" in capsys.readouterr().err


def test_a_figure_of_the_experiments_file_that_is_none(root: Path) -> None:
    experiment = experiment_of(root, "demo", methode=FigureStyle())
    with pytest.raises(
        ConfigError, match=r"figures\.methode: there is no such figure; there are .*, method,"
    ):
        planned(experiment)


@pytest.mark.parametrize(
    ("name", "expected", "none"),
    [
        ("demo", [*OF_ALL, *OF_SCORED, *OF_COUNTERFACTUALS, "figures/counterfactuals_phantom_chest",
                  "figures/counterfactuals_phantom_skin"], [*OF_AUDITS, "tables/published"]),
        ("paper", [*OF_ALL, *OF_SCORED, *OF_COUNTERFACTUALS, *OF_AUDITS, "tables/published",
                   "figures/counterfactuals_chexpert", "figures/counterfactuals_isic"], []),
        ("shortcut", [*OF_ALL, *OF_SCORED, *OF_AUDITS], [*OF_COUNTERFACTUALS, "tables/published"]),
    ],
)  # fmt: skip
def test_experiments_have_what_makes_sense_there(
    root: Path, name: str, expected: list[str], none: list[str]
) -> None:
    found = artifacts_of(root, name)
    # There may be others: a new artifact has a test of its own.
    assert found.keys() >= {*expected} and not found.keys() & {*none}
    assert len({one.rule for one in found.values()}) == len(found)
    assert all(one.rule.isidentifier() for one in found.values())


def test_what_rules_take_of_an_artifact(root: Path) -> None:
    found = artifacts_of(root, "demo")
    table, rows = found["tables/comparison"], found["figures/counterfactuals_phantom_skin"]
    assert (table.rule, table.category) == ("make_comparison_table", "Tables")
    assert (rows.rule, rows.category) == ("plot_counterfactuals_phantom_skin", "Figures")
    assert rows.outputs("results/demo") == [
        f"results/demo/figures/counterfactuals_phantom_skin.{suffix}" for suffix in ("csv", "png", "pdf")
    ]
    # One file a run, in their order.
    settings = json.loads(table.params(None))
    words = table.inputs(None)
    assert words[:2] == ["--input", "predictions"]
    files = words[2 : words.index("--input", 1)]
    assert len(files) == len(settings["runs"]) == 2 * (2 + 3 * 2)
    for run, file in zip(settings["runs"], files, strict=True):
        assert f"/{run['dataset']}/{run['model']}/seed{run['seed']}/" in file
        assert file.endswith(f"/{run['decision']}.csv")
    assert table.artifact.settings.model_validate(settings) == table.wanted.settings
    assert table.caption(None) == load("tables/comparison").caption


def test_the_picture_of_the_method_is_of_the_last_model_in_pixels(root: Path) -> None:
    method = artifacts_of(root, "demo")["figures/method"]  # the model after it works in a latent space
    store = "data/phantom_chest/store/32"
    assert method.wanted.files == {
        "errors": ["results/demo/phantom_chest/tiny_unet/seed0/votes0/errors.nc"],
        "manifest": [f"{store}/manifest.json"],
    }
    assert list(method.wanted.behind) == [f"{store}/test.npy"]
    assert method.wanted.settings.style == FigureStyle(width=9.0, height=4.7)


def test_style_of_a_figure_is_that_of_the_file_over_its_own(root: Path) -> None:
    own = FigureStyle(width=9, height=4.7)
    experiment = experiment_of(root, "demo", method=FigureStyle(height=3, colors=["black", "red"]))
    merged = style_of(experiment, "method", own)
    assert merged == FigureStyle(width=9, height=3, colors=["black", "red"])
    usual = experiment_of(root, "demo", method=FigureStyle(width=6.4))  # said, though it is the default
    assert style_of(usual, "method", own) == FigureStyle(width=6.4, height=4.7)
    assert style_of(experiment, "audit", own) == own and style_of(experiment, "audit") == FigureStyle()
    styles = {one.name: one.wanted.settings.style for one in planned(experiment) if "figures" in one.name}
    assert styles["figures/method"] == merged
    assert styles["figures/step_ablation"] == FigureStyle()


def test_a_size_that_is_impossible_together_names_the_figure(root: Path) -> None:
    experiment = experiment_of(root, "demo", method=FigureStyle(dpi=2400))  # possible at the usual size
    with pytest.raises(ConfigError, match=r"figures\.method: .*9 x 4.7 inches at 2400 dpi .*smaller"):
        planned(experiment)


def test_the_command_says_which_input_is_missing_or_wrong(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for stem, one in artifacts_of(root, "paper").items():
        params, given_files = json.loads(one.params(None)), dict(one.wanted.files)
        if stem == "figures/method":
            continue  # it reads one file before it asks for the other; see its own test
        for name, files in given_files.items():
            others = {key: value for key, value in given_files.items() if key != name}
            caplog.clear()
            assert main(command_of(one.name, params, tmp_path, **others)) == 1, stem
            assert f"--input {name}: missing; given are {', '.join(others) or 'none'}" in caplog.text
            caplog.clear()
            assert main(command_of(one.name, params, tmp_path, **{name: [*files, "x"]}, **others)) == 1
            assert f"--input {name}: got {len(files) + 1} files" in caplog.text, stem
    assert not list(tmp_path.iterdir())


def test_inputs_of_one_name_add_up(tmp_path: Path) -> None:
    words = command_of("tables/metrics", {}, tmp_path, metrics=["a.csv", "b.csv"])
    at = words.index("--out")
    module, args = parse([*words[:at], "--input", "metrics", "c.csv", *words[at:]])
    files = module.files(args)
    assert files.inputs == [Path("a.csv"), Path("b.csv"), Path("c.csv")]
    assert files.outputs == outputs_of("tables/metrics", tmp_path)
