"""Tables that the workflow has written and reads again: cut off, or damaged by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from meddiff.data.strata import read_strata
from meddiff.data.tables import read_table_csv
from meddiff.errors import DataError
from meddiff.evaluate.metrics_tree import read_metrics_tree
from meddiff.explaining.archives import read_archive
from meddiff.explaining.edits import read_edit_table
from meddiff.readout.from_logits import from_probabilities
from meddiff.readout.predictions import read_predictions, write_predictions
from meddiff.result_csv import read_csv, write_csv

SHARES = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]])
IDS, GROUPS = ["0010", "a, b", "c"], ["p1", "p1", 'p "2"']
SPLIT = "image_id,path,label,group\n0010,a.png,0,p1\nb,b.png,1,p2\n"
STRATA = "image_id,split,label,group,stratum\n0010,train,0,p1,cue\nb,test,1,p2,none\n"
METRICS = (
    "dataset,model,seed,decision,metric,value,ci_low,ci_high,n\n"
    "isic,unet,0,majority,f1,0.5,0.25,0.75,10\nisic,unet,0,majority,auroc,nan,nan,nan,10\n"
)
EDITS = (
    "image_id,source,target,role,main,front,from_t,cfg_scale,file,sha256,prediction,p_0,p_1\n"
    "0010,0,1,counterfactual,1,0,0.5,2.0,a.png,abc,1.0,0.25,0.75\n"
    "0010,0,0,factual,1,0,0.5,2.0,b.png,abd,nan,nan,nan\n"
)


def predictions() -> str:
    path = Path("predictions.csv")
    write_predictions(from_probabilities(IDS, GROUPS, np.array([1, 0, 0]), SHARES), path)
    return path.read_text()


READERS: dict[str, tuple[Callable[[Path], object], Callable[[], str]]] = {
    "predictions": (read_predictions, predictions),
    "split": (lambda path: read_table_csv(path, SPLIT.split("\n")[0].split(",")), lambda: SPLIT),
    "strata": (read_strata, lambda: STRATA),
    "metrics": (read_metrics_tree, lambda: METRICS),
    "edits": (read_edit_table, lambda: EDITS),
}


@pytest.fixture(params=READERS)
def reader(request, tmp_path, monkeypatch) -> tuple[Callable[[Path], object], str]:
    monkeypatch.chdir(tmp_path)
    read, make = READERS[request.param]
    return read, make()


def test_whole_files_are_read(reader, tmp_path):
    read, text = reader
    (tmp_path / "table.csv").write_text(text)
    read(tmp_path / "table.csv")


def test_a_file_that_is_cut_off_anywhere_within_a_row_is_named(reader, tmp_path):
    """pandas fills the missing cells, and takes half of a number for another number."""
    read, text = reader
    path = tmp_path / "table.csv"
    for length in range(len(text)):
        if length and text[length - 1] == "\n":
            continue  # a whole table of fewer rows
        path.write_text(text[:length])
        with pytest.raises(DataError, match=r"table\.csv: ") as caught:
            read(path)
        lines = text[:length].count("\n") + 1
        assert lines == 1 or f"row {lines}" in str(caught.value), length


@pytest.mark.parametrize("more", [",1", ""])
def test_a_row_with_a_cell_too_many_or_too_few_is_named(reader, tmp_path, more):
    read, text = reader
    lines = text.splitlines()
    lines[2] = lines[2] + more if more else lines[2].rpartition(",")[0]
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(DataError, match=r"table\.csv: rows that are not whole; .*\n  row 3: \d+ cells"):
        read(tmp_path / "table.csv")


@pytest.mark.parametrize("name", [name for name in READERS if name not in ("split", "strata")])
@pytest.mark.parametrize("word", ["0.5x", "", "1_000", "0,5"])
def test_a_cell_that_is_no_number_is_named(name, word, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read, make = READERS[name]
    table = pd.read_csv(pd.io.common.StringIO(make()), dtype=str, keep_default_na=False)
    column = {"predictions": "p_1", "metrics": "value", "edits": "cfg_scale"}[name]
    table.loc[1, column] = word
    table.to_csv("table.csv", index=False)
    with pytest.raises(DataError, match=rf"table\.csv: row 3: {column} is '{word}', expected a "):
        read(Path("table.csv"))


def test_columns_of_results_are_checked_where_they_are_used(tmp_path):
    write_csv(pd.DataFrame({"value": [0.5, np.nan], "note": ["", "x"]}), tmp_path / "t.csv")
    table = read_csv(tmp_path / "t.csv", ["value"], numbers=["value"])
    assert table["value"].dtype == np.float64 and table["note"].tolist() == ["", "x"]
    with pytest.raises(DataError, match=r"t\.csv: row 2: note is '', expected a number; make it again"):
        read_csv(tmp_path / "t.csv", numbers=["note"])
    with pytest.raises(DataError, match=r"columns \['n'\] are missing"):
        read_csv(tmp_path / "t.csv", ["n"])


def test_text_of_a_damaged_disk(reader, tmp_path):
    read, text = reader
    for content in (b"", b"\0" * 300, text.encode()[:60] + b"\xff" + text.encode()[60:], b"\n" * 5):
        (tmp_path / "table.csv").write_bytes(content)
        with pytest.raises(DataError, match=r"table\.csv: "):
            read(tmp_path / "table.csv")


def test_every_flipped_byte_of_an_archive_is_noticed_or_changes_nothing(tmp_path):
    path, rng = tmp_path / "features.npz", np.random.default_rng(0)
    arrays = {"generated": rng.random((3, 4)), "real": rng.random((2, 4))}
    np.savez(path, **arrays)
    whole = path.read_bytes()
    for place in rng.permutation(len(whole))[:200]:
        damaged = bytearray(whole)
        damaged[place] ^= rng.integers(1, 256)
        path.write_bytes(damaged)
        try:
            found = read_archive(path, "features", "run `explain` again")
        except DataError as error:
            assert str(error).startswith(f"{path}: not an archive of features: ")
            assert str(error).endswith("; run `explain` again")
        else:
            assert all(np.array_equal(found[name], arrays[name]) for name in found)
