"""Sentences about evidence maps and counterfactuals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from meddiff.config.schema.counterfactual import CounterfactualConfig
from meddiff.writing.settings import WritingSettings
from meddiff.writing.wording import listed, number, plain, several

_SAMPLERS = {"ancestral": "ancestral sampler [@ho2020]", "ddim": "DDIM sampler"}


def explanations_text(settings: WritingSettings) -> list[str]:
    """One paragraph each."""
    found = []
    if settings.score.evidence and settings.diffusion:
        text = (
            "Evidence maps show the difference of the errors of two classes pixel by pixel, averaged over "
            "noise levels; their sum is the decision by mean error."
        )
        if settings.has("tables/localisation") and settings.baselines:
            text += " On phantoms they are compared with Grad-CAM [@selvaraju2017] of the best baseline."
        found.append(text)
    if settings.counterfactuals is not None and settings.diffusion:
        found.append(_counterfactuals(settings, settings.counterfactuals))
    return found


def _counterfactuals(settings: WritingSettings, edits: CounterfactualConfig) -> str:
    chosen = [model for model in settings.diffusion if edits.models is None or model.name in edits.models]
    models = listed(plain(model.title) for model in chosen)
    per_class = edits.images_per_class
    images = f"up to {several(per_class, 'test image')} of each class" if per_class else "the test images"
    oracle = ""
    if edits.oracle:
        title = plain(settings.title_of(edits.oracle))
        oracle = f", and by the oracle, {title}, a baseline trained on its own"
    return (
        f"Counterfactuals were made by {models}, of {images}: they are these images noised to the time "
        f"{number(edits.from_t)} and denoised as another class in {several(edits.sampling_steps, 'step')} "
        f"({_SAMPLERS[edits.sampler]}) with classifier-free guidance of {number(edits.cfg_scale)} "
        "[@ho2022]. Factuals are the same with the image's own class and the same noise."
        f"{_own_guidance(settings, edits.by_model)} Both were classified by the model itself, at "
        f"{several(edits.validity_steps, 'noise level')}{oracle}."
    )


def _own_guidance(settings: WritingSettings, by_model: Mapping[str, Any]) -> str:
    names = {"from_t": "a time of", "cfg_scale": "a guidance of"}
    found = []
    for name, values in by_model.items():
        if own := values.model_dump(exclude_none=True):
            said = listed(f"{names[key]} {number(value)}" for key, value in own.items())
            found.append(f"{plain(settings.title_of(name))} has {said}")
    return f" {listed(found)}." if found else ""
