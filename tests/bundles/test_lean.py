"""diffusers imported without what it would only offer: the same answers, and nothing is broken afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from meddiff.bundles.lean import import_diffusers

CODE = """
import json, sys
from meddiff.bundles.classifier import Classifier
from meddiff.bundles.lean import import_diffusers
if sys.argv[1] == "lean":
    import_diffusers("unet")
    assert "diffusers" in sys.modules, "this version cannot be imported so"
    left_out = {"torch._dynamo", "transformers", "torch.nn.attention.flex_attention"} & sys.modules.keys()
    assert not left_out, left_out
table = Classifier.from_folder(sys.argv[2]).predict(sys.argv[3:])
import scipy.stats, torch._dynamo, transformers
assert torch._dynamo.__file__ and scipy.stats.norm.cdf(0) == 0.5
print(table.to_json(orient="split", double_precision=15))
"""


def answers(how: str, bundle: Path, images: list[Path]) -> dict:
    command = [sys.executable, "-c", CODE, how, str(bundle), *map(str, images)]
    result = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=True)
    return json.loads(result.stdout)


@pytest.mark.slow
def test_answers_are_the_same_and_the_rest_can_be_imported_afterwards(runs) -> None:
    images = runs.pictures()[:2]
    lean, whole = (answers(how, runs.bundles["unet"], images) for how in ("lean", "whole"))
    assert lean == whole


@pytest.mark.parametrize("kind", ["unet", "stable_diffusion", "timm"])
def test_nothing_is_done_where_diffusers_is_there_or_not_needed(kind: str) -> None:
    import diffusers

    before = dict(sys.modules)
    import_diffusers(kind)
    assert sys.modules == before and sys.modules["diffusers"] is diffusers
