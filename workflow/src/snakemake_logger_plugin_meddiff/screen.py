"""Where a run is shown: a terminal, on which lines change, or a file, to which lines are added."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from snakemake_logger_plugin_meddiff.job_log import progress
from snakemake_logger_plugin_meddiff.run_state import Job, RunState, duration

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_STYLES = {"plain": "", "good": "green", "bad": "red", "warning": "yellow", "muted": "dim"}
_LONG = 20.0  # seconds: on a terminal, only jobs that took longer leave a line behind
_RUNNING_SHOWN = 5


class Screen:
    """Lines in a file or a pipe: one for each finished job."""

    def __init__(self, stream: TextIO, *, quiet: bool) -> None:
        """A stream that is no terminal.

        Args:
            stream: where lines are written.
            quiet: whether progress is left out, so that only warnings, failures and the end are told.
        """
        self.lock = threading.RLock()  # guards the state of a run that another thread shows
        self._stream, self._quiet = stream, quiet

    def say(self, text: str, style: str = "plain") -> None:
        """A message of one or more lines, whole."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def block(self, lines: Sequence[str], style: str = "plain") -> None:
        """Lines that belong together, the first of them in a style."""
        for i, line in enumerate(lines):
            self.say(line, style if i == 0 else "plain")

    def follow(self, state: RunState) -> None:
        """A run begins."""

    def finished(self, state: RunState, job: Job, seconds: float, now: float) -> None:
        """A job is finished, after so many seconds."""
        if not self._quiet:
            self.say(finished_line(state, job, seconds, now))

    def close(self) -> None:
        """The run is over."""


class Terminal(Screen):
    """A terminal: what is running, how far it is and how long it takes, in a few lines that change."""

    def __init__(self, stream: TextIO, *, quiet: bool, colours: bool) -> None:
        """See `Screen`; `colours`: whether there may be any."""
        from rich.console import Console

        super().__init__(stream, quiet=quiet)
        self._console: Console = Console(
            file=stream, no_color=not colours, highlight=False, markup=False, emoji=False
        )
        self._live: Live | None = None

    def say(self, text: str, style: str = "plain") -> None:
        self._console.print(text, style=_STYLES[style], soft_wrap=True)

    def follow(self, state: RunState) -> None:
        if self._quiet or self._live is not None:
            return
        from rich.live import Live

        # Both streams pass through Rich while lines change, so that what others print stands above them.
        self._live = Live(
            get_renderable=lambda: self._now(state),
            console=self._console,
            refresh_per_second=2,
            transient=True,
        )
        self._live.start()

    def finished(self, state: RunState, job: Job, seconds: float, now: float) -> None:
        if not self._quiet and seconds >= _LONG:
            self.say(finished_line(state, job, seconds, now))

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _now(self, state: RunState) -> RenderableType:
        from rich.text import Text

        with self.lock:
            lines = live_lines(state, time.time())
        return Text("\n".join(lines), no_wrap=True, overflow="ellipsis")


def screen(stream: TextIO, *, quiet: bool, colours: bool) -> Screen:
    """The right kind of screen for a stream; plain lines, too, where a terminal cannot move its cursor."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Terminal(stream, quiet=quiet, colours=colours)
    return Screen(stream, quiet=quiet)


def finished_line(state: RunState, job: Job, seconds: float, now: float) -> str:
    """How far the run is, which job was finished and how long it took, and how long there is to wait."""
    left = state.time_left(now)
    width = len(str(state.total))
    counted = f"[{state.done:>{width}}/{state.total}]"
    return f"{counted} {job.title}: {duration(seconds)}{f'; {left}' if left else ''}"


def live_lines(state: RunState, now: float) -> list[str]:
    """The lines that change: a bar with times, and what is running since when."""
    share = state.done / state.total if state.total else 0.0
    cells = round(30 * share)
    left = state.time_left(now)
    first = f"{'━' * cells}{'╌' * (30 - cells)} {state.done} of {state.total} jobs"
    lines = [f"{first}, {duration(now - state.began)} so far" + (f", {left}" if left else "")]
    running = sorted(state.running.values(), key=lambda job: job.began)
    for job in running[:_RUNNING_SHOWN]:
        said = progress(job.logs[0]) if job.logs else ""
        lines.append(f"  {job.title}: {duration(max(now - job.began, 0))}{f'  ({said})' if said else ''}")
    if len(running) > _RUNNING_SHOWN:
        lines.append(f"  and {len(running) - _RUNNING_SHOWN} more")
    return lines
