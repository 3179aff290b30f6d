"""The commands of the documentation, and what has to be true of each: its program's own parser takes it.

Every line of a ``bash`` block of a page is looked at, and every command between backticks. `problem_with`
says what is wrong with one, and a program that it does not know is a problem, so nothing is left out.
"""

from __future__ import annotations

import argparse
import io
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from markdown_it import MarkdownIt

from meddiff import cli
from meddiff.config import Config, top_level
from meddiff.errors import MeddiffError

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [
        *("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "config/README.md"),
        *("splits/README.md", "benchmarks/README.md"),
        *(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")),
    ]
)
SHELLS = ("bash", "sh", "console", "shell")
# What a reader puts in -> what stands in for it here.
STAND_INS = {
    "experiment=NAME": "experiment=nih_cxr",
    "<dataset>": "nih_cxr",
    "<name>": "nih_cxr",
    "eyes": "nih_cxr",
}
# A line with a pipe has to stand word for word in a test that runs it.
RUN_BY = ROOT / "tests/slurm/test_slurm_disturbed.py"
ACTIVATE = "source .venv/bin/activate"
GIT = {"add", "commit", "push", "pull", "clone"}


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Attributes:
        page: where it stands.
        line: as it stands there, continued lines joined.
        whole: whether it is to be typed as it stands (a line of a block); between backticks a program and a
            subcommand may be just named.
    """

    page: str
    line: str
    whole: bool

    def __str__(self) -> str:
        return f"{self.page}: {self.line}"


class Refused(Exception):
    """A program's parser does not take a command; the message says why."""


EXAMPLE = re.compile(r"`config/((?:datasets|models|experiments)/\w+\.yaml)`[^`]*```yaml\n(.*?)```", re.DOTALL)
BEGUN_FROM = re.compile(
    r"^```yaml\n(pretrained: \{dataset: fundus_pool\}\n.*?)^```", re.DOTALL | re.MULTILINE
)


def write_examples(folder: Path) -> list[str]:
    """A configuration folder with the project's files and the documented examples beside them.

    Returns:
        Names of the examples. The model that begins from a pretraining is ``small_unet``, as the page says.
    """
    for part in ("datasets", "models", "experiments"):
        (folder / part).mkdir()
        for file in (ROOT / "config" / part).glob("*.yaml"):
            (folder / part / file.name).write_bytes(file.read_bytes())
    for name in ("config.yaml", "published.yaml"):
        (folder / name).write_bytes((ROOT / "config" / name).read_bytes())
    found = EXAMPLE.findall((ROOT / "config/README.md").read_text(encoding="utf-8"))
    for name, text in found:
        assert not (folder / name).exists(), f"{name} is an example and a file of the project"
        (folder / name).write_text(text, encoding="utf-8")
    return [name for name, _ in found]


def begin_from_pool(folder: Path) -> None:
    """Write the documented lines on pretraining into the model of the examples."""
    (lines,) = BEGUN_FROM.findall((ROOT / "config/README.md").read_text(encoding="utf-8"))
    model, further = folder / "models/small_unet.yaml", yaml.safe_load(lines)
    document = yaml.safe_load(model.read_text(encoding="utf-8"))
    document["datasets"] |= further.pop("datasets")
    model.write_text(yaml.safe_dump({**document, **further}), encoding="utf-8")


def commands(page: str) -> Iterator[Command]:
    """All commands of a page, in order."""
    for token in MarkdownIt().parse((ROOT / page).read_text(encoding="utf-8")):
        if token.type == "fence" and token.info.split()[:1] and token.info.split()[0] in SHELLS:
            for line in token.content.replace("\\\n", " ").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield Command(page, line.strip(), whole=True)
        for child in token.children or ():
            if (
                child.type == "code_inline"
                and child.content.partition(" ")[0] in PROGRAMS
                and " " in child.content
            ):
                yield Command(page, child.content, whole=False)


def problem_with(command: Command, config: Path) -> str:
    """What is wrong with a command, or nothing.

    Args:
        command: of a page.
        config: a folder like ``config``, with the documented examples in it.
    """
    if " | " in command.line:
        return "" if command.line in RUN_BY.read_text(encoding="utf-8") else f"{RUN_BY.name} does not run it"
    try:
        for part in re.split(r" && | ; ", command.line):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                _check_variable(words.pop(0), config)
            if words and " ".join(words) != ACTIVATE:
                _check(words, command.whole, config)
    except (Refused, MeddiffError) as error:
        return str(error)
    return ""


def _check(words: list[str], whole: bool, config: Path) -> None:
    program, *arguments = words
    if re.fullmatch(r"\w+/bin/\w+", program):  # of an environment that the page has made
        program = program.rpartition("/")[2]
    if program not in PROGRAMS:
        raise Refused(f"nobody checks commands of {program!r}: tests/documented_commands.py")
    PROGRAMS[program](arguments, whole, config)


def _meddiff(arguments: list[str], whole: bool, config: Path) -> None:
    if not arguments or arguments[0] == "<command>" or arguments == ["--help"]:
        return
    if arguments[0] not in cli.COMMANDS:
        raise Refused(f"there is no command {arguments[0]!r}")
    if arguments[1:] == ["--help"] or (len(arguments) == 1 and not whole):
        return
    args = _parsed(lambda: cli.parse(arguments)[1])
    if isinstance(entries := getattr(args, "config", None), list):
        _check_config(entries, config)


def _snakemake(arguments: list[str], whole: bool, config: Path) -> None:
    profile = ""
    if "--profile" in arguments:  # which Snakemake reads before anything else
        at = arguments.index("--profile")
        profile = arguments[at + 1]
        arguments = [*arguments[:at], *arguments[at + 2 :]]
    args = _parsed(lambda: _snakemake_parser().parse_args(arguments))
    for target in args.targets:
        if target not in _rules() and target.split("/")[0] not in ("results", "data", "splits"):
            raise Refused(f"there is no rule {target!r}")
    if profile and not (ROOT / profile / "config.yaml").is_file():
        raise Refused(f"there is no profile {profile!r}")
    named = [*(args.set_resources or {}), *(args.set_threads or {}), *(args.forcerun or ())]
    if unknown := set(named) - _rules():
        raise Refused(f"there is no rule {min(unknown)!r}")
    entries = (
        args.config if isinstance(args.config, list) else [f"{k}={v}" for k, v in (args.config or {}).items()]
    )
    default = ROOT / ("slurm/experiment.yaml" if profile == "slurm" else "config/config.yaml")
    if not any(entry.startswith("experiment=") for entry in entries):
        entries = [f"experiment={yaml.safe_load(default.read_text())['experiment']}", *entries]
    _check_config(entries, config)


def _check_config(entries: list[str], config: Path) -> None:
    """Read the experiment as the workflow would, with these entries of ``--config``."""
    for word, stand_in in STAND_INS.items():
        entries = [entry.replace(word, stand_in) for entry in entries]
    _configured(tuple(entries), config)


@cache
def _configured(entries: tuple[str, ...], config: Path) -> None:
    Config(top_level(entries, config), config)


def _make(arguments: list[str], whole: bool, config: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for word in arguments:
        name, is_variable, _ = word.partition("=")
        if (f"$({name})" not in makefile) if is_variable else (word not in targets):
            raise Refused(f"the Makefile has no {word!r}")


def _python(arguments: list[str], whole: bool, config: Path) -> None:
    if arguments[:2] == ["-m", "meddiff"]:
        _meddiff(arguments[2:], whole, config)
    elif arguments[:2] == ["-m", "venv"]:
        return
    elif not arguments[0].endswith(".py") or not (ROOT / arguments[0]).is_file():
        raise Refused(f"there is no program {arguments[0]!r}")


def _export(arguments: list[str], whole: bool, config: Path) -> None:
    for assignment in arguments:
        _check_variable(assignment, config)


def _check_variable(assignment: str, config: Path) -> None:
    """An environment variable has to be one that something reads."""
    name = assignment.partition("=")[0]
    dataset = name.removeprefix("MEDDIFF_ROOT_").lower()
    if dataset != name.lower() and (config / f"datasets/{dataset}.yaml").is_file():
        return
    suffix = name.removeprefix("MEDDIFF_SLURM_")
    if f'site("{suffix}"' in (ROOT / "slurm/config.yaml").read_text(encoding="utf-8"):
        return
    if not re.search(rf"\b{re.escape(name)}\b", _sources()):
        raise Refused(f"nothing reads the variable {name}")


@cache
def _sources() -> str:
    """The text of the whole package."""
    return "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow/src").rglob("*.py"))


