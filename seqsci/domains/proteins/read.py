"""Protein files: FASTA, A3M, aligned FASTA, Stockholm; anything else is taken for a table.

The parsers are Biopython's. In an alignment file the first member is the query; the members' gaps (`-`, `.`) are
taken out, and their insertions (lower case in A3M) stay as residues, as the ungapped homolog is what a language model
reads.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from Bio import AlignIO
from Bio.SeqIO.FastaIO import SimpleFastaParser

from seqsci.data.opened import unpacked
from seqsci.data.words import counted
from seqsci.domains.proteins.letters import Raw, shown, upper
from seqsci.domains.proteins.table import PARQUET, read_table
from seqsci.errors import SeqsciError

A3M = (".a3m",)
ALIGNED = (".afa", ".afasta")
STOCKHOLM = (".sto", ".stk", ".stockholm")
FASTA = (".fasta", ".fa", ".faa", ".fas", ".fsa", ".seq", ".pep", *ALIGNED, *A3M)
TRACKS = re.compile(r"(ss_(dssp|pred|conf)|aa_(dssp|pred)|sa_dssp)\b")
"""Rows of HH-suite's A3M files that are no proteins: secondary structure and its confidence."""

Member = tuple[str, str, str]
"""id, rest of the header, text as written."""


def stem(path: Path) -> str:
    """Name of a file without folder, .gz or .zip, and its last ending."""
    return Path(_plain(path.name)).stem


def suffix(path: Path) -> str:
    """Ending of a file's name in lower case, without .gz or .zip."""
    return Path(_plain(path.name.lower())).suffix


def _plain(name: str) -> str:
    return name.removesuffix(".gz").removesuffix(".zip")


def read(path: Path, columns: Mapping[str, str] | None = None, *, insertions: bool = True) -> list[Raw]:
    """What a file says, an item per alignment, or one for all of it.

    Args:
        path: of a file, plain, .gz, or .zip with one member.
        columns: of a table, our name to the table's.
        insertions: of A3M files, whether the lower-case letters of a member stay (as upper-case residues).

    Raises:
        SeqsciError: not readable, or nothing of what is known here.
    """
    data = unpacked(path)
    if not data.strip():
        raise SeqsciError(f"{path.name}: the file is empty; check it")
    if data.startswith(PARQUET):
        return [read_table(data, path.name, stem(path), columns)]
    text, notes = decoded(data, path.name)
    start = text.lstrip()[:20]
    if start.startswith("CLUSTAL") or start.startswith("#NEXUS"):
        raise SeqsciError(f"{path.name}: this kind of alignment is not read; save it as aligned FASTA (.afa) or .sto")
    if start.startswith("# STOCKHOLM") or suffix(path) in STOCKHOLM:
        found = _stockholm(text, path)
    elif start.startswith(">") or suffix(path) in FASTA:
        found = [_fasta(text, path, insertions)]
    else:
        found = [read_table(text.encode(), path.name, stem(path), columns)]
    found[0] = Raw(**{**vars(found[0]), "notes": (*notes, *found[0].notes)})
    return found


def decoded(data: bytes, origin: str) -> tuple[str, tuple[str, ...]]:
    """The text of a file with "\\n" line ends, and a note where it is not UTF-8.

    Raises:
        SeqsciError: no text at all.
    """
    if b"\x00" in data:
        place = data.index(b"\x00") + 1
        raise SeqsciError(f"{origin}, byte {place}: a zero byte, so this is no text; save it as plain text (UTF-8)")
    notes: tuple[str, ...] = ()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = data.decode("latin-1")
        notes = (f"{origin}, byte {error.start + 1}: not UTF-8, read as latin-1",)
    return text.replace("\r\n", "\n").replace("\r", "\n"), notes


def members(text: str, origin: str) -> list[Member]:
    """The records of a FASTA-like text.

    Raises:
        SeqsciError: text before the first header, or no record.
    """
    for number, line in enumerate(text.split("\n"), 1):
        if line.startswith(">"):
            break
        if line.strip() and not line.startswith("#"):
            raise SeqsciError(
                f"{origin}, line {number}: {line.strip()[:30]!r} comes before the first header; "
                "a FASTA record begins with a line '>name'"
            )
    else:
        raise SeqsciError(f"{origin}: there is no record; a FASTA record begins with a line '>name'")
    # Only "\n" ends a line by now; io.StringIO would also translate what str.splitlines calls a line end.
    parser: Iterator[tuple[str, str]] = SimpleFastaParser(io.StringIO(text, newline="\n"))  # type: ignore[no-untyped-call]
    return [(*_header(title), sequence) for title, sequence in parser]


def _header(title: str) -> tuple[str, str]:
    name, _, rest = title.strip().partition(" ")
    return name, rest.strip()


