"""Sums of evidence maps are of the steps that images use, whatever the batches and what was there before.

The map of a step here is one where its number is, so that a sum shows which maps are in it, and how often.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meddiff.config.schema.experiment import StoppingConfig
from meddiff.diffusion.step_order import by_number, in_order
from meddiff.diffusion.stopping import Rule, make_rule, stopping_steps, used_steps
from meddiff.errors import CheckpointError
from meddiff.scoring.evidence_sums import EvidenceSums, begin_sums
from meddiff.scoring.partial_evidence import ImageSum, PartialEvidence
from meddiff.scoring.passes import Work
from meddiff.scoring.work_queue import WorkQueue

RULES = [
    None,
    StoppingConfig(kind="exact"),
    StoppingConfig(kind="sequential", delta=0.3),
    StoppingConfig(kind="sequential", decision="mean", delta=0.3),
]


WIDTH = 40


def marked(row: int, steps: np.ndarray) -> ImageSum:
    return ImageSum(row, steps, np.pad(steps, (0, WIDTH - len(steps)))[None, None].astype(np.float32))


def evaluate(
    full: np.ndarray, errors: np.ndarray, order: np.ndarray | None, rule: Rule | None, sums: EvidenceSums
) -> None:
    """Complete `errors`, which are in `order` as those of `full`, as `meddiff.scoring.score.score` does."""
    queue = WorkQueue(errors, rule, in_order(sums.again, order))
    for pairs in queue.batches(5, 3):
        work = Work(pairs, queue.runs(pairs))
        steps = pairs[:, 1] if order is None else order[pairs[:, 0], pairs[:, 1]]
        maps = np.zeros((len(work.runs), 1, 1, WIDTH), dtype=np.float32)
        np.add.at(maps, (np.repeat(np.arange(len(work.runs)), work.runs), 0, 0, steps), 1)
        errors[pairs[:, 0], pairs[:, 1]] = full[pairs[:, 0], pairs[:, 1]]
        sums.add(work, steps, maps)
        sums.settle(queue)
    sums.settle(queue)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(RULES), st.booleans(), st.data())
def test_sums_are_of_the_steps_used(seed, config, shuffled, data):
    generator = np.random.default_rng(seed)
    images, steps = int(generator.integers(1, 7)), int(generator.integers(1, 25))
    full = generator.integers(0, 3, (images, steps, 2)).astype(np.float32)
    order = np.argsort(generator.random((images, steps)), axis=1) if shuffled else None
    rule = make_rule(config, steps, 2) if config else None
    used = stopping_steps(full, rule) if rule else np.full(images, steps)
    # What was there before: some errors, and maps of these and of other steps, with more steps or fewer.
    gone = generator.random((images, steps)) < data.draw(st.sampled_from([0.0, 0.3, 1.0]))
    before = generator.integers(0, steps + 3, images)
    earlier = generator.random((images, max(steps, *before, 1))) < data.draw(st.sampled_from([0.1, 1.0]))
    if data.draw(st.booleans()):
        fits = used_steps(used, steps, order)
        earlier = np.zeros_like(earlier)
        earlier[:, :steps] = fits & by_number(~gone, order)
    errors = np.where(gone[..., None], np.nan, full)
    with tempfile.TemporaryDirectory() as name:
        partial = PartialEvidence(Path(name) / "evidence-0000")
        done = generator.random(images) < 0.5
        parts = [[marked(row, earlier[row]) for row in np.flatnonzero(some)] for some in (done, ~done)]
        partial.save(*parts)
        sums = begin_sums(partial, by_number(errors, order), order, rule)
        evaluate(full, errors, order, rule, sums)
        sums.save()
        found = PartialEvidence(Path(name) / "evidence-0000")
        within, beyond = found.steps(images, steps)
        np.testing.assert_array_equal(within, used_steps(used, steps, order))
        assert not beyond.any() and sorted(found.rows()) == list(range(images))
        for row in range(images):
            np.testing.assert_array_equal(found.total(row), marked(row, within[row]).total)


def test_what_is_known_with_its_maps_is_not_evaluated_again(tmp_path):
    full = np.random.default_rng(0).random((4, 9, 2), dtype=np.float32)
    full[1] = [1.0, 2.0]
    rule = make_rule(StoppingConfig(kind="exact"), 9, 2)
    used = used_steps(stopping_steps(full, rule), 9)
    partial = PartialEvidence(tmp_path / "evidence-0000")
    partial.save([marked(row, used[row]) for row in range(4)], [])
    assert not begin_sums(partial, full, None, rule).again.any()  # nor what comes after the stop
    # One step more than is used: a sum cannot be undone.
    more = used.copy()
    more[1, np.flatnonzero(~used[1])[0]] = True
    partial.save([marked(1, more[1])], [])
    again = begin_sums(partial, full, None, rule).again
    np.testing.assert_array_equal(again, used & (np.arange(4) == 1)[:, None])


def test_files_of_images_in_work_are_replaced(tmp_path):
    partial = PartialEvidence(tmp_path / "evidence-0000")
    some = [np.arange(6) < count for count in (2, 3, 4, 6)]
    partial.save([], [marked(0, some[0]), marked(1, some[0])])
    partial.save([], [marked(0, some[1])])  # of image 1 there is nothing new
    partial.save([marked(0, some[3])], [marked(2, some[2])])
    assert [path.name for path in sorted(tmp_path.iterdir())] == [
        "evidence-0000-000003.npy",
        "evidence-0000-000004-open.npy",
    ]
    found = PartialEvidence(tmp_path / "evidence-0000")
    assert found.steps(4, 6)[0].sum(axis=1).tolist() == [6, 2, 4, 0]
    found.save([marked(1, some[3]), marked(2, some[3])], [])
    assert not list(tmp_path.glob("*-open.npy"))


def test_every_flipped_byte_is_noticed(tmp_path):
    PartialEvidence(tmp_path / "evidence-0000").save([marked(0, np.arange(9) < 4)], [])
    (path,) = tmp_path.iterdir()
    whole, generator = path.read_bytes(), np.random.default_rng(1)
    for place in generator.permutation(len(whole))[:60]:
        damaged = bytearray(whole)
        damaged[place] ^= generator.integers(1, 256)
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"evidence-0000-000001\.npy: .*delete it to start again"):
            PartialEvidence(tmp_path / "evidence-0000")
