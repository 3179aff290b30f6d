"""When a training saves its state, and how long it has taken."""

from __future__ import annotations

import time


class Clock:
    """Time since the start of this run, and since the last save."""

    def __init__(self, every: float, seconds_before: float, processes: int) -> None:
        """Start now.

        Args:
            every: seconds between saves.
            seconds_before: time spent before this run, over all processes.
            processes: how many train.
        """
        self.every, self.saves = every, 0
        self._before, self._processes, self._started = seconds_before, processes, time.monotonic()
        self._saved = self._started

    def seconds(self) -> float:
        """Time spent training over all processes and restarts."""
        return self._before + self._processes * (time.monotonic() - self._started)

    def is_due(self) -> bool:
        """At once the first time: a place that cannot be written is found out before hours of work."""
        return self.saves == 0 or time.monotonic() - self._saved >= self.every

    def restart(self) -> None:
        """Something was saved, or could not be."""
        self.saves, self._saved = self.saves + 1, time.monotonic()
