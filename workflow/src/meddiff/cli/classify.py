"""Classify images that are in no dataset: files (JPEG, PNG, BMP, TIFF, GIF, WebP, DICOM) and folders.

Prints one line an image: class, share of votes (by majority) or probability, calibrated probability, the
classes that it may be of, uncertainty, steps, and whether it is unlike what the model was trained on. Of an
image that stopped early, the share is the one to be expected of all steps. Ends with 1 if one was refused.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meddiff.bundles.classifier import Classifier
    from meddiff.bundles.pictures import Input

log = logging.getLogger("meddiff")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "model",
        type=Path,
        help="a bundle of `meddiff export`, or results/<experiment>/<dataset>/<model>/seed<k> of a run",
    )
    parser.add_argument("images", type=Path, nargs="+", help="image files, and folders of them")
    parser.add_argument("--decision", help="decision rule; the default is majority, of a baseline softmax")
    parser.add_argument(
        "--all-steps",
        action="store_true",
        help="of a diffusion model: do not stop when the decision is clear",
    )
    parser.add_argument(
        "--id", dest="image_id", help="of one image: the id that its noise depends on, as in its dataset"
    )
    parser.add_argument(
        "--explain",
        type=Path,
        metavar="FOLDER",
        help="write counterfactuals, differences, evidence maps, and a page of them, index.html",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a CSV as well")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")


def gpus(args: argparse.Namespace) -> int:
    """How many GPUs the command takes."""
    return 0 if args.device == "cpu" else 1


def run(args: argparse.Namespace) -> None:
    """Run the command."""
    from meddiff.bundles.classifier import Classifier
    from meddiff.bundles.lean import import_diffusers
    from meddiff.bundles.page import check_folder
    from meddiff.bundles.shown import as_json, as_text, write_answers
    from meddiff.errors import ConfigError, DataError

    log.setLevel(logging.WARNING)  # how far it is would be half of what is printed
    classifier = Classifier.from_folder(
        args.model, decision=args.decision, all_steps=args.all_steps, device=args.device
    )
    if args.explain is not None:
        check_folder(args.explain)
    inputs = classifier.read(args.images)
    import_diffusers(classifier.spec.model.kind)
    if args.image_id is not None and len(inputs) != 1:
        raise ConfigError(f"--id: is of one image, and there are {len(inputs)}")
    ids = None if args.image_id is None else [args.image_id]
    for one in inputs:
        if one.note:
            log.warning("%s: %s", one.name, one.note)
    table = classifier.answer(inputs, ids)
    text = as_json(table) if args.json else as_text(table, classifier.class_names)
    if text:
        print(text)
    if args.csv is not None:
        write_answers(table, args.csv)
    if args.explain is not None:
        _explain(classifier, inputs, args.image_id, args.explain)
    if refused := [one.refused for one in inputs if one.refused]:
        raise DataError("\n".join([f"{len(refused)} of {len(inputs)} images were refused:", *refused]))


def _explain(classifier: Classifier, inputs: Sequence[Input], image_id: str | None, folder: Path) -> None:
    """Write the explanations of all images that were answered, and the page."""
    from meddiff.bundles.page import PAGE, remove_earlier, write_page

    remove_earlier(folder)
    explanations = []
    for number, one in enumerate(inputs, start=1):
        if not one.refused:
            explanations.append(classifier.explain_input(one, image_id))
            explanations[-1].write(folder / f"image_{number}", classifier.class_names)
            if blank := explanations[-1].blank():
                log.warning(
                    "%s: the map of %s has the same value everywhere and is not drawn",
                    one.name,
                    ", ".join(blank),
                )
    refused = [one.refused for one in inputs if one.refused]
    write_page(folder / PAGE, classifier.usage.title, classifier.class_names, explanations, refused)
