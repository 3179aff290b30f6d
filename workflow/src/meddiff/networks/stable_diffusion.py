"""Stable Diffusion as a class-conditional denoiser: the class is a prompt, x is a latent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor

from meddiff.config.schema.kinds.stable_diffusion import StableDiffusionConfig
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.noise import STREAM_LATENT, normal
from meddiff.diffusion.pixels import in_unit_range
from meddiff.errors import ConfigError
from meddiff.networks.all_classes import can_share, unet_for_all_classes
from meddiff.networks.attention import attend_by_class, attends_by_class
from meddiff.networks.discrete_schedule import DiscreteSchedule
from meddiff.networks.pipeline_folder import encode_prompts, load_part

_RGB = 3


class StableDiffusionDenoiser(Denoiser):
    """UNet, autoencoder and the encoded prompts of all classes in one module.

    The text encoder runs once, when the weights are taken from the pretrained folder: its output is a
    buffer, so that training, scoring and checkpoints need neither tokenizer nor text encoder. The
    null class is the empty prompt. The autoencoder is frozen.
    """

    x_bound = None
    evidence_space = "latent"

    def __init__(
        self, config: StableDiffusionConfig, num_classes: int, channels: int, image_size: int
    ) -> None:
        missing = {"unet", "vae", "scheduler", "tokens"} - set(config.architecture)
        if missing:
            raise ConfigError(
                f"architecture: {', '.join(sorted(missing))} missing; the pretrained folder has them"
            )
        parts = config.architecture
        factor = 2 ** (len(parts["vae"]["block_out_channels"]) - 1)
        if image_size % factor:
            raise ConfigError(f"image_size {image_size}: the autoencoder needs a multiple of {factor}")
        side = image_size // factor
        schedule = DiscreteSchedule(parts["scheduler"])
        prediction = parts["scheduler"].get("prediction_type", "epsilon")
        super().__init__(num_classes, (parts["vae"]["latent_channels"], side, side), prediction, schedule)
        self.channels = channels
        self.unet = UNet2DConditionModel.from_config(parts["unet"])
        attend_by_class(self.unet)
        self._shares = can_share(self.unet, side, side) and attends_by_class(self.unet)
        self.vae = AutoencoderKL.from_config(parts["vae"]).requires_grad_(False)
        if config.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.register_buffer("class_tokens", torch.zeros(num_classes + 1, *parts["tokens"]))
        self._prompts = config.prompts

    def load_pretrained(self, folder: Path) -> None:
        """Take UNet, autoencoder and encoded prompts from a folder in diffusers' pipeline layout.

        Raises:
            CheckpointError: if a part is missing, is not a safetensors file, does not fit, or has values that
                are not finite.
        """
        for name, module in (("unet", UNet2DConditionModel), ("vae", AutoencoderKL)):
            getattr(self, name).load_state_dict(load_part(folder, name, module).state_dict())
        if not self._prompts or len(self._prompts) != self.num_classes:
            raise ConfigError(f"prompts: expected one a class ({self.num_classes}), got {self._prompts}")
        self.class_tokens.copy_(encode_prompts(folder, [*self._prompts, ""]))

    def forward(self, z: Tensor, logsnr: Tensor, class_ids: Tensor) -> Tensor:
        tokens = self.class_tokens[class_ids]
        level = self.schedule.level(logsnr)
        return self.unet(z, level, encoder_hidden_states=tokens, return_dict=False)[0]

    def for_all_classes(self, z: Tensor, logsnr: Tensor) -> Tensor:
        if not self._shares:
            return super().for_all_classes(z, logsnr)
        tokens = self.class_tokens[: self.num_classes]
        return unet_for_all_classes(self.unet, z, self.schedule.level(logsnr), tokens)

    def encode(self, images: Tensor) -> Tensor:
        """The mean of the autoencoder's posterior, scaled."""
        return self._posterior(images).mode() * self.vae.config.scaling_factor

    def encode_for_training(self, images: Tensor, keys: Tensor, steps: Tensor) -> Tensor:
        """A draw from the autoencoder's posterior, scaled."""
        posterior = self._posterior(in_unit_range(images))
        noise = normal(keys, steps, posterior.mean.shape[1:], STREAM_LATENT)
        return (posterior.mean + posterior.std * noise) * self.vae.config.scaling_factor

    def decode(self, x: Tensor) -> Tensor:
        images = self.vae.decode(x / self.vae.config.scaling_factor, return_dict=False)[0].float()
        return images if self.channels == _RGB else images.mean(dim=1, keepdim=True)

    def training_logsnr(self, t: Tensor) -> Tensor:
        return self.schedule.training_logsnr(t)

    @torch.no_grad()
    def _posterior(self, images: Tensor) -> Any:
        return self.vae.encode(images.expand(-1, _RGB, -1, -1)).latent_dist