def _fasta(text: str, path: Path, insertions: bool) -> Raw:
    found = members(text, path.name)
    if suffix(path) in A3M:
        return a3m(found, path.name, stem(path), insertions)
    lengths = {len(sequence) for _, _, sequence in found}
    gapped = any("-" in sequence or "." in sequence for _, _, sequence in found)
    if suffix(path) in ALIGNED and len(lengths) > 1:
        long = next(i for i, one in enumerate(found, 1) if len(one[2]) != len(found[0][2]))
        name, _, sequence = found[long - 1]
        raise SeqsciError(
            f"{path.name}, record {long} ({shown(name)}): {len(sequence)} columns where the first has "
            f"{len(found[0][2])}; align it, or call a file of sequences .fasta"
        )
    if suffix(path) in ALIGNED or (gapped and len(lengths) == 1 and len(found) > 1):
        known = suffix(path) in ALIGNED
        why = () if known else (f"{path.name}: records of one length with gaps, read as an alignment",)
        aligned = [(name, rest, upper(sequence)) for name, rest, sequence in found]
        return _family(aligned, path.name, stem(path), [""] * len(found), why)
    return Raw(origin=path.name, unit="record", frame=_frame(found, [""] * len(found)))


def a3m(found: Sequence[Member], origin: str, name: str, insertions: bool = True) -> Raw:
    """The members of an A3M alignment without gaps."""
    kept = [one for one in found if not TRACKS.match(one[0])]
    notes = [f"{origin}: {counted(len(found) - len(kept), 'row')} of secondary structure left out"] * (
        len(kept) < len(found)
    )
    lengths = [len(match_columns(sequence)) for _, _, sequence in kept]
    problems = [
        f": {length} match columns where the query has {lengths[0]}; align it again" if length != lengths[0] else ""
        for length in lengths
    ]
    inserted = sum(any(letter.islower() for letter in sequence) for _, _, sequence in kept)
    if inserted:
        done = "read as residues (upper case)" if insertions else "left out"
        notes.append(f"{origin}: insertions (lower case) of {counted(inserted, 'member')} {done}")
    if not insertions:
        kept = [(one, rest, match_columns(sequence)) for one, rest, sequence in kept]
    if kept and kept[0][0].endswith("_consensus"):
        notes.append(f"{origin}: the query is a consensus, by its name, and no protein that exists")
    capital = [(one, rest, upper(sequence)) for one, rest, sequence in kept]
    return _family(capital, origin, name, problems, notes)


def match_columns(text: str) -> str:
    """The text of an A3M row without insertions (lower case) and the dots that stand for others' insertions."""
    return re.sub(r"[a-z.]", "", text.rstrip("*"))


def _stockholm(text: str, path: Path) -> list[Raw]:
    out = []
    for number, (identity, found) in enumerate(stockholm(text, path.name), 1):
        name = identity or (stem(path) if number == 1 else f"{stem(path)}-{number}")
        capital = [(one, rest, upper(sequence)) for one, rest, sequence in found]
        out.append(_family(capital, path.name, name, [""] * len(found), (), query=False))
    return out


def stockholm(text: str, origin: str) -> list[tuple[str, list[Member]]]:
    """Identity (#=GF ID, else AC, else "") and aligned members of each alignment.

    Raises:
        SeqsciError: what Biopython cannot read.
    """
    blocks = [block for block in re.split(r"(?m)^//[ \t]*$", text) if block.strip()]
    out = []
    for number, block in enumerate(blocks, 1):
        try:
            parsed = AlignIO.read(io.StringIO(f"{block.strip()}\n//\n"), "stockholm")  # type: ignore[no-untyped-call]
        except Exception as problem:  # Biopython raises ValueError, AssertionError, KeyError, ... for bad files
            detail = (str(problem).strip().splitlines() or ["it breaks off"])[0][:100]
            raise SeqsciError(
                f"{origin}, alignment {number}: not in Stockholm format ({detail}); write it again"
            ) from None
        named = re.search(r"(?m)^#=GF[ \t]+ID[ \t]+(\S+)", block) or re.search(r"(?m)^#=GF[ \t]+AC[ \t]+(\S+)", block)
        out.append((named[1] if named else "", [(row.id, "", str(row.seq)) for row in parsed]))
    if not out:
        raise SeqsciError(f"{origin}: there is no alignment in it; check the file")
    return out


def _family(
    found: Sequence[Member],
    origin: str,
    name: str,
    problems: Sequence[str],
    notes: Sequence[str],
    *,
    query: bool = True,
) -> Raw:
    """Members of one alignment, gaps out; `query`: by the format the first is what was searched for."""
    gaps = str.maketrans("", "", "-.")
    whole = [(one, rest, sequence.translate(gaps)) for one, rest, sequence in found]
    members = counted(len(found), "member")
    told = (*notes, f"{origin}: an alignment of {members}, gaps taken out" + "; the first is the query" * query)
    frame = _frame(whole, problems).with_columns(group=pl.lit(name))
    return Raw(origin=origin, unit="record", frame=frame, notes=told, aligned=True)


def _frame(found: Sequence[Member], problems: Sequence[str]) -> pl.DataFrame:
    names, rests, texts = ([one[i] for one in found] for i in range(3))
    return pl.DataFrame(
        {"id": names, "sequence": texts, "_problem": [problem or None for problem in problems], "description": rests},
        schema_overrides={"id": pl.String, "sequence": pl.String, "_problem": pl.String, "description": pl.String},
    )
