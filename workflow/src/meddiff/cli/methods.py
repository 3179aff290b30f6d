"""Write what a paper needs: a draft of its methods with references, and check lists that are filled in."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.cli.artifact import add_input_argument, inputs_of
from meddiff.cli.params import add_params_argument
from meddiff.records.files import Files

MODULES = ("meddiff.writing.methods", "meddiff.writing.checklists")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_params_argument(parser, "what `meddiff.writing.settings.WritingSettings` say")
    add_input_argument(parser)
    parser.add_argument("--methods", type=Path, required=True, help="Markdown file to write")
    parser.add_argument("--references", type=Path, required=True, help="BibTeX file to write")
    parser.add_argument("--checklists", type=Path, required=True, help="CSV file to write")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    inputs = [path for paths in inputs_of(args).values() for path in paths]
    return Files(inputs, [args.methods, args.references, args.checklists], MODULES)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.cli.params import parsed
    from meddiff.io import write_text
    from meddiff.writing.checklists import fill, write_checklists
    from meddiff.writing.facts import Facts
    from meddiff.writing.methods import methods_markdown, references
    from meddiff.writing.settings import WritingSettings

    settings = parsed(WritingSettings, args.params, "--params")
    facts = Facts.of(settings, inputs_of(args))
    models = [model.as_trained(facts.trained) for model in settings.models]
    settings = settings.model_copy(update={"models": models})
    text = methods_markdown(settings, facts)
    write_text(args.methods, text)
    write_text(args.references, references(text))
    write_checklists(fill(settings, facts), args.checklists)
