"""What the page on files says in Python and R reads the files, and both say the same."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from error_samples import make_errors, save_errors
from meddiff.readout.from_errors import from_errors
from meddiff.readout.predictions import write_predictions
from meddiff.scoring.error_file import load_errors

RUN = Path("results/demo/phantom_chest/tiny_unet/seed0/votes0")


def blocks(root: Path, language: str) -> list[str]:
    tokens = MarkdownIt().parse((root / "docs/files.md").read_text(encoding="utf-8"))
    return [token.content for token in tokens if token.type == "fence" and token.info == language]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the page names; one image was stopped after two of its five steps."""
    generator = np.random.default_rng(0)
    errors = generator.uniform(1, 2, (4, 5, 3))
    errors[1, 2:] = np.nan
    errors[2, :, 2] = 0.5
    names, classes = ["a", "b", "c", "Ä 4"], ["no finding", "effusion", "both"]
    dataset = make_errors(
        errors, generator.normal(size=(4, 5)), names, np.array([0, 1, 2, 0]), names, classes, {"seed": 7}
    )
    (tmp_path / RUN / "predictions").mkdir(parents=True)
    path = save_errors(dataset, tmp_path / RUN / "errors.nc")
    write_predictions(from_errors(load_errors(path), "majority"), tmp_path / RUN / "predictions/majority.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed(code: str) -> list[str]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "docs/files.md", "exec"), {})
    return output.getvalue().strip().splitlines()


def expected() -> list[tuple[str, list[float]]]:
    """Class and shares of each image, counted one by one."""
    dataset = load_errors(RUN / "errors.nc")
    rows = []
    for image in dataset["errors"].values:
        winners = [int(step.argmin()) for step in image if np.isfinite(step).all()]
        shares = [winners.count(k) / len(winners) for k in range(3)]
        rows.append((str(dataset["class"].values[np.argmax(shares)]), shares))
    return rows


def check(lines: list[str]) -> None:
    assert [line.startswith(name) for line, name in zip(lines, ["a ", "b ", "c ", "Ä 4 "], strict=True)]
    for line, (name, shares) in zip(lines, expected(), strict=True):
        assert f" {name} " in line
        numbers = [float(number) for number in re.findall(r"\d\.?\d*", line.split(name)[1])]
        np.testing.assert_allclose(numbers, shares, atol=5e-4)


def test_the_votes_in_python(root: Path, run: Path) -> None:
    check(printed(blocks(root, "python")[0]))


def test_the_votes_by_our_own_reader_and_rule(root: Path, run: Path) -> None:
    (line, *_) = printed(blocks(root, "python")[1])
    assert line.startswith("[") and f" {2}" in line.split("]")[0]


def test_predictions_in_python(root: Path, run: Path) -> None:
    (share,) = printed(blocks(root, "python")[2])
    labels = [0, 1, 2, 0]
    names = ["no finding", "effusion", "both"]
    decided = [names.index(name) for name, _ in expected()]
    assert float(share) == np.mean([a == b for a, b in zip(labels, decided, strict=True)])


def test_the_votes_in_r(root: Path, run: Path) -> None:
    if shutil.which("Rscript") is None:
        pytest.skip("there is no Rscript here (Debian: r-cran-ncdf4)")
    if subprocess.run(["Rscript", "-e", "library(ncdf4)"], capture_output=True, check=False).returncode:
        pytest.skip("R has no package ncdf4 here (Debian: r-cran-ncdf4)")
    (code,) = blocks(root, "r")
    done = subprocess.run(
        ["Rscript", "-e", code],
        text=True,
        capture_output=True,
        check=True,
        env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    check([line for line in done.stdout.splitlines() if not line.startswith("[1]")])
