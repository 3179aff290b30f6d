"""Run the benchmarks and write ``results/latest.json`` and ``results/latest.md`` beside this file.

Every part runs in a process of its own, one after the other. A part that is not run again keeps its earlier
result, if that was measured on the same machine with the same versions. Close everything else: other work
slows both sides of a ratio, and not equally.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
from figures import FIGURES, PHANTOM, REAL
from meddiff.io import atomic_path, write_json
from report import markdown

HERE = Path(__file__).parent
ROOT = HERE.parent
RESULTS = HERE / "results"
REAL_ROOT = "MEDDIFF_ROOT_NIH_CXR"
FORMAT = 3  # of what the parts return: results of another one are not kept

log = logging.getLogger("benchmarks")

# part -> experiment and dataset whose tiny UNet it needs
TRAINED = {
    PHANTOM: ("demo", "phantom_chest"),
    REAL: ("nih_cxr", "nih_cxr"),
    "network": ("demo", "phantom_chest"),
}
PARTS = [PHANTOM, REAL, "network", "loader", "training", "evidence", "store", "memory", "overhead"]


def main() -> None:
    """Measure what is asked for, and write everything that is known."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--runs", type=int, default=3, help="of everything that is timed")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    wanted = [part for part in args.only if part != REAL or _has_real_images()]
    for part in wanted:
        if part in TRAINED:
            _train(*TRAINED[part])
    described = machine.describe()
    parts = _earlier(described)
    for part in wanted:
        log.info("measuring %s", part)
        load = machine.load()
        result = _measured(part, args.runs)
        day = datetime.date.today().isoformat()
        parts[part] = {"day": day, "load_before": round(load, 2), **result}
        _write(described, parts)
    print((RESULTS / "latest.md").read_text(encoding="utf-8"))


def _has_real_images() -> bool:
    if os.environ.get(REAL_ROOT):
        return True
    log.warning("%s is not set: the figures for real X-rays are left out", REAL_ROOT)
    return False


def _train(experiment: str, dataset: str) -> None:
    """Let the workflow make the trained network, if it is not there."""
    weights = f"results/{experiment}/{dataset}/tiny_unet/seed0/weights/model.safetensors"
    command = ["snakemake", "--config", f"experiment={experiment}", "--", weights]
    log.info("%s", " ".join(command))
    subprocess.run(command, check=True, cwd=ROOT)


def _measured(part: str, runs: int) -> dict[str, Any]:
    """What the script of a part prints."""
    if part in TRAINED:
        experiment, dataset = TRAINED[part]
        script = "network.py" if part == "network" else "scoring.py"
        weights = f"results/{experiment}/{dataset}/tiny_unet/seed0/weights"
        arguments = [weights, f"data/{dataset}/store/32", _image_root(dataset), f"splits/{dataset}/test.csv"]
        arguments = [*arguments[: 2 if part == "network" else 4], "--runs", str(runs)]
    else:
        script = f"{part}.py"
        arguments = ["--runs", str(runs)] if part in ("loader", "training", "evidence", "store") else []
    command = [sys.executable, str(HERE / script), *arguments]
    return json.loads(subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE).stdout)


def _image_root(dataset: str) -> str:
    return os.environ[REAL_ROOT] if dataset == "nih_cxr" else f"data/{dataset}/raw"


def _earlier(described: dict[str, Any]) -> dict[str, Any]:
    """Results of parts on the same machine and with the same versions."""
    path = RESULTS / "latest.json"
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    same = document["machine"] == described and document.get("format") == FORMAT
    return document["parts"] if same else {}


def _write(described: dict[str, Any], parts: dict[str, Any]) -> None:
    entries = {figure.name: figure.entry(parts) for figure in FIGURES}
    document = {
        **{name: entry["value"] if entry else None for name, entry in entries.items()},
        "spread": entries,
        "machine": described,
        "format": FORMAT,
        "parts": {part: parts[part] for part in PARTS if part in parts},
    }
    write_json(RESULTS / "latest.json", document)
    with atomic_path(RESULTS / "latest.md") as temporary:
        temporary.write_text(markdown(document), encoding="utf-8")


if __name__ == "__main__":
    main()
