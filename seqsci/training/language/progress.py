"""How far long work has come, in lines."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 5.0
"""Seconds between two lines, and before the first."""


class Progress:
    """Says how much is done, never more often than each `PAUSE` seconds.

    Args:
        total: of the work, in any unit that takes equal time.
        what: is being done.
        say: hears the lines; None: nobody.
    """

    def __init__(self, total: float, what: str, say: Callable[[str], None] | None) -> None:
        self.total, self.what, self.say = max(total, 1e-9), what, say
        self.done, self.began = 0.0, time.monotonic()
        self.told = self.began

    def add(self, amount: float) -> None:
        """So much more is done."""
        self.done += amount
        now = time.monotonic()
        if self.say is None or now - self.told < PAUSE or self.done <= 0:
            return
        self.told = now
        left = (now - self.began) * (self.total / self.done - 1)
        self.say(f"{self.what}: {100 * min(self.done / self.total, 1):.0f} %, {duration(max(left, 0))} left")


def duration(seconds: float) -> str:
    """Seconds, minutes or hours in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
