"""Make a Stable Diffusion small enough for a laptop, in the folder layout of the real one.

It walks the same code as the real model: tokenizer, text encoder, autoencoder, UNet and scheduler are
written by their libraries' `save_pretrained` and read back like a fetched folder. Only the autoencoder
is trained (briefly); tokenizer, text encoder and UNet know nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDPMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor
from torch.nn import functional
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from meddiff.data.stores.store import Store
from meddiff.diffusion.pixels import to_unit_range
from meddiff.progress import track

_MAX_TOKENS = 77
_WIDTH = 32
_BATCH = 16
_LR = 4e-3
_KL_WEIGHT = 1e-4


def make_tiny_stable_diffusion(
    stores: Sequence[Path], out_dir: Path, *, seed: int = 0, autoencoder_steps: int = 150
) -> None:
    """Write the folder; it is renamed into place when it is complete.

    Args:
        stores: image stores of one size; the autoencoder is fit to their training images.
        out_dir: the folder to write, replaced if it exists.
        seed: of all initial weights and of the autoencoder's training.
        autoencoder_steps: optimizer steps of the autoencoder.
    """
    torch.manual_seed(seed)
    images = [Store.open(store, "train").images for store in stores]
    vae = _autoencoder(images, autoencoder_steps, seed)
    side = images[0].shape[1] // 2 ** (len(vae.config.block_out_channels) - 1)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=_text_encoder(),
        tokenizer=_tokenizer(),
        unet=_unet(side, vae.config.latent_channels),
        scheduler=DDPMScheduler(
            clip_sample=False,
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            steps_offset=1,
        ),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    partial = out_dir.with_name(f"{out_dir.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    pipeline.save_pretrained(str(partial), safe_serialization=True)
    shutil.rmtree(out_dir, ignore_errors=True)
    partial.replace(out_dir)


def _tokenizer() -> CLIPTokenizer:
    """One token a byte: no merges had to be learnt."""
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{byte}</w>" for byte in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=_MAX_TOKENS)


def _text_encoder() -> CLIPTextModel:
    vocabulary = len(_tokenizer())
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary,
            hidden_size=_WIDTH,
            intermediate_size=2 * _WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=_MAX_TOKENS,
            projection_dim=_WIDTH,
            bos_token_id=vocabulary - 2,
            eos_token_id=vocabulary - 1,
            pad_token_id=vocabulary - 1,
        )
    ).eval()


def _unet(side: int, latent_channels: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        layers_per_block=1,
        block_out_channels=(_WIDTH // 2, _WIDTH),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=4,
        cross_attention_dim=_WIDTH,
    )


def _autoencoder(images: Sequence[np.ndarray], steps: int, seed: int) -> AutoencoderKL:
    """Fit an autoencoder that halves the sides; its latents are scaled to unit deviation."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        block_out_channels=(8, 16),
        latent_channels=4,
        norm_num_groups=4,
        sample_size=images[0].shape[1],
    )
    optimizer = torch.optim.Adam(vae.parameters(), lr=_LR)
    draw = np.random.Generator(np.random.Philox(key=seed))
    for step in track(range(steps), "autoencoder"):
        batch = _batch(images[step % len(images)], draw)
        posterior = vae.encode(batch).latent_dist
        decoded = vae.decode(posterior.sample(), return_dict=False)[0]
        loss = functional.mse_loss(decoded, batch) + _KL_WEIGHT * posterior.kl().mean() / batch[0].numel()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        latents = torch.cat([vae.encode(_batch(array, draw)).latent_dist.mode() for array in images])
    vae.register_to_config(scaling_factor=round(1.0 / latents.std().item(), 5))
    return vae.eval()


def _batch(images: np.ndarray, draw: np.random.Generator) -> Tensor:
    rows = draw.choice(len(images), min(_BATCH, len(images)), replace=False)
    return to_unit_range(torch.from_numpy(np.ascontiguousarray(images[rows]))).expand(-1, 3, -1, -1)
