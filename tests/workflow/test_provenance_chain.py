"""The chain from results back to the raw data, of a finished run and of edited ones."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from meddiff.records.chain import Chain, Link
from meddiff.records.show import every_link

pytestmark = pytest.mark.slow

TABLE = "results/smallest/tables/classification.md"
RUN = "results/smallest/small_chest/small_unet/seed0"
VOTES = f"{RUN}/votes0"
WEIGHTS = f"{RUN}/weights/model.safetensors"


def by_path(links: list[Link]) -> dict[str, Link]:
    return {path: link for link in links for path in link.paths}


@pytest.fixture
def follow(monkeypatch):
    """Follow the records of one result of a project, without asking Snakemake for today's configuration."""

    def of(project, path: str) -> dict[str, Link]:
        monkeypatch.chdir(project.folder)
        return by_path(every_link([Chain().link(path)]))

    return of


def broken(links: dict[str, Link]) -> dict[str, str]:
    """Each file of a broken link -> the reasons."""
    return {path: "; ".join(link.broken) for path, link in links.items() if link.broken}


def test_every_result_has_a_record(finished):
    status, text = finished.provenance("results/smallest", "--json")
    found = json.loads(text)
    assert (status, found["verdict"]) == (0, "holds"), text
    recorded = {path for link in found["links"].values() for path in link["paths"]}
    results = {
        path.relative_to(finished.folder).as_posix()
        for path in (finished.folder / "results").rglob("*")
        if path.is_file() and not {"provenance", "kept"} & set(path.parts)
    }
    assert len(results) > 30
    # Of a folder that one job writes, the folder is recorded.
    alone = {path for path in results if not recorded & {path, *map(str, Path(path).parents)}}
    assert not alone
    assert str(finished.folder) not in text
    made = {path: link for path, link in found["links"].items() if link["record"]}
    # Templates, styles and scripts of the report are the repository's own.
    assert all(path.startswith("workflow/src/") for path in found["links"].keys() - made.keys())
    hours = [link["record"]["wall_hours"] for link in made.values()]
    assert found["wall_hours"] == pytest.approx(sum(hours)) and min(hours) > 0


def test_chain_of_a_table_reaches_the_raw_data(finished, follow):
    status, text = finished.provenance(TABLE)
    assert status == 0, text
    raw_files = len(json.loads((finished.folder / "data/small_chest/raw.json").read_text())["files"])
    assert f"{raw_files} raw files" in text
    assert text.splitlines()[0].startswith("results/smallest/tables/{classification.csv,")
    assert text.splitlines()[-1].startswith("The chain holds")
    link = follow(finished, TABLE)[TABLE]
    decided = ("metrics", "decide", "vote", "gather", "score")
    for command in (*decided, "train", "store", "split", "validate", "fetch"):
        link = next(
            source
            for source in link.made_from
            if source.record["command"] == command and "resnet" not in source.paths[0]
        )
    assert link.paths == ["data/small_chest/raw.json"]
    assert not link.made_from


def test_record_of_weights(finished, follow):
    record = follow(finished, WEIGHTS)[WEIGHTS].record
    assert record["settings"]["params"]["model"]["train"]["lr"] == 1e-3
    assert (record["device"], record["gpu_hours"], record["attempts"]) == ("cpu", 0, 1)
    assert set(record["inputs"]) == {"data/small_chest/store/16/manifest.json"}
    assert "training/trainer.py" in record["code"]["files"]


def test_shards_count_though_they_are_gone(finished, follow):
    links = follow(finished, f"{VOTES}/errors.nc")
    shards = [links[f"{VOTES}/shards/{number}-of-2.nc"] for number in (1, 2)]
    assert all(link.absent and link.record["wall_hours"] > 0 for link in shards)
    assert not broken(links)


