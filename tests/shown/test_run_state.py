"""How far a run is, and the time that is left, from events."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import snakemake_logger_plugin_meddiff.run_state as run_state
from snakemake_logger_plugin_meddiff.durations import earlier_durations
from snakemake_logger_plugin_meddiff.run_state import Job, RunState


def started(state: RunState, number: int, rule: str, began: float) -> None:
    state.start(Job(number, rule, f"{rule} {number}", began))


def test_the_time_left_is_work_left_by_jobs_at_a_time():
    state = RunState(0.0)
    state.plan({"train": 4, "vote": 2, "total": 6})
    assert state.time_left(0.0) is None  # nothing is known
    started(state, 1, "train", 0.0)
    started(state, 2, "train", 0.0)
    state.finish(1, 10.0)
    state.finish(2, 10.0)
    # Two trainings of 10 s at two a time; what a vote takes is not known.
    left = state.time_left(10.0)
    assert (
        left == run_state.TimeLeft(10.0, complete=False)
        and str(left) == "about 10 s left, without jobs never seen yet"
    )
    started(state, 3, "vote", 10.0)
    state.finish(3, 14.0)
    left = state.time_left(14.0)
    assert left.complete and left.seconds == pytest.approx((2 * 10 + 4) / (24 / 14))
    assert str(left) == "about 14 s left"


def test_a_running_job_counts_with_what_it_still_needs():
    state = RunState(0.0, earlier={"train": 30.0})
    state.plan({"train": 1, "all": 1, "total": 2})  # `all` only names files
    started(state, 1, "train", 0.0)
    assert state.time_left(10.0) == run_state.TimeLeft(20.0, complete=True)
    assert state.time_left(40.0) is None  # longer than ever: nothing is promised


def test_a_machine_that_was_busier_is_allowed_for():
    """What was seen in both runs says how much faster it is now."""
    state = RunState(0.0, earlier={"fetch": 20.0, "train": 30.0})
    state.plan({"fetch": 1, "train": 2, "total": 3})
    assert state.time_left(0.0).seconds == 80.0
    started(state, 1, "fetch", 0.0)
    state.finish(1, 5.0)
    assert state.time_left(5.0).seconds == 2 * 30 / 4


def test_too_little_is_known_for_an_estimate():
    state = RunState(0.0, earlier={"fetch": 2.0})
    state.plan({"fetch": 1, "train": 2, "total": 3})
    assert state.time_left(0.0) is None
    state.plan({"fetch": 2, "train": 2, "total": 4})
    assert state.time_left(0.0) == run_state.TimeLeft(4.0, complete=False)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 1e4)), min_size=1, max_size=12), st.data())
def test_jobs_are_never_lost(jobs, data):
    state, now = RunState(0.0), 0.0
    names = [rule for rule, _ in jobs]
    state.plan({**{rule: names.count(rule) for rule in names}, "total": len(jobs)})
    for number, (rule, seconds) in enumerate(jobs):
        started(state, number, rule, now)
        now += seconds
        if data.draw(st.booleans()):
            assert state.fail(number).number == number  # and it is tried again
            started(state, number, rule, now)
            now += seconds
        job, took = state.finish(number, now)
        assert (job.rule, pytest.approx(took)) == (rule, seconds)
        left = state.time_left(now)
        assert left is None or left.seconds >= 1
    assert state.done == len(state.finished) == len(jobs)
    assert not state.running and not state.failed and state.time_left(now) is None


def test_a_job_that_was_never_started_is_counted_only():
    state = RunState(0.0)
    assert state.finish(7, 1.0) is None and state.fail(8) is None
    assert state.done == 1 and not state.finished and not state.failed


def test_durations_of_earlier_runs_are_those_of_this_experiment(tmp_path: Path):
    def record(name: str, rule: str, log: str, began: float | None, ended: float | None) -> None:
        text = json.dumps({"rule": rule, "log": [log], "starttime": began, "endtime": ended})
        (tmp_path / name).write_text(text)

    record("a", "train", "logs/demo/x/train.log", 100.0, 130.0)
    record("b", "train", "logs/demo/x/train.log", 100.0, 130.0)  # a second output of the same job
    record("c", "train", "logs/demo/y/train.log", 100.0, 110.0)
    record("d", "train", "logs/paper/x/train.log", 1.0, 1e6 + 1)
    record("e", "fetch", "logs/data/x/fetch.log", 1.0, 3.0)
    record("f", "split", "logs/data/x/split.log", 1.0, None)
    (tmp_path / "g").write_text("{half a rec")
    assert earlier_durations("demo", tmp_path) == {"train": 20.0, "fetch": 2.0}
    assert earlier_durations(None, tmp_path)["train"] == pytest.approx((30 + 10 + 1e6) / 3)
    assert earlier_durations("demo", tmp_path / "none") == {}


def test_target_rules_are_those_of_the_snakefile(root: Path):
    text = (root / "Snakefile").read_text()
    named = text.split("localrules:")[1].split("\n\n")[0]
    assert {name.strip(" ,\n") for name in named.strip().split("\n")} == run_state.TARGETS


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.4, "0 s"), (119, "119 s"), (600, "10 min"), (9000, "2.5 h")]
)
def test_durations_are_said_in_a_unit_that_is_read_easily(seconds, said):
    assert run_state.duration(seconds) == said
