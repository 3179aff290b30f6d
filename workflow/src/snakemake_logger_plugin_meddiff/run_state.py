"""How far a run is: what Snakemake's events say of it, and the time that is left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_MINUTE, _HOUR = 60, 3600
# Rules that only name files (`localrules` of the Snakefile): a job of theirs does nothing.
TARGETS = frozenset({"all", "datasets", "weights", "predictions"})


@dataclass(frozen=True)
class Job:
    """A job that was started.

    Attributes:
        number: Snakemake's number of it.
        rule: name of its rule.
        title: what it does, in words.
        began: when it was started (or submitted), in seconds.
        logs: its log files.
        outputs: what it makes.
    """

    number: int
    rule: str
    title: str
    began: float
    logs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True)
class TimeLeft:
    """An estimate of the seconds until the end.

    Attributes:
        seconds: of the jobs whose rule is known to take how long.
        complete: whether these are all jobs that are left; if not, there is more to do than `seconds`.
    """

    seconds: float
    complete: bool

    def __str__(self) -> str:
        return f"about {duration(self.seconds)} left" + (
            "" if self.complete else ", without jobs never seen yet"
        )


@dataclass
class RunState:
    """The state of a run; all times are seconds of one clock.

    Attributes:
        began: when it began.
        earlier: rule -> mean seconds of its jobs in earlier runs, where known.
        planned: rule -> number of jobs that are to be done, without target rules.
        total, done: number of jobs of all rules, as Snakemake counts them.
        running: number of a job -> the job.
        finished, failed: in this order.
    """

    began: float
    earlier: Mapping[str, float] = field(default_factory=dict)
    planned: Counter[str] = field(default_factory=Counter)
    total: int = 0
    done: int = 0
    running: dict[int, Job] = field(default_factory=dict)
    finished: list[Job] = field(default_factory=list)
    failed: list[Job] = field(default_factory=list)
    _seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def plan(self, stats: Mapping[str, int]) -> None:
        """The number of jobs of each rule, and of all below ``total``."""
        self.planned = Counter(
            {rule: count for rule, count in stats.items() if rule not in {"total", *TARGETS}}
        )
        self.total = stats["total"]

    def start(self, job: Job) -> None:
        """A job was started, or started again."""
        self.running[job.number] = job

    def finish(self, number: int, now: float) -> tuple[Job, float] | None:
        """The job of this number and the seconds that it took; none if it was never started."""
        self.done += 1
        job = self.running.pop(number, None)
        if job is None:
            return None
        self.finished.append(job)
        self._seconds[job.rule].append(now - job.began)
        self.failed = [other for other in self.failed if other.number != number]  # it was tried again
        return job, now - job.began

    def fail(self, number: int) -> Job | None:
        """The job of this number, which has failed; none if it was never started."""
        job = self.running.pop(number, None)
        if job is not None:
            self.failed.append(job)
        return job

    def count(self, done: int, total: int) -> None:
        """Snakemake's own numbers; they change while it runs where there are checkpoints."""
        self.done, self.total = done, total

    def mean_seconds(self, rule: str) -> float | None:
        """What a job of a rule takes: in this run if one is finished, else in earlier runs.

        The machine may have been busier then, or another one: earlier seconds are multiplied by what jobs of
        both take now for each second that they took.
        """
        if taken := self._seconds.get(rule):
            return sum(taken) / len(taken)
        mean = self.earlier.get(rule)
        return None if mean is None else mean * self._slower_than_earlier()

    def _slower_than_earlier(self) -> float:
        """What a second of earlier runs takes now; 1 where no rule was seen in both."""
        both = [
            (len(taken) * self.earlier[rule], sum(taken))
            for rule, taken in self._seconds.items()
            if rule in self.earlier
        ]
        before = sum(seconds for seconds, _ in both)
        return sum(seconds for _, seconds in both) / before if before else 1.0

    def time_left(self, now: float) -> TimeLeft | None:
        """An estimate from what finished jobs took; none while less than half of the jobs that are
        left can be told, and none below a second.

        Work that is left is divided by the number of jobs that ran at a time until now.
        """
        waiting = self.planned.copy()
        waiting.subtract(job.rule for job in self.finished)
        waiting.subtract(job.rule for job in self.running.values())
        left: list[tuple[int, float | None]] = [
            (count, self.mean_seconds(rule)) for rule, count in waiting.items() if count > 0
        ]
        for job in self.running.values():
            mean = self.mean_seconds(job.rule)
            left.append((1, None if mean is None else max(mean - (now - job.began), 0.0)))
        known = sum(count for count, mean in left if mean is not None)
        if not known or 2 * known < sum(count for count, _ in left):
            return None
        work = sum(count * mean for count, mean in left if mean is not None)
        seconds = work / self._at_a_time(now)
        return TimeLeft(seconds, all(mean is not None for _, mean in left)) if seconds >= 1 else None

    def _at_a_time(self, now: float) -> float:
        """How many jobs ran at a time, at least one."""
        spent = sum(map(sum, self._seconds.values()))
        spent += sum(now - job.began for job in self.running.values())
        return max(spent / max(now - self.began, 1e-9), 1.0)


def duration(seconds: float) -> str:
    """In the unit that is read best."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    return f"{seconds / _MINUTE:.0f} min" if seconds < 2 * _HOUR else f"{seconds / _HOUR:.1f} h"


def job_of(
    number: int,
    rule: str,
    message: str | None,
    wildcards: Mapping[str, str],
    files: Mapping[str, Sequence[str]],
    began: float,
) -> Job:
    """A job as an event describes it.

    Args:
        number: Snakemake's number of it.
        rule: name of its rule.
        message: of the rule, filled in; empty where the rule has none.
        wildcards: of the job.
        files: ``log`` and ``output``.
        began: when it was started.
    """
    title = message or " ".join([rule, *(f"{name}={value}" for name, value in wildcards.items())])
    return Job(number, rule, title, began, tuple(files["log"]), tuple(files["output"]))
