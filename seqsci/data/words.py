"""Counts in the sentences of the domains."""

from __future__ import annotations


def counted(number: int, one: str, more: str = "") -> str:
    """ "1 record", "2 records"; with `more`: "1 record was", "2 records were"."""
    return f"{number} {one if number == 1 else more or f'{one}s'}"
