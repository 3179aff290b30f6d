"""Tables on the pages are what the workflow makes, as far as trainings agree: CPUs round differently."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from workflow_samples import make_project

from meddiff.records.text_blocks import cells, first_table

pytestmark = pytest.mark.slow

# Of each experiment the models that take the least time; the others are made in the same way.
MODELS = {"demo": ["tiny_resnet", "tiny_vit", "tiny_dit"], "nih_cxr": ["tiny_resnet"]}


@pytest.mark.parametrize("experiment", MODELS)
def test_tables_on_the_page_are_those_of_a_run(
    root: Path, tmp_path: Path, request: pytest.FixtureRequest, experiment: str
) -> None:
    arguments = ["--config", f"experiment={experiment}"]
    if experiment == "nih_cxr":
        arguments.append(f"root_nih_cxr={request.getfixturevalue('nih_cxr')}")
    table = f"results/{experiment}/tables/classification.md"
    text = (root / "docs/results.md").read_text(encoding="utf-8")
    (block,) = re.findall(rf"<!-- from {table} -->\n(.*?)<!-- end -->", text, re.DOTALL)
    said = {(cell.row, cell.column): cell for cell in cells(block)}

    project = make_project(tmp_path / "repository", root)
    file = project.folder / f"config/experiments/{experiment}.yaml"
    document = {**yaml.safe_load(file.read_text()), "models": MODELS[experiment]}
    document.pop("counterfactuals", None)
    file.write_text(yaml.safe_dump(document))
    project.snakemake(*arguments, "--", table)
    made = list(cells(first_table((project.folder / table).read_text(encoding="utf-8"))))

    datasets = 2 if experiment == "demo" else 1
    rows = sum(2 if "dit" in model else 1 for model in MODELS[experiment])
    assert len(made) >= rows * datasets * 2  # accuracy and F1
    for cell in made:
        assert cell.agrees_with(said[cell.row, cell.column]), cell
