"""Large pictures are read by few threads at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """Lets threads in as long as what they hold together stays within a budget.

    One that alone holds more than the budget goes when nobody else holds anything.
    """

    def __init__(self, budget: int) -> None:
        self._budget, self._held = budget, 0
        self._change = threading.Condition()

    @contextmanager
    def of(self, amount: int) -> Iterator[None]:
        """Wait until there is room for `amount`, and hold it."""
        amount = min(amount, self._budget)
        with self._change:
            self._change.wait_for(lambda: self._held + amount <= self._budget)
            self._held += amount
        try:
            yield
        finally:
            with self._change:
                self._held -= amount
                self._change.notify_all()
