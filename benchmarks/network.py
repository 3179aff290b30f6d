"""What each switch of the network gives, and how far its errors are from those of plain fp32.

All switches see the same weights, images, noise and noise levels. Speeds are network inputs (images times
classes) a second, each the median of interleaved runs. What needs an NVIDIA card is left out without one.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from meddiff.config.schema.compute import ComputeConfig
from meddiff.data.stores.store import Store
from meddiff.diffusion.denoiser import Denoiser
from meddiff.diffusion.errors import classification_errors
from meddiff.diffusion.noise import classification_noise, noise_keys, noise_levels
from meddiff.diffusion.pixels import to_unit_range
from meddiff.diffusion.schedule import alpha_sigma
from meddiff.models.trained import default_device, load_model
from meddiff.networks.prepare import compile_network, prepare_network

IMAGES, SEED = 64, 0
PLAIN = ComputeConfig(attention="sdpa", channels_last=False)


@dataclass(frozen=True)
class Switch:
    """One way to run the network.

    Attributes:
        name: as in the table.
        compute: how the network is prepared.
        precision: of its body.
        errors: (denoiser, x, t, eps) to errors [N, K].
    """

    name: str
    compute: ComputeConfig = PLAIN
    precision: str = "fp32"
    errors: Callable[[Denoiser, Tensor, Tensor, Tensor], Tensor] = classification_errors


def one_class_after_another(denoiser: Denoiser, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Errors [N, K] by K passes."""
    z, logsnr = _noised(denoiser, x, t, eps)
    found = []
    for c in range(denoiser.num_classes):
        eps_hat = denoiser.predict_eps(z, logsnr, torch.full((len(x),), c, device=x.device))
        found.append((eps_hat - eps).square().flatten(1).sum(dim=1))
    return torch.stack(found, dim=1)


def classes_stacked(denoiser: Denoiser, x: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    """Errors [N, K] by one pass with all classes in the batch, and nothing shared."""
    z, logsnr = _noised(denoiser, x, t, eps)
    eps_hat = denoiser.eps_from_output(Denoiser.for_all_classes(denoiser, z, logsnr), z, logsnr)
    return (eps_hat - eps).square().flatten(2).sum(dim=2).T


def switches(device: torch.device) -> list[Switch]:
    """What can be tried on `device`; the first is what the others are compared with."""

    def compute(**settings: Any) -> ComputeConfig:
        return PLAIN.model_copy(update=settings)

    graphs = compute(channels_last=True, compile="reduce-overhead")
    found = [
        Switch("one class after another", errors=one_class_after_another),
        Switch("classes stacked", errors=classes_stacked),
        Switch("shared prefix and class tokens"),
        Switch("+ channels_last", compute(channels_last=True)),
        Switch("+ bf16", compute(), "bf16"),
        Switch("+ torch.compile", compute(compile="default")),
        Switch("+ torch.compile, channels_last", compute(compile="default", channels_last=True)),
    ]
    if device.type == "cuda":
        found += [
            Switch("+ fp16", compute(), "fp16"),
            Switch("+ TF32", compute(tf32=True)),
            Switch("+ fp16, channels_last", compute(channels_last=True), "fp16"),
            Switch(
                "+ bf16, channels_last, CUDA graphs",
                graphs,
                "bf16",
            ),
            Switch("+ bf16, attention as is possible", compute(attention="auto"), "bf16"),
        ]
    return found


def measure(weights: Path, store_dir: Path, runs: int = 5) -> list[dict[str, Any]]:
    """One row a switch, in the order of `switches`.

    Returns:
        name; inputs_per_second; speedup over the first, as its median and [min, max]; first_call_seconds
        (compilation included); largest relative difference of an error; share of votes that differ.
    """
    device = default_device()
    plain, _ = load_model(weights, device, PLAIN)
    store = Store.open(store_dir, "test")
    images, names = np.array(store.images[:IMAGES]), store.image_ids[:IMAGES]
    keys, steps = (
        noise_keys(SEED, names).to(device),
        torch.zeros(len(names), dtype=torch.int64, device=device),
    )
    t = noise_levels(keys, steps, "uniform")
    chosen = switches(device)
    times: list[list[float]] = [[] for _ in chosen]
    results, prepared, first = [], [], []
    with torch.inference_mode():
        x = plain.encode(to_unit_range(torch.from_numpy(images).to(device)))
        eps = classification_noise(keys, steps, x.shape[1:], "uniform")
        for switch in chosen:
            denoiser = prepare_network(copy.deepcopy(plain), switch.compute, device, switch.precision).eval()
            compile_network(denoiser, switch.compute)
            prepared.append(denoiser)
            errors, seconds = _timed(switch, denoiser, x, t, eps)
            results.append(errors.cpu().numpy())
            first.append(seconds)
        for _ in range(runs):
            for switch, denoiser, own in zip(chosen, prepared, times, strict=True):
                own.append(_timed(switch, denoiser, x, t, eps)[1])
    reference, plain_times = results[0], np.array(times[0])
    rows = []
    for switch, errors, own, seconds in zip(chosen, results, times, first, strict=True):
        ratios = plain_times / np.array(own)
        rows.append(
            {
                "name": switch.name,
                "inputs_per_second": float(errors.size / np.median(own)),
                "speedup": float(np.median(ratios)),
                "spread": [float(ratios.min()), float(ratios.max())],
                "first_call_seconds": seconds,
                "largest_relative_difference": float((np.abs(errors - reference) / reference).max()),
                "votes_changed": float((errors.argmin(axis=1) != reference.argmin(axis=1)).mean()),
            }
        )
    return rows


def _noised(denoiser: Denoiser, x: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, Tensor]:
    logsnr = denoiser.schedule.logsnr(t)
    alpha, sigma = alpha_sigma(logsnr, x.ndim)
    return alpha * x + sigma * eps, logsnr


def _timed(switch: Switch, denoiser: Denoiser, *inputs: Tensor) -> tuple[Tensor, float]:
    device, halves = inputs[0].device, {"fp16": torch.float16, "bf16": torch.bfloat16}
    dtype = halves.get(switch.precision)
    started = time.perf_counter()
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        errors = switch.errors(denoiser, *inputs)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return errors.clone(), time.perf_counter() - started


def main() -> None:
    """Print what `measure` returns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="folder of the trained weights")
    parser.add_argument("store", type=Path, help="folder of the store")
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    print(json.dumps({"switches": measure(args.weights, args.store, args.runs)}, indent=1))


if __name__ == "__main__":
    main()
