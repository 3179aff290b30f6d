"""Make the train, valid and test tables of a dataset, and check that they do not leak."""

from __future__ import annotations

import argparse
from pathlib import Path

from meddiff.records.files import Files, parsed_params, split_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--params", required=True, help="JSON: the dataset's format, classes and split")
    parser.add_argument("--table", type=Path, required=True, help="table.csv as `validate` writes it")
    parser.add_argument("--official", type=Path, help="folder of `getsplits`, for published splits")
    parser.add_argument("--out-dir", type=Path, required=True, help="folder for the three CSV files")


def files(args: argparse.Namespace) -> Files:
    """What the command reads and writes."""
    split = parsed_params(args)["split"]
    given = []
    if split["kind"] == "files":
        given = [Path(split[name]) for name in ("train", "valid", "test")]
    elif split["kind"] == "official":
        given = split_files(args.official)
    outputs = [*split_files(args.out_dir), args.out_dir / "origin.json"]
    return Files(
        [args.table, *given],
        outputs,
        code=["meddiff.data.splitting.splits", "meddiff.data.splitting.balance"],
    )


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    import logging

    from meddiff.config.dataset_slices import SplitParams, parse_slice
    from meddiff.data.splitting.balance import balanced
    from meddiff.data.splitting.splits import (
        make_splits,
        origin_note,
        report_splits,
        separated,
        write_origin,
        write_splits,
    )
    from meddiff.data.tables import read_table_csv

    dataset = parse_slice(args.params, SplitParams)
    table = read_table_csv(args.table)
    splits, moved = separated(dataset, make_splits(dataset, table, args.official), table)
    splits, drawn = balanced(splits, dataset.balance, dataset.split)
    report_splits(splits, [entry.name for entry in dataset.classes])
    write_splits(splits, args.out_dir)
    left_out = len(table) - sum(map(len, splits.values()))
    write_origin(dataset.split, splits, args.out_dir, left_out, moved, drawn)
    sizes = ", ".join(f"{name} {len(frame)}" for name, frame in splits.items())
    logging.getLogger("meddiff").info("%s: %s. %s", args.out_dir, sizes, origin_note(dataset.split))
