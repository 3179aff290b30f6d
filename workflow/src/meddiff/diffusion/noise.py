"""Counter-based random numbers: every draw is a pure function of (seed, name, step, stream).

The generator is Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"),
written in tensor operations, so that the noise of an image's k-th step is the same integer stream
whatever the batch, the shard, the order or the device.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF
_GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0

STREAM_EPS, STREAM_T, STREAM_LABEL_DROPOUT, STREAM_SAMPLER, STREAM_AUGMENTATION, STREAM_LATENT = range(6)


def noise_keys(seed: int, names: Sequence[str]) -> Tensor:
    """64-bit keys for `names` under `seed`.

    Args:
        seed: any integer.
        names: image ids, or any other names of independent streams.

    Returns:
        int64 [len(names), 2], two 32-bit words a name, on the CPU.
    """
    words = []
    for name in names:
        digest = hashlib.blake2b(f"{seed}\0{name}".encode(), digest_size=8).digest()
        words.append([int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")])
    return torch.tensor(words, dtype=torch.int64).reshape(-1, 2)


def philox(counter: Tensor, key: Tensor) -> Tensor:
    """Philox4x32 with 10 rounds.

    Args:
        counter: int64 [..., 4], each a 32-bit word.
        key: int64 [..., 2], broadcast against `counter`.

    Returns:
        int64 [..., 4], each a uniformly distributed 32-bit word.
    """
    c0, c1, c2, c3 = counter.unbind(-1)
    k0, k1 = key.unbind(-1)
    for _ in range(10):
        # Products need 64 unsigned bits; int64 wraps to the same, and the mask drops what a shift copies.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            ((p1 >> 32) & _MASK) ^ c1 ^ k0,
            p1 & _MASK,
            ((p0 >> 32) & _MASK) ^ c3 ^ k1,
            p0 & _MASK,
        )
        k0, k1 = (k0 + _KEY_STEPS[0]) & _MASK, (k1 + _KEY_STEPS[1]) & _MASK
    return torch.stack(torch.broadcast_tensors(c0, c1, c2, c3), dim=-1)


def random_words(keys: Tensor, steps: Tensor, count: int, stream: int) -> Tensor:
    """Uniform 32-bit words for pairs of a key and a step.

    Args:
        keys: int64 [N, 2] from `noise_keys`, on the device the numbers are wanted on.
        steps: int64 [N], 0 or more.
        count: words per pair.
        stream: which use of the pair (``STREAM_...``); streams are independent.

    Returns:
        int64 [N, count], values 0 to 2^32 - 1.
    """
    n, blocks = len(steps), -(-count // 4)
    counter = torch.empty(n, blocks, 4, dtype=torch.int64, device=keys.device)
    counter[..., 0] = torch.arange(blocks, device=keys.device)
    counter[..., 1] = steps.to(keys.device)[:, None]
    counter[..., 2] = stream
    counter[..., 3] = 0
    return philox(counter, keys[:, None, :]).reshape(n, 4 * blocks)[:, :count]


def uniform(keys: Tensor, steps: Tensor, count: int, stream: int) -> Tensor:
    """Uniform fp32 numbers in [0, 1), [N, count]; arguments as in `random_words`."""
    return (random_words(keys, steps, count, stream) >> 8).float() * 2.0**-24


def normal(keys: Tensor, steps: Tensor, shape: Sequence[int], stream: int = STREAM_EPS) -> Tensor:
    """Standard normal fp32 numbers by Box & Muller's transform.

    Args:
        keys, steps, stream: as in `random_words`.
        shape: shape of the noise of one pair, e.g. (channels, height, width).

    Returns:
        [N, *shape]; the i-th row depends on ``keys[i]``, ``steps[i]`` and `stream` only.
    """
    count = math.prod(shape)
    words = random_words(keys, steps, count + count % 2, stream).reshape(len(steps), -1, 2)
    radius = torch.sqrt(-2.0 * torch.log(((words[..., 0] >> 8).float() + 1.0) * 2.0**-24))
    angle = (words[..., 1] >> 8).float() * (2.0 * math.pi * 2.0**-24)
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=-1)
    return pairs.reshape(len(steps), -1)[:, :count].reshape(len(steps), *shape)


def noise_levels(keys: Tensor, steps: Tensor, kind: str) -> Tensor:
    """Times t in [0, 1) of classification steps, fp32 [N].

    ``uniform``: independent draws, as in the paper. ``low_discrepancy``: for every image an additive
    golden-ratio sequence with a random start, so that any first n steps cover [0, 1) evenly. ``antithetic``:
    independent draws for pairs of steps, whose noise is opposite (`classification_noise`).

    Args:
        keys: int64 [N, 2], one row per (image, step).
        steps: int64 [N].
        kind: ``uniform``, ``low_discrepancy`` or ``antithetic``.

    Raises:
        ValueError: for another kind.
    """
    if kind == "uniform":
        return uniform(keys, steps, 1, STREAM_T)[:, 0]
    if kind == "antithetic":
        return uniform(keys, steps - steps % 2, 1, STREAM_T)[:, 0]
    if kind == "low_discrepancy":
        start = uniform(keys, torch.zeros_like(steps), 1, STREAM_T)[:, 0].double()
        t = (start + steps.to(start.device).double() * _GOLDEN_RATIO) % 1.0
        return t.float().clamp(max=1.0 - 2.0**-24)
    raise ValueError(f"noise levels {kind!r}: expected 'uniform', 'low_discrepancy' or 'antithetic'")


def classification_noise(keys: Tensor, steps: Tensor, shape: Sequence[int], kind: str) -> Tensor:
    """Noise of classification steps, [N, *shape]; arguments as in `noise_levels`.

    Steps 2j and 2j + 1 of ``antithetic`` have the same noise with opposite signs; other kinds have
    independent draws.
    """
    if kind != "antithetic":
        return normal(keys, steps, shape, STREAM_EPS)
    odd = (steps % 2).to(keys.device)
    noise = normal(keys, steps - steps % 2, shape, STREAM_EPS)
    return noise * (1.0 - 2.0 * odd.reshape(-1, *(1,) * len(shape)))
