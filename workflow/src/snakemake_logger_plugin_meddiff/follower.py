"""From Snakemake's events during a run to what is shown of it."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_meddiff.durations import earlier_durations
from snakemake_logger_plugin_meddiff.ending import Experiment, last_words, opening
from snakemake_logger_plugin_meddiff.job_log import reason, tail
from snakemake_logger_plugin_meddiff.run_state import TARGETS, Job, RunState, duration, job_of
from snakemake_logger_plugin_meddiff.screen import Screen

# What Snakemake says in the course of a run that a person needs to know, by how it begins.
_TOLD = ("Trying to restart", "Will exit after", "Nothing to be done", "Touching", "Unlocking")
# What is said better here.
_DROPPED = ("Exiting because a job execution failed", "WorkflowError:\nAt least one job did not complete")
_LOG = "Complete log(s): "


class Follower:
    """Follows one run and says on a screen how far it is."""

    def __init__(
        self,
        screen: Screen,
        usual: logging.Handler,
        experiment: dict[str, str] | None,
        began: float,
        settings: Any,
    ) -> None:
        """A run that begins.

        Args:
            screen: where it is shown.
            usual: shows messages as Snakemake does.
            experiment: what the workflow said of itself: the fields of `Experiment`.
            began: when, in seconds since 1970.
            settings: Snakemake's settings of output.
        """
        self.state = RunState(began)
        self._screen, self._usual, self._settings = screen, usual, settings
        self._experiment = Experiment(**experiment) if experiment else None
        # Of a job that fails: Snakemake says them before it says which job it is.
        self._errors: list[str] = []
        self._logs = ""
        self._now = began
        self._nothing = False
        quiet = {str(getattr(kind, "value", kind)) for kind in settings.quiet or ()}
        self._silent = "all" in quiet
        self._uncounted = "progress" in quiet  # Snakemake then says of no job that it is finished

    def take(self, record: logging.LogRecord) -> None:
        """One message of Snakemake's."""
        if self._silent:
            return
        event, self._now = getattr(record, "event", None), record.created
        if event == LogEvent.RUN_INFO:
            self._begin(record)
        elif event == LogEvent.JOB_INFO:
            self._start(record)
        elif event == LogEvent.SHELLCMD:
            self._as_usual(record)
        elif event == LogEvent.JOB_FINISHED:
            self._finish(record)
        elif event == LogEvent.PROGRESS:
            self.state.count(record.done, record.total)
        elif event == LogEvent.JOB_ERROR:
            self._fail(record.__dict__)
        elif event == LogEvent.GROUP_ERROR:
            for info in record.job_error_info:
                self._fail({"shellcmd": None, **info})
        elif event == LogEvent.ERROR and getattr(record, "exception", "") in (
            "RuleException",
            "CalledProcessError",
        ):
            self._errors.append(str(record.msg))
        elif event in (None, LogEvent.ERROR):
            self._text(record)

    def end(self) -> None:
        """The run is over, or was stopped."""
        self._screen.close()
        if self._silent:
            return
        for text in self._errors:
            self._screen.say(text, "bad")
        if self._uncounted and not self.state.failed:
            self._screen.block(
                [f"Ended after {duration(self._now - self.state.began)}.", f"  log   {self._logs}"]
            )
        elif self.state.total:
            lines = last_words(self.state, self._experiment, self._logs, self._now)
            self._screen.block(lines, "bad" if self.state.done < self.state.total else "good")
        elif self._nothing and self._experiment is not None:
            self._screen.block(opening(self._experiment), "good")

    def _begin(self, record: logging.LogRecord) -> None:
        self.state.plan(record.stats)
        self.state.earlier = earlier_durations(self._experiment.name if self._experiment else None)
        total = record.stats["total"]
        self._screen.say("1 job is to be done." if total == 1 else f"{total} jobs are to be done.")
        self._screen.follow(self.state)

    def _start(self, record: logging.LogRecord) -> None:
        files = {"log": record.log, "output": record.output}
        job = job_of(record.jobid, record.rule_name, record.rule_msg, record.wildcards, files, record.created)
        if job.rule not in TARGETS:
            with self._screen.lock:
                self.state.start(job)
        self._as_usual(record)

    def _as_usual(self, record: logging.LogRecord) -> None:
        """What ``-p`` asks for: jobs and their commands, as Snakemake shows them."""
        if self._settings.printshellcmds:
            self._screen.say(self._usual.format(record), "muted")

    def _finish(self, record: logging.LogRecord) -> None:
        with self._screen.lock:
            found = self.state.finish(record.job_id, record.created)
        if found is not None:
            self._screen.finished(self.state, *found, record.created)

    def _fail(self, info: dict[str, Any]) -> None:
        with self._screen.lock:
            job = self.state.fail(info["jobid"])
        if job is None:
            job = Job(info["jobid"], info["rule_name"], info["rule_name"], self._now, tuple(info["log"]))
        took = duration(self._now - job.began)
        self._screen.say(f"Failed after {took}: {job.title}", "bad")
        self._screen.block(failure_lines(job, info, self._errors), "plain")
        self._errors = []

    def _text(self, record: logging.LogRecord) -> None:
        text = str(record.msg)
        if text.startswith(_LOG):
            self._logs = text.removeprefix(_LOG).replace(f"{Path.cwd()}{os.sep}", "")
        elif text.startswith(_DROPPED) and self.state.failed:
            pass
        elif record.levelno >= logging.WARNING:
            self._screen.say(text, "bad" if record.levelno >= logging.ERROR else "warning")
        elif text.startswith(_TOLD):
            self._nothing = self._nothing or text.startswith("Nothing to be done")
            self._screen.say(text)


def failure_lines(job: Job, info: dict[str, Any], errors: list[str]) -> list[str]:
    """What is said of a failed job: its message first, then how to look further.

    Args:
        job: which one.
        info: what Snakemake says of it: ``rule_name``, ``log`` and ``shellcmd``.
        errors: what Snakemake said before; shown where the job's own log says nothing.
    """
    logs = [*dict.fromkeys([*job.logs, *info["log"]])]
    reasons = [(path, reason(tail(path))) for path in logs]
    lines: list[str] = []
    for _, found in reasons:
        lines += [f"  {line}" for line in found.message.splitlines()]
    for path, found in reasons:
        shown = [f"    {line}" for line in found.before]
        lines += [f"  log: {path}{', its last lines before that:' if shown else ''}", *shown]
    if not any(found.message or found.before for _, found in reasons):
        lines += [f"  {line}" for text in errors for line in text.splitlines()]
    lines += [f"  rule: {info['rule_name']}"]
    return [*lines, f"  command: {info['shellcmd']}"] if info.get("shellcmd") else lines
