"""Counter-based random numbers: the right generator, the right distributions, no trace of the batch."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from meddiff.diffusion.noise import (
    STREAM_EPS,
    STREAM_LABEL_DROPOUT,
    STREAM_SAMPLER,
    STREAM_T,
    classification_noise,
    noise_keys,
    noise_levels,
    normal,
    philox,
    random_words,
    uniform,
)

WORD = st.integers(0, 2**32 - 1)
NAMES = [f"image {i}" for i in range(64)]


def philox_in_python(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 as in Salmon et al. 2011, section 3.3, on Python's integers."""
    x, k, mask = list(counter), list(key), 2**32 - 1
    for _ in range(10):
        left, right = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [right >> 32 ^ x[1] ^ k[0], right & mask, left >> 32 ^ x[3] ^ k[1], left & mask]
        k = [(k[0] + 0x9E3779B9) & mask, (k[1] + 0xBB67AE85) & mask]
    return x


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ([0] * 4, [0] * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ([2**32 - 1] * 4, [2**32 - 1] * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
            [0xA4093822, 0x299F31D0],
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_against_published_vectors(counter, key, expected):
    words = philox(torch.tensor(counter), torch.tensor(key)).tolist()
    assert " ".join(f"{word:08x}" for word in words) == expected
    assert philox_in_python(counter, key) == words


@given(counter=st.lists(WORD, min_size=4, max_size=4), key=st.lists(WORD, min_size=2, max_size=2))
@settings(max_examples=60, deadline=None)
def test_philox_against_plain_integers(counter, key):
    assert philox(torch.tensor(counter), torch.tensor(key)).tolist() == philox_in_python(counter, key)


def test_words_are_the_generator_s_blocks_in_order():
    keys, steps = noise_keys(3, ["a", "b"]), torch.tensor([5, 9])
    words = random_words(keys, steps, 10, STREAM_SAMPLER)
    for row in range(2):
        key, step = keys[row].tolist(), steps[row].item()
        expected = [w for block in range(3) for w in philox_in_python([block, step, STREAM_SAMPLER, 0], key)]
        assert words[row].tolist() == expected[:10]


@given(seed=st.integers(), names=st.lists(st.text(max_size=20), unique=True, max_size=4))
@settings(max_examples=25, deadline=None)
def test_keys_are_32_bit_words_that_depend_on_seed_and_name_only(seed, names):
    keys = noise_keys(seed, names)
    assert keys.shape == (len(names), 2)
    assert ((keys >= 0) & (keys < 2**32)).all()
    assert len({tuple(key) for key in keys.tolist()}) == len(names)
    for i, name in enumerate(names):
        assert torch.equal(noise_keys(seed, [name])[0], keys[i])
        assert not torch.equal(noise_keys(seed + 1, [name])[0], keys[i])


def test_normal_is_standard_normal():
    keys, steps = noise_keys(1, NAMES), torch.zeros(64, dtype=torch.int64)
    sample = normal(keys, steps, (1, 33, 31)).flatten().double().numpy()
    n = len(sample)
    assert abs(sample.mean()) < 4 / math.sqrt(n)
    assert abs(sample.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((sample**3).mean()) < 4 * math.sqrt(15 / n)
    assert abs((sample**4).mean() - 3) < 4 * math.sqrt(96 / n)
    assert kstest(sample, "norm").pvalue > 1e-3


def test_uniform_is_uniform_and_below_one():
    keys, steps = noise_keys(1, NAMES), torch.zeros(64, dtype=torch.int64)
    sample = uniform(keys, steps, 1023, STREAM_T).flatten()
    assert sample.min() >= 0 and sample.max() < 1
    assert kstest(sample.numpy(), "uniform").pvalue > 1e-3


def test_largest_and_smallest_words_stay_in_range(monkeypatch):
    """The ends of the integer range must give neither 1.0 nor an infinite normal number."""
    ends = torch.tensor([[2**32 - 1, 0, 0, 2**32 - 1]])
    monkeypatch.setattr("meddiff.diffusion.noise.random_words", lambda *args: ends)
    key, step = noise_keys(0, ["a"]), torch.tensor([0])
    assert uniform(key, step, 4, STREAM_T).tolist() == [[1 - 2**-24, 0, 0, 1 - 2**-24]]
    assert torch.isfinite(normal(key, step, (4,))).all()


def test_draws_of_different_name_seed_step_stream_and_element_are_uncorrelated():
    steps = torch.zeros(64, dtype=torch.int64)
    first = normal(noise_keys(0, NAMES), steps, (1024,))
    others = {
        "seed": normal(noise_keys(1, NAMES), steps, (1024,)),
        "step": normal(noise_keys(0, NAMES), steps + 1, (1024,)),
        "name": first.roll(1, dims=0),
        "element": first.roll(1, dims=1),
        **{
            f"stream {stream}": normal(noise_keys(0, NAMES), steps, (1024,), stream)
            for stream in (STREAM_T, STREAM_LABEL_DROPOUT, STREAM_SAMPLER)
        },
    }
    for what, other in others.items():
        correlation = np.corrcoef(first.flatten(), other.flatten())[0, 1]
        assert abs(correlation) < 4 / math.sqrt(first.numel()), what


@given(
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    batch=st.sampled_from([1, 3, 7, 16, 63, 64]),
    order=st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).permutation(64)),
)
@settings(max_examples=15, deadline=None)
def test_noise_of_an_image_is_bitwise_the_same_in_any_batch(shape, batch, order):
    keys, steps, order = noise_keys(2, NAMES), torch.arange(64) % 11, torch.from_numpy(order)
    everything = [
        normal(keys, steps, shape, STREAM_EPS),
        uniform(keys, steps, 3, STREAM_T),
        noise_levels(keys, steps, "uniform"),
        noise_levels(keys, steps, "low_discrepancy"),
    ]
    for start in range(0, 64, batch):
        rows = order[start : start + batch]
        part = [
            normal(keys[rows], steps[rows], shape, STREAM_EPS),
            uniform(keys[rows], steps[rows], 3, STREAM_T),
            noise_levels(keys[rows], steps[rows], "uniform"),
            noise_levels(keys[rows], steps[rows], "low_discrepancy"),
        ]
        for whole, piece in zip(everything, part, strict=True):
            assert torch.equal(whole[rows], piece)


@pytest.mark.parametrize("shape", [(1, 64, 64), (12, 16, 16), (3, 63, 65), (4, 17, 31)])
def test_noise_of_larger_images_is_bitwise_the_same_alone(shape):
    keys, steps = noise_keys(2, NAMES[:7]), torch.arange(7)
    whole = normal(keys, steps, shape)
    for row in range(7):
        assert torch.equal(normal(keys[row : row + 1], steps[row : row + 1], shape)[0], whole[row])


@given(name=st.text(min_size=1), n=st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_any_prefix_of_the_low_discrepancy_sequence_covers_the_unit_interval(name, n):
    keys = noise_keys(0, [name]).expand(n, 2)
    t = noise_levels(keys, torch.arange(n), "low_discrepancy").double().sort().values.numpy()
    assert t[0] >= 0 and t[-1] < 1
    gaps = np.diff(np.append(t, t[0] + 1))
    # Gaps of multiples of the golden ratio are at most (1 + 2 / sqrt 5) / n (three-distance theorem).
    assert gaps.max() <= (1 + 2 / math.sqrt(5)) / n + 1e-6


def test_low_discrepancy_starts_differ_between_images_and_are_uniform():
    keys = noise_keys(0, [str(i) for i in range(2000)])
    start = noise_levels(keys, torch.zeros(2000, dtype=torch.int64), "low_discrepancy")
    assert kstest(start.numpy(), "uniform").pvalue > 1e-3


def test_unknown_noise_levels():
    with pytest.raises(ValueError, match="'uniform', 'low_discrepancy' or 'antithetic'"):
        noise_levels(noise_keys(0, ["a"]), torch.tensor([0]), "stratified")


def test_antithetic_steps_come_in_pairs_of_opposite_noise_at_one_level():
    keys = noise_keys(3, ["a", "b"]).repeat_interleave(6, dim=0)
    steps = torch.arange(6).repeat(2)
    t = noise_levels(keys, steps, "antithetic")
    eps = classification_noise(keys, steps, (2, 3, 3), "antithetic")
    assert torch.equal(t[::2], t[1::2]) and len(set(t.tolist())) == 6
    assert torch.equal(eps[::2], -eps[1::2])
    # The first of each pair is the step that other kinds have there.
    assert torch.equal(t[::2], noise_levels(keys, steps, "uniform")[::2])
    for kind in ("uniform", "low_discrepancy"):
        plain = classification_noise(keys, steps, (2, 3, 3), kind)
        assert torch.equal(plain, normal(keys, steps, (2, 3, 3)))
        assert torch.equal(plain[::2], eps[::2])
