"""Every command of the documentation is one that its program takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from documented_commands import (
    PAGES,
    PROGRAMS,
    SHELLS,
    Command,
    begin_from_pool,
    commands,
    problem_with,
    write_examples,
)

ALL = [command for page in PAGES for command in commands(page)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("config")
    write_examples(folder)
    return folder


@pytest.fixture(scope="module")
def config_with_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pool")
    write_examples(folder)
    begin_from_pool(folder)
    return folder


@pytest.mark.parametrize("command", ALL, ids=str)
def test_a_documented_command_can_be_typed(command: Command, request: pytest.FixtureRequest) -> None:
    name = "config_with_pool" if "root_fundus_pool=" in command.line else "config"
    assert problem_with(command, request.getfixturevalue(name)) == ""


def test_there_are_commands_on_the_pages_for_beginners() -> None:
    for page in (
        "README.md",
        "docs/start.md",
        "docs/own-images.md",
        "docs/cluster.md",
        "docs/workstation.md",
    ):
        assert any(command.whole and command.page == page for command in ALL), page


@pytest.mark.parametrize("page", PAGES)
def test_no_command_hides_in_another_kind_of_block(page: str, root: Path) -> None:
    for token in MarkdownIt().parse((root / page).read_text(encoding="utf-8")):
        if token.type in ("fence", "code_block") and token.info not in SHELLS:
            programs = "|".join(PROGRAMS)
            found = re.search(rf"^(\w+/bin/\w+|({programs}) (?!=)).*", token.content, re.MULTILINE)
            assert not found, f"{page}: {found[0]!r} belongs into a block of bash"


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("docs/")])
def test_python_on_a_page_is_run_by_a_test(page: str, root: Path) -> None:
    tokens = MarkdownIt().parse((root / page).read_text(encoding="utf-8"))
    if any(token.type == "fence" and token.info == "python" for token in tokens):
        tests = [path.read_text(encoding="utf-8") for path in (root / "tests").rglob("test_*.py")]
        assert any(f'"{page}"' in text for text in tests), f"no test names {page}, which has blocks of Python"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("rm -rf /", "nobody checks commands of 'rm'"),
        ("meddiff trian", "there is no command 'trian'"),
        ("meddiff init folder", "the following arguments are required: --name"),
        ("python -m meddiff plan --teraflops 3", "unrecognized arguments: --teraflops 3"),
        ("python nothing.py", "there is no program"),
        ("make everything", "the Makefile has no 'everything'"),
        ("make bench BENCHMARKS=one", "the Makefile has no 'BENCHMARKS=one'"),
        ("snakemake --profiel slurm", "profiel"),
        ("snakemake --profile pbs", "there is no profile 'pbs'"),
        ("snakemake dataset", "there is no rule 'dataset'"),
        ("snakemake --set-resources score_shards:batch_size=3", "there is no rule 'score_shards'"),
        ("snakemake --config experiment=papier", "there is no"),
        ("snakemake --config root_chest=/path", "unknown key"),
        ("meddiff plan --config preset=best", "preset"),
        ("export MEDDIFF_ROOT_NOTHING=/path", "nothing reads the variable MEDDIFF_ROOT_NOTHING"),
        ("MEDDIFF_STATE=/x snakemake -n", "nothing reads the variable MEDDIFF_STATE"),
        ("srun --gpus=1 meddiff score", "the following arguments are required"),
        ("dvc pulls", "dvc does not take 'pulls'"),
        ("apptainer build meddiff.sif envs/none.def", "there is no envs/none.def"),
        ("docker run meddiff", "only images are built"),
        ("pandoc --citeproc nothing.md --output methods.docx", "no run writes nothing.md"),
        ("plan/bin/snakemake --profile pbs", "there is no profile 'pbs'"),
        ("git reset --hard", "git reset is not among"),
        ("pip install left_pad", "left_pad is not pinned"),
        ("squeue | xargs scancel", "does not run it"),
        ("make demo && make nothing", "the Makefile has no 'nothing'"),
    ],
)
def test_what_cannot_be_typed_is_found(line: str, problem: str, config: Path) -> None:
    assert problem in problem_with(Command("a page", line, whole=True), config)


def test_subcommands_may_be_named_in_running_text(config: Path) -> None:
    assert problem_with(Command("a page", "meddiff init", whole=False), config) == ""
    assert "required" in problem_with(Command("a page", "meddiff init", whole=True), config)
