"""Every kind of model that a file can name is built and trained by what is named for it."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest

from meddiff.config.json_schemas import schemas
from meddiff.models.kinds import KINDS, network_module, task_module
from meddiff.networks.classifier import TimmClassifier


def test_kinds_are_those_that_a_model_s_file_can_name():
    assert KINDS.keys() == schemas()["model"]["discriminator"]["mapping"].keys(), (
        "a kind has a class in `AnyModel` of meddiff/config/schema/model.py and a line in `KINDS` of "
        "meddiff/models/kinds.py"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_named_for_a_kind_exists(kind):
    named = KINDS[kind]
    for name in (named.network, named.task, named.architecture):
        assert name is None or callable(resolve_name(name))


def test_modules_of_a_kind():
    assert network_module("dit") == "meddiff.networks.dit"
    assert task_module("dit") == "meddiff.training.tasks.diffusion"
    assert task_module("timm") == "meddiff.training.tasks.classification"
    assert resolve_name(KINDS["timm"].network) is TimmClassifier
