"""Make a bundle of a run's model to take away: weights, all that is needed to use them, a model card.

Weights have the names of the library that their network is of, so that timm or diffusers load them as well.
`meddiff classify BUNDLE IMAGE` and `meddiff.Classifier.from_folder(BUNDLE)` use it.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("run", type=Path, help="results/<experiment>/<dataset>/<model>/seed<k>")
    parser.add_argument("bundle", type=Path, help="folder to write; an earlier bundle is replaced")
    parser.add_argument(
        "--license",
        default="unknown",
        help="of the weights, for the model card: Hugging Face's identifier, e.g. cc-by-nc-4.0",
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.bundles.export import export

    export(args.run, args.bundle, args.license)
