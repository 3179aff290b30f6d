"""From a folder to files that run: looked at, drafted, sized, checked, and only then put in place."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from meddiff.config.file_names import named_file
from meddiff.config.load import Config
from meddiff.config.schema.dataset import DatasetConfig
from meddiff.data.decoding.dataset_images import images_of
from meddiff.errors import ConfigError, DataError
from meddiff.io import write_text
from meddiff.starting.classes import imbalance
from meddiff.starting.draft import Draft, Wishes, draft
from meddiff.starting.files import Start, files
from meddiff.starting.looking.listing import list_folder
from meddiff.starting.looking.pictures import contact_sheet, look
from meddiff.starting.settle import settled
from meddiff.starting.sizing import Device, Dial, Fingerprint, sizes

log = logging.getLogger("meddiff")


def begin(
    path: Path,
    name: str,
    wishes: Wishes,
    dial: Dial,
    device: Device,
    force: bool = False,
    root: Path = Path(),
) -> list[str]:
    """Write the first files of a dataset.

    Args:
        path: a folder, a table or an ``.npz`` file in it; nothing there is changed.
        name: of the dataset and the experiment.
        wishes: what the user says about the table.
        dial: how large models are to be.
        device: what they are trained on.
        force: replace files that are there.
        root: the workflow's folder; ``config/...`` and ``data/<name>/contact_sheet.png`` are written there.

    Returns:
        What was found and what to do next, as lines for people.

    Raises:
        DataError: there is nothing to begin with; the message has what is there and what to say.
        ConfigError: the name is none, or files of it are there.
    """
    _check_name(name, root, force)
    listing = list_folder(path)
    log.info("%s: %d files (%s)", listing.root, len(listing.files), listing.in_words())
    found = settled(draft(listing, wishes), listing)
    table, dataset = found.rows.table, found.dataset()
    images = images_of(listing.root, dataset.format)
    looks = look(table, dataset, images)
    counts = {one["name"]: int((table["label"] == index).sum()) for index, one in enumerate(found.classes)}
    train, judged = _sizes_of_parts(found)
    data = Fingerprint(train, judged, looks.side, looks.channels, len(found.classes))
    start = Start(name, name.replace("_", " "), found, looks, data, sizes(dial, data, device), counts)
    written = files(start)
    checked = _checked(name, written, root)
    for inner, text in written.items():
        write_text(root / "config" / inner, text)
    sheet = root / "data" / name / "contact_sheet.png"
    contact_sheet(sheet, table, checked, images)
    return _report(
        start, [*(f"config/{inner}" for inner in written), f"data/{name}/contact_sheet.png"], listing.root
    )


def _check_name(name: str, root: Path, force: bool) -> None:
    """Refuse what is no name, and what would replace files."""
    if not (root / "config" / "config.yaml").is_file():
        raise ConfigError(
            f"{root / 'config/config.yaml'}: there is no such file here; go where the Snakefile is"
        )
    places = [f"datasets/{name}", f"experiments/{name}", *(f"models/{name}_{kind}" for kind in KINDS)]
    for place in places:
        folder, stem = place.split("/", 1)
        try:
            there = named_file(root / "config" / folder, stem, "--name")
        except ConfigError as error:
            if "there is no" in str(error):
                continue
            raise
        if not force:
            raise ConfigError(
                f"{there}: is there already; take another --name, or --force to replace the files of {name}"
            )


KINDS = ("resnet", "unet", "dit")


def _sizes_of_parts(found: Draft) -> tuple[int, int]:
    """Images that train, and those of validation and test, as far as they are known before a draw."""
    table, split = found.rows.table, found.split
    if split["kind"] == "recipe":
        judged = int(len(table) * (split["valid"] + split["test"]))
        return len(table) - judged, judged
    if split["kind"] == "arrays":
        train = int(table["image_id"].str.startswith("train_").sum())
        return train, len(table) - train
    train = int((table["split"] == "train").sum())
    if not isinstance(split["valid"], list):
        train -= int(train * split["valid"])
    return train, len(table) - train


def _checked(name: str, written: Mapping[str, str], root: Path) -> DatasetConfig:
    """The dataset, from files that the workflow's own reader has read in a folder of their own.

    Raises:
        DataError: they cannot be used; then nothing is put in place.
    """
    with tempfile.TemporaryDirectory(prefix="meddiff-init-") as folder:
        trial = Path(folder)
        for inner, text in written.items():
            write_text(trial / inner, text)
        os.symlink((root / "config" / "published.yaml").resolve(), trial / "published.yaml")
        try:
            return Config({"experiment": name}, trial).datasets[name]
        except ConfigError as error:
            text = str(error).replace(folder, "config")
            raise DataError(f"what was found makes no configuration that can be used: {text}") from error


def _report(start: Start, written: list[str], folder: Path) -> list[str]:
    draft, sizes, data = start.draft, start.sizes, start.data
    lines = [line for key in ("", "format", "classes", "split") for line in draft.notes.get(key, [])]
    lines += draft.notes.get("format.group_column", []) if draft.layout.get("group_column") else []
    lines += draft.notes.get("format.group_columns", []) if draft.layout.get("group_columns") else []
    lines += start.looks.in_words()
    lines.append("Classes: " + ", ".join(f"{name} {number:,}" for name, number in start.counts.items()) + ".")
    if start.unequal:
        lines.append(f"The largest class has {imbalance(start.counts):.1f} times the images of the smallest.")
    length = f"{sizes.epochs} epochs" if sizes.epochs else f"{sizes.steps:,} steps"
    lines.append(
        f"Size {sizes.dial}: {sizes.image_size} px, batches of {sizes.batch}, {length} of {data.images:,} "
        f"images, {sizes.score_steps} classification steps."
    )
    root = f"root_{start.name}={folder.resolve()}"
    return [
        *lines, "", "Written:", *(f"  {path}" for path in written), "",
        "Read the dataset's file and look at the contact sheet. Then:",
        f"  snakemake datasets --cores all --config experiment={start.name} {root}",
        f"  snakemake --cores all --config experiment={start.name} {root}",
    ]  # fmt: skip
