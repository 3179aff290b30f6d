"""CheXpert and ISIC from a data package with published splits, through the real rules."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

if TYPE_CHECKING:
    from workflow_samples import Project

pytestmark = pytest.mark.slow

EXPERIMENT = {
    "title": "Both datasets of the paper, a few images",
    "datasets": ["chexpert", "isic"],
    "models": ["small_resnet"],
}
SIZES = {"train": 8, "valid": 4, "test": 4}
FILE_ID = "1l1AMd0dKzwbex_CXO8ZRHedtSULUHFad"

# Stands in for gdown: the one call that the project makes copies a file and leaves a note.
GDOWN = """
import os, shutil

class DownloadError(Exception):
    pass

def download(id, output, **options):
    with open(os.environ["SERVED"] + ".calls", "a") as stream:
        stream.write(id + "\\n")
    shutil.copyfile(os.environ["SERVED"], output)
    return output
"""


def picture(number: int) -> bytes:
    rng = np.random.default_rng(number)
    stream = BytesIO()
    Image.fromarray(rng.integers(0, 256, (20, 24), dtype=np.uint8)).save(stream, "jpeg")
    return stream.getvalue()


def film(number: int) -> str:
    return f"train/patient{number:05d}/study1/view1_frontal.jpg"


def lesion(number: int) -> str:
    return f"ISIC_{number:07d}" + "_downsampled" * (number % 3 == 0)


def split_files() -> dict[str, str]:
    """Six files with the columns of the published ones."""
    texts, number = {}, 0
    for split, size in SIZES.items():
        films = "Path,Pleural Effusion,No Finding,healthy_or_sick\n"
        lesions = "image_name,target\n"
        for _ in range(size):
            number += 1
            sick = number % 2
            films += f"CheXpert-v1.0-small/{film(97 * number % 64)},{sick}.0,{1 - sick}.0,true\n"
            lesions += f"{lesion(97 * number % 64)},{sick}\n"
        texts[f"chexpert-{split}.csv"], texts[f"isic-{split}.csv"] = films, lesions
    return texts


def dataset_csv() -> str:
    """CheXpert's own labels of forty films."""
    rows = "".join(f"CheXpert-v1.0-small/{film(n)},{n % 2}.0,{1 - n % 2}.0\n" for n in range(40))
    return "Path,Pleural Effusion,No Finding\n" + rows