def _srun(arguments: list[str], whole: bool, config: Path) -> None:
    while arguments and arguments[0].startswith("--"):
        arguments = arguments[1:]
    _check(arguments, whole, config)


def _dvc(arguments: list[str], whole: bool, config: Path) -> None:
    from dvc.cli import DvcParserError
    from dvc.cli.parser import get_main_parser

    try:
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
            get_main_parser().parse_args(arguments)
    except DvcParserError:
        raise Refused(f"dvc does not take {' '.join(arguments)!r}") from None


def _git(arguments: list[str], whole: bool, config: Path) -> None:
    if arguments[0] not in GIT:
        raise Refused(f"git {arguments[0]} is not among those that the documentation needs")


def _pip(arguments: list[str], whole: bool, config: Path) -> None:
    """Only files of pins, and extras of what is pinned."""
    if arguments[0] == "install" and arguments[1] in ("-r", "--requirement"):
        if not (ROOT / arguments[2]).is_file():
            raise Refused(f"there is no {arguments[2]}")
        return
    pins = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "envs").glob("*.txt"))
    for package in arguments[1:]:
        if not re.search(rf"^{re.escape(package.partition('[')[0])}(\[\w+\])?==", pins, re.MULTILINE):
            raise Refused(f"{package} is not pinned in envs/")


