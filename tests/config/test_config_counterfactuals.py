"""The block ``counterfactuals`` of an experiment: what is refused before anything runs."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from meddiff.config.schema.counterfactual import CounterfactualConfig, FrontConfig

DIFFUSION, BASELINES = ["unet", "dit"], ["resnet"]


def test_defaults_are_the_authors_settings():
    settings = CounterfactualConfig()
    assert settings.guidance("unet") == {"from_t": 0.5, "cfg_scale": 5.5}
    assert (settings.sampling_steps, settings.sampler, settings.images_per_class) == (256, "ancestral", None)


def test_one_model_may_differ_in_one_value():
    settings = CounterfactualConfig(by_model={"dit": {"cfg_scale": 4.5}})
    assert settings.guidance("dit") == {"from_t": 0.5, "cfg_scale": 4.5}
    assert settings.guidance("unet") == {"from_t": 0.5, "cfg_scale": 5.5}


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ({"models": ["resnet"]}, "counterfactuals.models: 'resnet' is no diffusion model"),
        ({"by_model": {"unett": {}}}, "counterfactuals.by_model: 'unett' is no diffusion model"),
        ({"oracle": "unet"}, "counterfactuals.oracle: 'unet' is no baseline"),
        ({"oracle": "some/folder"}, "counterfactuals.oracle: 'some/folder' is no baseline"),
        ({"features": "inception"}, "counterfactuals.features: 'inception' is no baseline"),
    ],
)
def test_models_that_the_experiment_has_not(block, problem):
    (found,) = CounterfactualConfig(**block).problems(DIFFUSION, BASELINES)
    assert found.startswith(problem)


def test_what_fits_has_no_problem():
    block = {"models": ["dit"], "oracle": "resnet", "features": "weights/inception"}
    assert CounterfactualConfig(**block).problems(DIFFUSION, BASELINES) == []


def test_an_experiment_without_a_diffusion_model():
    (found,) = CounterfactualConfig().problems([], BASELINES)
    assert "leave the block out" in found


@pytest.mark.parametrize(
    "block",
    [
        {"from_t": 0.0},
        {"from_t": 1.1},
        {"cfg_scale": 0},
        {"models": []},
        {"models": ["unet", "unet"]},
        {"guidance": 3},
        {"by_model": {"unet": {"steps": 3}}},
    ],
)
def test_impossible_values(block):
    with pytest.raises(ValidationError):
        CounterfactualConfig(**block)


@pytest.mark.parametrize(
    "block",
    [
        {"from_t": [], "cfg_scale": [1]},
        {"from_t": [0.5, 0.5], "cfg_scale": [1]},
        {"from_t": [0.5, 1.2], "cfg_scale": [1]},
        {"from_t": [0.5], "cfg_scale": [0]},
    ],
)
def test_impossible_grids(block):
    with pytest.raises(ValidationError):
        FrontConfig(**block)
