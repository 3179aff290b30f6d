"""Publish a finished run: data, weights and errors into DVC, and a record of it beside the results.

Refuses while `snakemake -n` finds something to do. Pushes if DVC has a remote, stages for git what belongs
there, and leaves the commit to you.
"""

from __future__ import annotations

import argparse
import logging

from meddiff.cli.params import add_config_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_config_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.sharing.publish import publish

    paths = publish(args.config)
    log = logging.getLogger("meddiff")
    log.info("staged for git: %d files, from %s to %s", len(paths), paths[0], paths[-1])
    log.info("now say: git commit, and git push")