def test_an_edited_result(project, follow):
    path = f"{VOTES}/predictions/majority.csv"
    file = project.folder / path
    file.write_text(file.read_text().replace("0.", "1.", 1))
    reasons = broken(follow(project, TABLE))
    assert "has changed since it was made" in reasons.pop(path)
    assert f"made from another {path}" in reasons.pop(f"{VOTES}/metrics/majority.csv")
    assert not reasons
    status, text = project.provenance(TABLE, "--records-only")
    assert status == 1
    assert "BROKEN" in text and path in text and "The chain is broken" in text


def test_edited_weights_and_images_of_the_store(project, follow):
    store = "data/small_chest/store/16"
    for path in (WEIGHTS, f"{store}/test.npy"):
        with (project.folder / path).open("r+b") as stream:
            stream.seek(-1, os.SEEK_END)
            last = stream.read(1)
            stream.seek(-1, os.SEEK_END)
            stream.write(bytes([last[0] ^ 1]))
    reasons = broken(follow(project, f"{VOTES}/errors.nc"))
    assert "has changed" in reasons.pop(WEIGHTS)
    assert "test.npy has changed" in reasons.pop(f"{store}/test.npy")
    for number in (1, 2):
        assert f"made from another {WEIGHTS}" in reasons.pop(f"{VOTES}/shards/{number}-of-2.nc")
    assert f"made from another {WEIGHTS}" in reasons.pop(f"{VOTES}/errors.nc")
    assert {path.rpartition("/")[0] for path in reasons} == {f"{RUN}/weights", store}


def test_edited_configuration_and_code(project):
    project.edit_yaml("config/models/small_unet.yaml", train={"lr": 2e-3})
    module = project.folder / "workflow/src/meddiff/evaluate/summary.py"
    module.write_text(module.read_text() + "# an edit\n")
    status, text = project.provenance(TABLE, "--json")
    links = json.loads(text)["links"].values()
    reasons = {path: "; ".join(link["broken"]) for link in links for path in link["paths"] if link["broken"]}
    assert status == 1
    assert "other settings: model.train.lr: 0.001 -> 0.002" in reasons[WEIGHTS]
    others = {path: text for path, text in reasons.items() if "/weights/" not in path}
    assert all("evaluate/summary.py" in text for text in others.values())
    assert sum("/metrics/" in path for path in others) == 5
    assert sum("/tables/" in path for path in others) == len(others) - 5 == 3  # they use that module, too


def test_another_number_of_shards_is_another_way_to_make_it(project):
    project.edit_yaml("config/experiments/smallest.yaml", score={"shards": 1})
    status, text = project.provenance(f"{VOTES}/errors.nc")
    assert status == 1
    assert "1-of-1.nc" in text and "would not be made from these files today" in text


def test_raw_images_are_read_when_asked(project):
    image = next((project.folder / "data/small_chest/raw").rglob("*.jpg"))
    image.write_bytes(image.read_bytes() + b"x")
    assert project.provenance(TABLE, "--records-only")[0] == 0
    status, text = project.provenance(TABLE, "--records-only", "--check-images")
    assert status == 1
    assert image.name in text


def test_results_without_a_record_are_said_plainly(project):
    shutil.rmtree(project.folder / RUN / "weights/provenance")
    status, text = project.provenance(f"{VOTES}/errors.nc", "--records-only")
    assert status == 1
    assert "NO RECORD" in text and "The chain is incomplete" in text
    assert "its run.json says" in text


def test_no_such_result(finished):
    assert finished.provenance("results/smallest/tables/nothing.md", "--records-only")[0] == 1


def test_records_change_no_result_and_make_nothing_stale(project):
    """Without its records nothing is to be done; made again, results are the same bytes with new records."""
    tables = project.folder / "results/smallest/tables"
    before = {path: path.read_bytes() for path in tables.glob("*.*")}
    for folder in project.folder.glob("results/**/provenance"):
        shutil.rmtree(folder)
    assert project.planned() == {}
    project.snakemake("--forcerun", "make_classification_table")
    assert {path: path.read_bytes() for path in tables.glob("*.*")} == before
    assert (tables / "provenance/classification.md.json").is_file()
