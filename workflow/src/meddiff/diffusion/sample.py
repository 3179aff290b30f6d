"""Samplers and counterfactuals: functions of a denoiser, with the source of noise handed in."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.schedule import alpha_sigma

DrawNoise = Callable[[int], Tensor]


@dataclass(frozen=True)
class Sampling:
    """How to denoise.

    Attributes:
        from_t: time to begin at, in (0, 1].
        steps: number of steps of equal length, down to time 0.
        cfg_scale: see `guided_output`.
        sampler: ``ancestral`` or ``ddim`` (which draws no noise).
        extra_last_step: as the authors published it: the last step adds noise too, and a further one denoises
            its result once more from the noise level before it (which is no longer its own).
    """

    from_t: float
    steps: int
    cfg_scale: float
    sampler: Literal["ancestral", "ddim"] = "ancestral"
    extra_last_step: bool = False


def guided_output(
    denoiser: Denoiser, z: Tensor, logsnr: Tensor, class_ids: Tensor, cfg_scale: float
) -> Tensor:
    """What the network predicts under classifier-free guidance (Ho & Salimans 2022), fp32.

    null + `cfg_scale` (class - null): 1 is no guidance. The authors' weight w is `cfg_scale` - 1.
    """
    if cfg_scale == 1.0:
        return denoiser(z, logsnr, class_ids).float()
    null_ids = torch.full_like(class_ids, denoiser.null_class)
    output = denoiser(z.repeat(2, 1, 1, 1), logsnr.repeat(2), torch.cat((class_ids, null_ids)))
    conditional, unconditional = output.float().chunk(2)
    return unconditional + cfg_scale * (conditional - unconditional)


def ancestral_step(
    z: Tensor, x_hat: Tensor, logsnr_t: Tensor, logsnr_s: Tensor, noise: Tensor | None
) -> Tensor:
    """One step of DDPM's posterior from noise level t to the lower level s.

    With c = 1 - exp(logSNR_t - logSNR_s): mean alpha_s (z (1 - c) / alpha_t + c x_hat), variance
    sigma_s^2 c (Kingma et al. 2021, appendix A.2).

    Args:
        z, x_hat: [N, C, H, W].
        logsnr_t, logsnr_s: [N].
        noise: standard normal, shape of `z`; None returns the mean.
    """
    alpha_t, _ = alpha_sigma(logsnr_t, z.ndim)
    alpha_s, sigma_s = alpha_sigma(logsnr_s, z.ndim)
    c = -torch.expm1(logsnr_t - logsnr_s).reshape(-1, *(1,) * (z.ndim - 1))
    mean = alpha_s * (z * (1.0 - c) / alpha_t + c * x_hat)
    return mean if noise is None else mean + sigma_s * c.sqrt() * noise


def ddim_step(z: Tensor, x_hat: Tensor, logsnr_t: Tensor, logsnr_s: Tensor) -> Tensor:
    """One deterministic step from noise level t to s (Song et al. 2021, eq. 12 with eta 0)."""
    alpha_t, sigma_t = alpha_sigma(logsnr_t, z.ndim)
    alpha_s, sigma_s = alpha_sigma(logsnr_s, z.ndim)
    return alpha_s * x_hat + sigma_s * (z - alpha_t * x_hat) / sigma_t


def sample(
    denoiser: Denoiser,
    z: Tensor,
    class_ids: Tensor,
    sampling: Sampling,
    draw_noise: DrawNoise,
    on_step: Callable[[], None] = lambda: None,
) -> Tensor:
    """Samples in the denoiser's space, [N, C, H, W]; the last step is the posterior mean, without noise.

    Args:
        denoiser: in eval mode; the predicted image of every step is bounded by its `x_bound`.
        z: [N, C, H, W], at noise level `sampling.from_t`.
        class_ids: int64 [N], the class to sample.
        draw_noise: called with 1, 2, ... for the noise of each ancestral step, shape of `z`.
        on_step: called before every step; it may raise to stop the sampling.
    """
    bound = math.inf if denoiser.x_bound is None else denoiser.x_bound
    times = torch.linspace(sampling.from_t, 0.0, sampling.steps + 1, device=z.device)
    pairs = [(index, index + 1) for index in range(sampling.steps)]
    pairs += pairs[-1:] * sampling.extra_last_step
    for number, (now, then) in enumerate(pairs, start=1):
        on_step()
        logsnr_t = denoiser.schedule.logsnr(times[now]).expand(len(z))
        logsnr_s = denoiser.schedule.logsnr(times[then]).expand(len(z))
        output = guided_output(denoiser, z, logsnr_t, class_ids, sampling.cfg_scale)
        x_hat = denoiser.x_from_output(output, z, logsnr_t).clamp(-bound, bound)
        if sampling.sampler == "ddim":
            z = ddim_step(z, x_hat, logsnr_t, logsnr_s)
        else:
            last = number == len(pairs)
            z = ancestral_step(z, x_hat, logsnr_t, logsnr_s, None if last else draw_noise(number))
    return z.clamp(-bound, bound)


def counterfactual(
    denoiser: Denoiser,
    x: Tensor,
    class_ids: Tensor,
    sampling: Sampling,
    draw_noise: DrawNoise,
    on_step: Callable[[], None] = lambda: None,
) -> Tensor:
    """What `x` would look like as another class: noised to `sampling.from_t`, then denoised as `class_ids`.

    With its own class the result is the factual reconstruction; from the same noise the two differ only
    by the class. Both are in the denoiser's space, [N, C, H, W].

    Args:
        x: encoded images, [N, C, H, W].
        class_ids: int64 [N], the target classes.
        draw_noise: called with 0 for the noise that takes `x` to `sampling.from_t`, then as in `sample`.
    """
    logsnr = denoiser.schedule.logsnr(torch.full((len(x),), sampling.from_t, device=x.device))
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    return sample(denoiser, alpha * x + sigma * draw_noise(0), class_ids, sampling, draw_noise, on_step)
