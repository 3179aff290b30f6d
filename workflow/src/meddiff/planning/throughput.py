"""How fast networks run: one figure from the user, or measured here for each network."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import torch

from meddiff.config.schema.compute import ComputeConfig
from meddiff.config.schema.model import AnyModel
from meddiff.devices.autocast import autocast, training_precision
from meddiff.models.kinds import build_model, network_input
from meddiff.networks.prepare import prepare_network
from meddiff.planning.networks import NetworkCost, training_passes

log = logging.getLogger("meddiff")

PRECISIONS = ("fp32", "fp16", "bf16")
_FLOPS_OF_A_CPU_PASS = 2e10
_SMALLEST = 2  # batch normalisation needs more than one image


@dataclass(frozen=True)
class Rate:
    """FLOPs a second of passes without and with gradients.

    Attributes:
        inference: by precision of the network (``fp32``, ``fp16``, ``bf16``).
        training: in the precision of the model's own training.
    """

    inference: Mapping[str, float]
    training: float

    @classmethod
    def of_all(cls, flops: float) -> Rate:
        """The same for all passes."""
        return cls(dict.fromkeys(PRECISIONS, flops), flops)


def calibrate(
    networks: Mapping[str, tuple[AnyModel, NetworkCost, tuple[int, int, int]]],
    precisions: Mapping[str, Collection[str]],
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
        precisions: name -> those that its passes without gradients have; training has the model's own.
        compute: attention kernel, memory format, precision of matrix products.
        seconds: for all measurements, without building the networks.
        batch_size: network inputs a pass; fewer on a CPU, where networks are large.
        training_factor: see `meddiff.planning.networks.training_passes`.

    Returns:
        name -> rates.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    share = seconds / sum(len(precisions[name]) + bool(networks[name][0].train) for name in networks)
    rates = {}
    for name, (config, cost, shape) in networks.items():
        batch = batch_size
        if device.type == "cpu":  # large networks would take minutes for one pass
            batch = min(batch_size, max(_SMALLEST, int(_FLOPS_OF_A_CPU_PASS / cost.forward)))
        images = torch.zeros(batch, shape[1], shape[2], shape[2], device=device)
        measure = partial(_measured, config, shape, compute, images, share)
        inference = {
            precision: measure(_forward, precision) * cost.forward for precision in sorted(precisions[name])
        }
        training = 0.0
        if config.train:
            inputs = measure(_backward, training_precision(config.train.mixed_precision, device))
            training = inputs * training_passes(config, training_factor) * cost.forward
        rates[name] = Rate(inference, training)
        shown = ", ".join(f"{precision} {rate / 1e12:.3g}" for precision, rate in inference.items())
        log.info("%s on %s: TFLOP/s: %s, in training %.3g", name, device, shown, training / 1e12)
    return rates


def _measured(
    config: AnyModel,
    shape: tuple[int, int, int],
    compute: ComputeConfig,
    images: torch.Tensor,
    seconds: float,
    run: Callable[[torch.nn.Module, torch.Tensor, str, int], None],
    precision: str,
) -> float:
    """Network inputs a second. The network is built anew: precision decides what computes its attention."""
    torch.manual_seed(0)
    network = build_model(config, *shape)
    prepare_network(network, compute, images.device, precision)
    return _rate(partial(run, network, images, precision), len(images), seconds, images.device)


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