def _build_image(arguments: list[str], whole: bool, config: Path) -> None:
    """``apptainer build IMAGE FILE``, ``docker build --file FILE --tag NAME FOLDER``."""
    if arguments[0] != "build":
        raise Refused(f"only images are built, not: {arguments[0]}")
    files = [word for word in arguments if "/" in word or word == arguments[-1]]
    if missing := [file for file in files if not (ROOT / file).exists()]:
        raise Refused(f"there is no {missing[0]}")


def _pandoc(arguments: list[str], whole: bool, config: Path) -> None:
    """What Pandoc reads is what a run writes."""
    read = [word for word, before in zip(arguments, ["", *arguments], strict=False) if before != "--output"]
    for word in read:
        if not word.startswith("--") and f'"{word}"' not in _sources():
            raise Refused(f"no run writes {word}")


def _tensorboard(arguments: list[str], whole: bool, config: Path) -> None:
    if arguments != ["--logdir", "logs"]:
        raise Refused("training curves are below logs")


PROGRAMS: dict[str, Callable[[list[str], bool, Path], None]] = {
    "meddiff": _meddiff,
    "snakemake": _snakemake,
    "make": _make,
    "python": _python,
    "python3": _python,
    "apptainer": _build_image,
    "docker": _build_image,
    "pandoc": _pandoc,
    "export": _export,
    "srun": _srun,
    "dvc": _dvc,
    "git": _git,
    "pip": _pip,
    "tensorboard": _tensorboard,
}


def _parsed(parse: Callable[[], object]) -> argparse.Namespace:
    """What a parser makes of arguments; its message where it ends the program."""
    words = io.StringIO()
    try:
        with redirect_stderr(words), redirect_stdout(words):
            return parse()
    except SystemExit as error:
        if error.code:
            raise Refused(words.getvalue().strip().splitlines()[-1]) from None
        return argparse.Namespace()


@cache
def _snakemake_parser() -> argparse.ArgumentParser:
    from snakemake.cli import get_argument_parser

    return get_argument_parser()


@cache
def _rules() -> frozenset[str]:
    """Names of the rules. Those of tables and figures are made of names, and none is called by hand."""
    files = [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return frozenset(re.findall(r"^ *(?:use )?rule (?:\w+ as )?(\w+)", text, re.MULTILINE))
