"""Variants of one protein written as A24G (reference, position from 1, what stands there), several with colons."""

from __future__ import annotations

import re
from collections.abc import Sequence

from seqsci.domains.proteins.letters import OTHERS, RESIDUES, shown
from seqsci.errors import SeqsciError

MUTANT = re.compile(f"([{RESIDUES}{OTHERS}])([0-9]{{1,6}})([{RESIDUES}{OTHERS}*])")
WILD = ("wt", "wildtype", "wild-type", "_wt")
"""Names of a row that has no substitution."""

Substitution = tuple[int, str, str]
"""Position as the file counts it, reference, alternative."""


def substitutions(variant: str) -> list[Substitution] | None:
    """Those of one variant, by position; [] for the wild type, None for text that is no variant."""
    text = variant.strip()
    if text.lower() in WILD:
        return []
    parts = [MUTANT.fullmatch(part.strip()) for part in text.split(":")]
    found = [(int(part[2]), part[1], part[3]) for part in parts if part]
    positions = {position for position, _, _ in found}
    return sorted(found) if len(found) == len(parts) == len(positions) else None


def wild_type(variants: Sequence[str], origin: str) -> tuple[str, int]:
    """The stretch of the protein that the references of a file spell, and the position of its first residue.

    Raises:
        SeqsciError: two references for one position, or a position between others that no variant names.
    """
    letters: dict[int, str] = {}
    for row, variant in enumerate(variants, 1):
        for position, reference, _ in substitutions(variant) or []:
            if letters.setdefault(position, reference) != reference:
                raise SeqsciError(
                    f"{origin}, row {row}: '{shown(variant)}' has {reference} at position {position} where an earlier "
                    f"row has {letters[position]}; the variants must be of one protein"
                )
    if not letters:
        raise SeqsciError(f"{origin}: no variant is written as A24G; give whole sequences (data.columns.sequence)")
    first, last = min(letters), max(letters)
    if len(letters) < last - first + 1:
        gap = next(position for position in range(first, last) if position not in letters)
        raise SeqsciError(
            f"{origin}: no variant names position {gap}, so the protein from {first} to {last} is not known from this "
            "file; add a column with the whole sequence of each variant and name it with data.columns.sequence"
        )
    return "".join(letters[position] for position in range(first, last + 1)), first


def spelled_out(variants: Sequence[str], origin: str) -> tuple[list[str | None], list[str | None], str]:
    """The sequence of each variant, what is wrong with it, and a note on the wild type.

    Raises:
        SeqsciError: as `wild_type`.
    """
    wild, first = wild_type(variants, origin)
    texts: list[str | None] = []
    problems: list[str | None] = []
    for variant in variants:
        found = substitutions(variant)
        letters = list(wild)
        for position, _, alternative in found or []:
            letters[position - first] = alternative
        stop = found is not None and any(alternative == "*" for _, _, alternative in found)
        texts.append("".join(letters))
        wrong = ": no variant such as A24G; correct it" if found is None else ""
        problems.append(wrong or (": a stop, which is no residue; drop the row" if stop else None))
    last = first + len(wild) - 1
    note = f"{origin}: the wild type is residues {first} to {last}, as the variants' references spell it"
    return texts, problems, note


def reverted(variants: Sequence[str], sequences: Sequence[str], origin: str) -> tuple[str, int]:
    """The wild type that variants and their whole sequences come from, and the number of its first residue.

    Tried are counting from 1, as ProteinGym does, and from the first position that a variant names.

    Raises:
        SeqsciError: there is no such wild type.
    """
    changes = [substitutions(variant) or [] for variant in variants]
    lowest = min((position for row in changes for position, _, _ in row), default=1)
    for first in dict.fromkeys((1, lowest)):
        found = {_undone(text, row, first) for text, row in zip(sequences, changes, strict=True)}
        if len(found) == 1 and (wild := found.pop()) is not None:
            return wild, first
    raise SeqsciError(
        f"{origin}: the variants and their sequences do not come from one protein, counted from residue 1 or {lowest}; "
        "check the numbering, and that the file is of one protein"
    )


def _undone(text: str, changes: Sequence[Substitution], first: int) -> str | None:
    """A variant's sequence with the references back in place; None where it does not have the alternatives."""
    letters = list(text)
    for position, reference, alternative in changes:
        if not 0 <= position - first < len(letters) or letters[position - first] != alternative:
            return None
        letters[position - first] = reference
    return "".join(letters)