def write(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    for name, content in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.fixture
def project(tmp_path: Path, clone: Project, monkeypatch) -> Project:
    """The two datasets as shipped, but for the checksums and the size; a served package; no folder given."""
    for name in ("ROOT_CHEXPERT", "ROOT_ISIC", "SPLITS_ROOT"):
        monkeypatch.delenv(f"MEDDIFF_{name}", raising=False)
    shutil.copytree(clone.folder, tmp_path / "repository", symlinks=True)
    project = replace(clone, folder=tmp_path / "repository")
    texts = split_files()
    for name in EXPERIMENT["datasets"]:
        path = project.folder / f"config/datasets/{name}.yaml"
        document = yaml.safe_load(path.read_text())
        for split in SIZES:
            text = texts[f"{name}-{split}.csv"]
            document["split"][split]["sha256"] = hashlib.sha256(text.encode()).hexdigest()
        document["split"] |= {"url": None, "recipe": {"valid": 0.2, "test": 0.2, "seed": 1}}
        path.write_text(yaml.safe_dump(document | {"image_size": 16}))
    (project.folder / "config/experiments/smallest.yaml").write_text(yaml.safe_dump(EXPERIMENT))
    with zipfile.ZipFile(tmp_path / "served.zip", "w") as package:
        for n in range(64):
            package.writestr(f"data/chexpert/{film(n)}", picture(n))
            package.writestr(f"data/isic_mel_balanced/images/{lesion(n)}.jpg", picture(100 + n))
            package.writestr(f"data/sd_isic_chexpert/chexpert/{n}.jpg", picture(n))
        package.writestr("data/chexpert/train.csv", dataset_csv())
        for name, text in texts.items():
            if name.startswith("chexpert"):
                package.writestr(f"data/splits/{name}", text)
    write(project.folder / "splits/official", ((n, t.encode()) for n, t in texts.items() if n[0] == "i"))
    (tmp_path / "stubs").mkdir()
    (tmp_path / "stubs/gdown.py").write_text(GDOWN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stubs"))
    monkeypatch.setenv("SERVED", str(tmp_path / "served.zip"))
    return project


def test_from_the_package_to_stores_and_on(project: Project, tmp_path: Path) -> None:
    project.snakemake("datasets")
    texts = split_files()
    assert (tmp_path / "served.zip.calls").read_text() == f"{FILE_ID}\n"
    for name, column, label in (("chexpert", "Path", "Pleural Effusion"), ("isic", "image_name", "target")):
        index = pd.read_parquet(project.folder / f"data/{name}/store/16/index.parquet")
        for split, size in SIZES.items():
            rows = pd.read_csv(BytesIO(texts[f"{name}-{split}.csv"].encode()))
            table = pd.read_csv(project.folder / f"splits/{name}/{split}.csv")
            assert len(table) == size
            assert table["label"].tolist() == rows[label].astype(int).tolist()
            paths = table["path"].tolist()
            found = paths if name == "chexpert" else [Path(path).stem for path in paths]
            assert found == rows[column].tolist()
            part = index[index["split"] == split].sort_values("row")
            assert part["image_id"].tolist() == table["image_id"].tolist()
        assert json.loads((project.folder / f"splits/{name}/origin.json").read_text())["kind"] == "official"

    # Folders of the user's own, in another layout: nothing is stale, and what is made from them is the same.
    write(tmp_path / "own/CheXpert-v1.0-small", ((film(n), picture(n)) for n in range(64)))
    (tmp_path / "own/CheXpert-v1.0-small/train.csv").write_text(dataset_csv())
    write(tmp_path / "lesions/a/images", ((f"{lesion(n)}.jpg", picture(100 + n)) for n in range(64)))
    write(tmp_path / "published", ((name, text.encode()) for name, text in texts.items()))
    own = [
        "--config",
        f"root_chexpert={tmp_path / 'own'}",
        f"root_isic={tmp_path / 'lesions'}",
        f"splits_root={tmp_path / 'published'}",
    ]
    assert project.planned("datasets", *own) == {}
    kept = [*project.folder.glob("splits/*/t*.csv"), *project.folder.glob("data/*/store/16/manifest.json")]
    kept += [*project.folder.glob("data/*/raw.json")]
    assert len(kept) == 8
    before = {path: path.read_bytes() for path in kept}
    project.snakemake("datasets", "--forcerun", "fetch_dataset", "fetch_splits", *own)
    assert {path: path.read_bytes() for path in kept} == before

    # Another kind of split is another dataset.
    drawn = [*own, "splits_chexpert=recipe"]
    assert project.planned("datasets", *drawn) == {
        "validate_dataset": 1,
        "split_dataset": 1,
        "find_leaks": 1,
        "describe_participants": 1,
        "build_store": 1,
        "datasets": 1,
    }
    project.snakemake("datasets", *drawn)
    assert "not the paper's" in (project.folder / "logs/data/chexpert/split.log").read_text()
    origin = json.loads((project.folder / "splits/chexpert/origin.json").read_text())
    assert origin["kind"] == "recipe" and "not the paper's" in origin["note"]
    drawn_ids = pd.concat([pd.read_csv(project.folder / f"splits/chexpert/{s}.csv") for s in SIZES])[
        "image_id"
    ]
    assert len(drawn_ids) == drawn_ids.nunique() == 40


def test_folders_of_the_user_need_no_download_and_wrong_splits_stop_the_run(
    project: Project, tmp_path
) -> None:
    write(tmp_path / "lesions/images", ((f"{lesion(n)}.jpg", picture(n)) for n in range(64)))
    path = project.folder / "splits/official/isic-test.csv"
    path.write_text(path.read_text().replace(",0", ",1", 1))
    target = "splits/isic/test.csv"
    project.snakemake(target, "--config", f"root_isic={tmp_path / 'lesions'}", expect=1)
    log = (project.folder / "logs/data/isic/fetch-splits.log").read_text()
    assert "splits/official/isic-test.csv is not the published split file isic-test.csv" in log
    assert "Traceback" not in log
    assert not (tmp_path / "served.zip.calls").exists()
    assert not (project.folder / "data/packages").exists()
