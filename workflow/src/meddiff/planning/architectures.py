"""Architectures of Stable Diffusion models whose folder is not here yet, as their configuration files say."""

from __future__ import annotations

from typing import Any

_SCHEDULER = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
_SCHEDULER |= {"beta_schedule": "scaled_linear"}

# unet/config.json, vae/config.json and text_encoder/config.json of stable-diffusion-2-base, as far as shapes
# depend on them.
STABLE_DIFFUSION_2_BASE: dict[str, Any] = {
    "unet": {
        "sample_size": 64,
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 2,
        "block_out_channels": [320, 640, 1280, 1280],
        "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
        "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
        "attention_head_dim": [5, 10, 20, 20],
        "cross_attention_dim": 1024,
        "use_linear_projection": True,
    },
    "vae": {
        "sample_size": 768,
        "in_channels": 3,
        "out_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    "scheduler": _SCHEDULER,
    "tokens": [77, 1024],
}
TEXT_ENCODER_PARAMETERS = 340_387_840

# What `meddiff.networks.tiny_stable_diffusion` makes.
TINY_STABLE_DIFFUSION: dict[str, Any] = {
    "unet": {
        "in_channels": 4,
        "out_channels": 4,
        "layers_per_block": 1,
        "block_out_channels": [16, 32],
        "down_block_types": ["DownBlock2D", "CrossAttnDownBlock2D"],
        "up_block_types": ["CrossAttnUpBlock2D", "UpBlock2D"],
        "norm_num_groups": 8,
        "attention_head_dim": 4,
        "cross_attention_dim": 32,
    },
    "vae": {
        "latent_channels": 4,
        "block_out_channels": [8, 16],
        "down_block_types": ["DownEncoderBlock2D"] * 2,
        "up_block_types": ["UpDecoderBlock2D"] * 2,
        "norm_num_groups": 4,
    },
    "scheduler": _SCHEDULER,
    "tokens": [77, 32],
}
