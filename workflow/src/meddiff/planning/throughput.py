"""How fast networks run: one figure from the user, or measured here for each network."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from meddiff.config.compute import ComputeConfig
from meddiff.config.model import AnyModel
from meddiff.devices.autocast import autocast
from meddiff.devices.prepare import prepare_network
from meddiff.models import build_model
from meddiff.planning.networks import NetworkCost, network_input, training_passes

log = logging.getLogger("meddiff")

_FLOPS_OF_A_CPU_PASS = 2e10
_SMALLEST = 2  # batch normalisation needs more than one image


@dataclass(frozen=True)
class Rate:
    """FLOPs a second of passes without and with gradients."""

    inference: float
    training: float


def calibrate(
    networks: Mapping[str, tuple[AnyModel, NetworkCost, tuple[int, int, int]]],
    precision: str,
    compute: ComputeConfig,
    *,
    seconds: float = 60.0,
    batch_size: int = 128,
    training_factor: float = 3.0,
) -> dict[str, Rate]:
    """Measure on this machine's GPU (or its CPU, if it has none) how fast networks run.

    Every network runs with random weights, without and with gradients, for an equal share of the time and at
    least once. What does not fit into memory is tried again with half the batch.

    Args:
        networks: name -> configuration with architecture, cost, and (classes, channels, image size).
        precision: of inference; training has the model's own.
        compute: attention kernel, memory format, precision of matrix products.
        seconds: for all measurements, without building the networks.
        batch_size: network inputs a pass; fewer on a CPU, where networks are large.
        training_factor: see `meddiff.planning.networks.training_passes`.

    Returns:
        name -> rates.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    share = seconds / (2 * len(networks))
    rates = {}
    for name, (config, cost, (classes, channels, size)) in networks.items():
        torch.manual_seed(0)
        network = build_model(config, classes, channels, size).to(device)
        prepare_network(network, compute, device, precision)
        batch = batch_size
        if device.type == "cpu":  # large networks would take minutes for one pass
            batch = min(batch_size, max(_SMALLEST, int(_FLOPS_OF_A_CPU_PASS / cost.forward)))
        images = torch.zeros(batch, channels, size, size, device=device)
        forward = _rate(partial(_forward, network, images, precision), batch, share, device) * cost.forward
        training = forward
        if config.train:
            mixed = config.train.mixed_precision
            inputs = _rate(partial(_backward, network, images, mixed), batch, share, device)
            training = inputs * training_passes(config, training_factor) * cost.forward
        rates[name] = Rate(forward, training)
        log.info("%s on %s: %.3g TFLOP/s, in training %.3g", name, device, forward / 1e12, training / 1e12)
    return rates


def _forward(network: torch.nn.Module, images: torch.Tensor, precision: str, batch: int) -> None:
    network.eval()
    with torch.inference_mode(), autocast(images.device, precision):
        network(*network_input(network, images[:batch]))


def _backward(network: torch.nn.Module, images: torch.Tensor, precision: str, batch: int) -> None:
    network.train()
    with autocast(images.device, precision):
        loss = network(*network_input(network, images[:batch])).float().square().mean()
    loss.backward()
    network.zero_grad(set_to_none=True)


def _rate(run: Callable[[int], None], batch: int, seconds: float, device: torch.device) -> float:
    """Network inputs a second of `run`, which takes a batch size."""
    while True:
        try:
            run(batch)  # kernels are chosen and memory is taken in the first pass
            break
        except torch.cuda.OutOfMemoryError:
            if batch == _SMALLEST:
                raise
            batch = max(_SMALLEST, batch // 2)
            torch.cuda.empty_cache()
    passes, started = 0, time.perf_counter()
    while not passes or time.perf_counter() - started < seconds:
        run(batch)
        passes += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
    return passes * batch / (time.perf_counter() - started)
