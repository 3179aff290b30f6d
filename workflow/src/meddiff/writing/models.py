"""Sentences about models and their training."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from meddiff.config.schema.augmentation import Augmentation
from meddiff.writing.facts import Facts
from meddiff.writing.settings import WritingSettings, WrittenModel
from meddiff.writing.wording import listed, number, plain, several

_NETWORKS = {
    "unet": "a class-conditional UNet [@ronneberger2015]",
    "dit": "a class-conditional diffusion transformer [@peebles2023]",
    "stable_diffusion": "a latent text-to-image model [@rombach2022] that is told the class by a prompt",
}
_PREDICTS = {"v_prediction": "the velocity [@salimans2022]", "epsilon": "the noise [@ho2020]"}
_LOSSES = {
    "min_snr": "weighted by the signal-to-noise ratio, with an upper limit [@hang2023]",
    "official": "weighted as in the published code [@favero2025]",
    "uniform": "the same at all noise levels",
}
_UNITS = ((1, "hour"), (60, "minute"), (3600, "second"))
_OPTIMISERS = {"adam": "Adam [@kingma2015]", "adamw": "AdamW [@loshchilov2019]"}


def models_text(settings: WritingSettings, facts: Facts) -> list[str]:
    """One paragraph a model."""
    return [_diffusion(model, settings, facts) for model in settings.diffusion] + [
        _baseline(model, settings, facts) for model in settings.baselines
    ]


def training_text(settings: WritingSettings, facts: Facts) -> list[str]:
    """How models were trained; those with the same settings in one paragraph."""
    if settings.released:
        return ["The weights are those that the authors of the method released [@favero2025]."]
    together: dict[str, tuple[list[str], Mapping[str, Any]]] = {}
    for model in settings.models:
        for dataset, config in model.configs.items():
            text = _training(config)
            names, _ = together.setdefault(text, ([], config))
            names.append(f"{plain(model.title)} ({plain(settings.title_of(dataset))})")
    paragraphs = [f"{listed(names)}: {text}" for text, (names, _) in together.items()]
    if hours := facts.hours():
        took = next(
            several(round(hours * parts), unit)
            for parts, unit in _UNITS
            if hours * parts >= 2 or unit == "second"
        )
        paragraphs.append(
            f"The trainings took {took} on the clock, added up, on {listed(facts.devices()) or 'one device'} "
            "with whatever else ran there."
        )
    return paragraphs


def _diffusion(model: WrittenModel, settings: WritingSettings, facts: Facts) -> str:
    config = next(iter(model.configs.values()))
    text = f"**{plain(model.title)}** is {_NETWORKS.get(config['kind'], 'a diffusion model')}"
    parts = " in its UNet and its autoencoder" if config["kind"] == "stable_diffusion" else ""
    text += f"{',' if parts else ''}{_size(model, settings, facts, parts)}."
    if schedule := config.get("schedule"):
        shift = math.log(schedule["noise_size"] / schedule["image_size"])
        shifted = f"with a shift of {_signed(shift)}" if shift else "without a shift"
        where = "the one-level Haar transform of the image" if config.get("wavelet") else "the pixels"
        text += (
            f" It works on {where} and predicts {_PREDICTS[config['prediction']]}. The noise schedule is "
            f"the shifted cosine [@hoogeboom2023] {shifted}; the natural logarithm of the signal-to-noise "
            f"ratio falls from {_signed(schedule['logsnr_max'])} to {_signed(schedule['logsnr_min'])} over "
            "time."
        )
    elif scheduler := facts.architecture(model.folders).get("scheduler"):
        text += _discrete(scheduler)
    return text


def _discrete(scheduler: Mapping[str, Any]) -> str:
    """The schedule of a pretrained folder, in diffusers' words."""
    predicts = _PREDICTS.get(str(scheduler.get("prediction_type")), "what its pretrained weights do")
    steps, shape = scheduler.get("num_train_timesteps"), str(scheduler.get("beta_schedule"))
    text = f" It works on the latent image of its autoencoder and predicts {predicts}."
    if steps:
        text += (
            f" The noise schedule is that of its pretrained weights: {number(steps)} steps, "
            f"{plain(shape.replace('_', ' '))}, with beta from {number(scheduler['beta_start'])} to "
            f"{number(scheduler['beta_end'])}."
        )
    return text


def _signed(value: float) -> str:
    """With a minus sign, not a hyphen."""
    return f"{value:.3g}".replace("-", "\u2212")


def _baseline(model: WrittenModel, settings: WritingSettings, facts: Facts) -> str:
    config = next(iter(model.configs.values()))
    name = plain(str(config.get("architecture", {}).get("model_name", "")))
    kind = {"cnn": "a convolutional network", "transformer": "a transformer"}[model.family]
    size = _size(model, settings, facts)
    return f"**{plain(model.title)}** is {kind} of timm [@wightman2019] (architecture {name}){size}."


def _size(model: WrittenModel, settings: WritingSettings, facts: Facts, parts: str = "") -> str:
    """Numbers of parameters, of each dataset's model where they differ."""
    known = {dataset: count for dataset, runs in model.runs.items() if (count := facts.parameters(runs))}
    counts = list(dict.fromkeys(known.values()))
    if not counts:
        return ""
    if len(counts) == 1:
        return f" with {several(counts[0], 'parameter')}{parts}"
    each = listed(
        f"{number(count)} "
        f"({listed(plain(settings.title_of(name)) for name, own in known.items() if own == count)})"
        for count in counts
    )
    return f" with {each} parameters{parts}"


def _training(config: Mapping[str, Any]) -> str:
    train = config.get("train")
    if train is None:
        return "used as pretrained, without training."
    length = several(train["epochs"], "epoch") if train.get("epochs") else several(train["steps"], "step")
    begun = "from pretrained weights" if config.get("pretrained") else "from random weights"
    text = (
        f"trained {begun} for {length} with {_OPTIMISERS[train['optimizer']]}, batches of "
        f"{several(train['batch_size'], 'image')}, a learning rate of {number(train['lr'])} "
        f"({train['lr_schedule']}, {several(train['warmup_steps'], 'step')} of warm-up), a weight decay of "
        f"{number(train['weight_decay'])} and gradients clipped to a norm of "
        f"{number(train['clip_grad_norm'])}."
    )
    if train.get("mixed_precision", "no") != "no":
        text += f" Mixed precision: {train['mixed_precision']}."
    if ema := train.get("ema"):
        text += f" The weights are an exponential moving average with a decay of {number(ema['beta'])}."
    if config.get("family") == "diffusion":
        if weighted := _LOSSES.get(str(config.get("loss_weight"))):
            text += f" The loss is {weighted}."
        if config["label_dropout"]:
            text += f" The class was left out for {100 * config['label_dropout']:g} % of the images."
    if config.get("train_on") == "joint":
        text += " One model was trained on all datasets together."
    if config.get("class_weights", "none") != "none":
        text += " Classes are weighted in the loss."
    if train.get("sampler") == "balanced":
        text += " Classes are drawn equally often."
    # What `augment` of a model allows is the dataset's, which the configuration has put here.
    changed = Augmentation.model_validate(train.get("augmentation") or {})
    how = f"changed at random: {changed.in_words()}" if changed != Augmentation() else "not changed at random"
    text += f" Training images were {how}."
    chosen = "of the best F1 on the validation split" if train["select"] == "best_f1" else "of the last step"
    return f"{text} The weights {chosen} were kept."
