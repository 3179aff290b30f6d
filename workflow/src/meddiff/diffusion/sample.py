"""Samplers and counterfactuals: functions of a denoiser, with the source of noise handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.schedule import alpha_sigma

DrawNoise = Callable[[int], Tensor]


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
    *,
    from_t: float,
    steps: int,
    cfg_scale: float,
    draw_noise: DrawNoise,
    sampler: Literal["ancestral", "ddim"] = "ancestral",
    extra_last_step: bool = False,
    clamp: float | None = 1.0,
    on_step: Callable[[], None] | None = None,
) -> Tensor:
    """Denoise `z` from time `from_t` to 0 in `steps` steps of equal length.

    The last step is the posterior mean, without noise. With `extra_last_step` it is as the authors
    published it: the last step adds noise too, and a further step then denoises its result once more
    from the noise level before it (which is no longer its own).

    Args:
        denoiser: in eval mode.
        z: [N, C, H, W], at noise level `from_t`.
        class_ids: int64 [N], the class to sample.
        cfg_scale: see `guided_output`.
        draw_noise: called with 1, 2, ... for the noise of each ancestral step, shape of `z`.
        sampler: ``ancestral`` or ``ddim`` (which draws no noise).
        clamp: bound of the predicted image in every step and of the result; None for no bound.
        on_step: called before every step; it may raise to stop the sampling.

    Returns:
        The sample in the denoiser's space, [N, C, H, W].
    """
    times = torch.linspace(from_t, 0.0, steps + 1, device=z.device)
    pairs = [(index, index + 1) for index in range(steps)]
    if extra_last_step:
        pairs.append(pairs[-1])
    for number, (now, then) in enumerate(pairs, start=1):
        if on_step is not None:
            on_step()
        logsnr_t = denoiser.schedule.logsnr(times[now]).expand(len(z))
        logsnr_s = denoiser.schedule.logsnr(times[then]).expand(len(z))
        output = guided_output(denoiser, z, logsnr_t, class_ids, cfg_scale)
        x_hat = _bound(denoiser.x_from_output(output, z, logsnr_t), clamp)
        if sampler == "ddim":
            z = ddim_step(z, x_hat, logsnr_t, logsnr_s)
        else:
            last = number == len(pairs)
            z = ancestral_step(z, x_hat, logsnr_t, logsnr_s, None if last else draw_noise(number))
    return _bound(z, clamp)


def counterfactual(
    denoiser: Denoiser, x: Tensor, class_ids: Tensor, *, from_t: float, draw_noise: DrawNoise, **settings
) -> Tensor:
    """What `x` would look like as another class: noised to `from_t`, then denoised as `class_ids`.

    With its own class the result is the factual reconstruction; from the same noise the two differ only
    by the class.

    Args:
        x: encoded images, [N, C, H, W].
        class_ids: int64 [N], the target classes.
        from_t: how far to noise, in (0, 1].
        draw_noise: called with 0 for the noise that takes `x` to `from_t`, then as in `sample`.
        settings: the other arguments of `sample`.

    Returns:
        In the denoiser's space, [N, C, H, W].
    """
    logsnr = denoiser.schedule.logsnr(torch.full((len(x),), from_t, device=x.device))
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    z = alpha * x + sigma * draw_noise(0)
    return sample(denoiser, z, class_ids, from_t=from_t, draw_noise=draw_noise, **settings)


def _bound(x: Tensor, clamp: float | None) -> Tensor:
    return x if clamp is None else x.clamp(-clamp, clamp)
