"""The dial: larger is larger, more data never means less, and everything fits together."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.starting.sizing import DIALS, Device, Fingerprint, dit, image_side, sizes, unet

fingerprints = st.builds(
    Fingerprint,
    images=st.integers(6, 500_000),
    judged=st.integers(4, 200_000),
    side=st.integers(1, 8000),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(2, 50),
)
devices = st.builds(Device, gpu=st.booleans(), memory=st.floats(0.5, 200))
few = settings(max_examples=60)


@few
@given(fingerprints, devices, st.sampled_from(DIALS))
def test_limits(data: Fingerprint, device: Device, dial: str) -> None:
    found = sizes(dial, data, device)
    assert 32 <= found.image_size <= 256 and found.image_size % 32 == 0
    assert found.image_size < data.side + 32
    assert 8 <= found.batch <= 128 and 1 <= found.accumulate <= found.batch
    assert found.batch <= max(8, data.images // 8)
    assert 1 <= found.warmup < found.steps <= 100_000
    assert found.epochs == 0 or (
        found.epochs >= 2 and found.epochs * data.images >= found.steps * found.batch
    )
    assert found.epochs <= 300 or found.steps == 50
    assert found.score_steps % 2 and 5 <= found.score_steps <= 501
    assert found.validation_steps % 2 and found.validation_steps <= found.score_steps


@few
@given(fingerprints, devices)
def test_a_larger_dial_is_never_smaller(data: Fingerprint, device: Device) -> None:
    found = [sizes(dial, data, device) for dial in DIALS]
    for value in ("image_size", "batch", "score_steps"):
        row = [getattr(one, value) for one in found]
        assert row == sorted(row)
    seen = [one.steps * one.batch for one in found]
    assert all(larger >= smaller - 128 for smaller, larger in pairwise(seen))  # a batch is not divided
    assert [one.lr for one in found] == sorted([one.lr for one in found], reverse=True)
    layers = [prod(list(dit(one).values())[:3]) for one in found]
    assert layers == sorted(set(layers))


@few
@given(fingerprints, devices, st.sampled_from(DIALS), st.integers(1, 10))
def test_more_data_and_memory_never_mean_less(
    data: Fingerprint, device: Device, dial: str, times: int
) -> None:
    more = Fingerprint(
        data.images * times, data.judged * times, data.side * times, data.channels, data.classes
    )
    small, large = sizes(dial, data, device), sizes(dial, more, device)
    assert small.batch <= large.batch and small.image_size <= large.image_size
    assert small.steps * small.batch <= large.steps * large.batch
    assert small.score_steps >= large.score_steps
    roomy = sizes(dial, data, Device(device.gpu, device.memory * times))
    assert roomy.accumulate <= small.accumulate


@pytest.mark.parametrize("dial", DIALS)
@pytest.mark.parametrize("native", [20, 28, 48, 64, 100, 128, 224, 256, 1024])
@pytest.mark.parametrize("channels", [1, 3])
def test_networks_fit_their_side(dial: str, native: int, channels: int) -> None:
    found = sizes(dial, Fingerprint(1000, 400, native, channels, 2), Device(True, 80))
    assert found.image_size == image_side(dial, native)
    net, parts = found.image_size // 2, unet(found, channels)
    levels = len(parts["block_out_channels"])
    assert levels == len(parts["down_block_types"]) == len(parts["up_block_types"])
    assert net % 2 ** (levels - 1) == 0 and net / 2 ** (levels - 1) >= 4
    assert parts["down_block_types"].index("CrossAttnDownBlock2D") == levels - 2
    assert parts["up_block_types"].index("CrossAttnUpBlock2D") == 1
    for width in parts["block_out_channels"]:
        assert width % parts["norm_num_groups"] == 0 and width % parts["attention_head_dim"] == 0
    patch = dit(found)["patch_size"]
    assert net % patch == 0 and (net // patch) ** 2 <= 1024
