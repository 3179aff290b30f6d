"""Look at a folder of images and write the first files for it: dataset, models, experiment.

What is found is printed and stands in the files as comments: counts, sizes, and what else could be meant.
Nothing in the folder is changed. Options say what was found wrongly.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("path", type=Path, help="folder of the images, or a CSV, Parquet or .npz file in it")
    parser.add_argument("--name", required=True, help="of the dataset and the experiment")
    parser.add_argument(
        "--size",
        choices=("tiny", "small", "base", "large"),
        default="small",
        help="of models (default: small)",
    )
    parser.add_argument("--csv", help="table with the labels, below the folder")
    parser.add_argument("--image", help="column with names of images")
    parser.add_argument("--label", help="column with the class")
    parser.add_argument("--group", help="column with the patient or lesion")
    parser.add_argument("--image-dir", nargs="+", default=[], help="folders of images, below the folder")
    parser.add_argument("--force", action="store_true", help="replace files of this name")


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.devices.memory_size import training_memory
    from meddiff.starting.begin import begin
    from meddiff.starting.draft import Wishes
    from meddiff.starting.sizing import Device

    wishes = Wishes(args.csv, args.image, args.label, args.group, args.image_dir)
    for line in begin(args.path, args.name, wishes, args.size, Device(*training_memory()), args.force):
        print(line)
