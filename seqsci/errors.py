"""What the user is told when something cannot be done."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SeqsciError(ValueError):
    """Input that cannot be used; the message is one located sentence that says what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'? known: a, b, c`, the tail of a sentence about an unknown name."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ";"
    return f"{hint} known: {', '.join(names)}"
