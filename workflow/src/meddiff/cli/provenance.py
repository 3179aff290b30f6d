"""Print the chain from results back to the raw data, and check that it still holds.

For every file on the way: whether it is what its record says, whether it was made from the files that are
there now, and whether today's code and configuration would make it again. Ends with 0 if all of it holds,
else with 1. Run it where the Snakefile is.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from meddiff.config import Config
from meddiff.errors import ConfigError, MeddiffError

_NO_RESULTS = ("release.json",)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("paths", type=Path, nargs="+", help="results: files, or folders with results")
    parser.add_argument("--json", action="store_true", help="print JSON, with all that records say")
    parser.add_argument("--check-images", action="store_true", help="read the raw images, too")
    parser.add_argument(
        "--config",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="as for snakemake, if the results were made with some; the experiment is known from the path",
    )
    parser.add_argument(
        "--records-only", action="store_true", help="do not compare with today's configuration (no Snakemake)"
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.records.chain import Chain
    from meddiff.records.show import as_json, as_text, every_link, verdict

    targets = [name for path in args.paths for name in _results(path)]
    configs = _configs(targets, args.config)
    chain = Chain(None if args.records_only else _today(configs))
    links = list({id(link): link for link in map(chain.link, targets)}.values())
    if args.check_images:
        from meddiff.config import Config, top_level
        from meddiff.records.images import check_images

        for config in configs:
            count = check_images(every_link(links), Config(top_level(config)))
            logging.getLogger("meddiff").info("%d raw files were read", count)
    print(json.dumps(as_json(links), indent=1, sort_keys=True) if args.json else as_text(links))
    if (found := verdict(every_link(links))) != "holds":
        raise MeddiffError(f"the chain is {found}")


def _results(path: Path) -> list[str]:
    """`path` from the working folder, or all files below it that have records or could have."""
    from meddiff.records.record import FOLDER, is_inside, read_record
    from meddiff.weights.versions import KEPT

    if not is_inside(path):
        raise ConfigError(f"{path}: is not in this folder; go where its Snakefile is")
    inside = Path(os.path.relpath(path))
    if read_record(inside) or not inside.is_dir():
        if not inside.is_file() and not read_record(inside):
            raise ConfigError(f"{path}: there is no such file, and no record of one")
        return [inside.as_posix()]
    records = [path for path in inside.rglob(f"{FOLDER}/*.json") if KEPT not in path.parts]
    recorded = {record.parent.parent / record.name[:-5] for record in records}
    found = [folder for folder in recorded if folder.is_dir()]
    found += [
        file
        for file in inside.rglob("*")
        # A folder's own record speaks for what is in it.
        if file.is_file() and not _is_bookkeeping(file) and not recorded & set(file.parents)
    ]
    if not found:
        raise ConfigError(f"{path}: has no results")
    return sorted(file.as_posix() for file in found)


def _is_bookkeeping(file: Path) -> bool:
    """Whether a file is a record, a version of weights, or of git, DVC or a publication, and so no result."""
    from meddiff.records.record import FOLDER
    from meddiff.weights.versions import KEPT

    return (
        file.parent.name == FOLDER
        or KEPT in file.parts
        or file.name in _NO_RESULTS
        or file.name.startswith(".")
        or file.suffix == ".dvc"
    )


def _configs(targets: Sequence[str], given: Sequence[str]) -> list[list[str]]:
    """One list of ``--config`` entries for every experiment that has results among `targets`."""
    if any(entry.startswith("experiment=") for entry in given):
        return [list(given)]
    names = dict.fromkeys(Path(name).parts[1] for name in targets if Path(name).parts[0] == "results")
    configs = [[*Config.entries(name).split(), *given] for name in names]
    return configs or [list(given)]


def _today(configs: Sequence[Sequence[str]]) -> dict:
    """Output -> the job that makes it today, over all experiments."""
    from meddiff.cli import job_of
    from meddiff.records.today import dry_run

    today = {}
    for config in configs:
        for job in map(job_of, dry_run(config, everything=True)[0]):
            today.update(dict.fromkeys((path.as_posix() for path in job.files().outputs), job))
    return today
