"""Variants of records: what stands at some places, and what stands there instead. For DNA and proteins alike.

Two conventions are read: the fixed columns of VCF (CHROM POS ID REF ALT ..., VCF specification 4.3), and substitutions
such as A24G, several of one variant joined by ":" as ProteinGym writes them (Notin et al., NeurIPS 2023). Positions
count from 1 in files and from 0 here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.data.opened import opened
from seqsci.data.records import Records
from seqsci.errors import SeqsciError, nearest

VARIANTS: dict[str, pl.DataType | type[pl.DataType]] = {
    "record": pl.Int64,
    "name": pl.String,
    "position": pl.List(pl.Int64),
    "reference": pl.List(pl.String),
    "alternative": pl.List(pl.String),
}
"""Columns of a table of variants; the file's own columns of numbers follow."""
MUTANT = ("mutant", "mutation", "mutations", "variant", "variants")
"""Names of a column of substitutions, the first that is there."""
RECORD = ("record", "id")
"""Names of the column that says which record a substitution is of."""
MISSING = ("", ".", "NA", "N/A", "nan", "NaN", "null", "None")
"""What stands for a number that is not there."""
DIGITS = 15
"""Most digits of a position."""
_SUBSTITUTION = re.compile(rf"([A-Za-z])(\d{{1,{DIGITS}}})([A-Za-z])")
_FIXED = ("CHROM", "POS", "REF", "ALT")


def read_variants(source: Any, records: Records, unit: str) -> pl.DataFrame:
    """The variants of a file, a frame or a list, each compared with the record that it is of.

    Args:
        source: a path (VCF; a table with a column `mutant`; or one substitution a line; any may be .gz), a list of
            substitutions, or a polars, pandas or Arrow table with a column `mutant`, or with CHROM, POS, REF, ALT.
        records: R of them; CHROM, or a column `record` or `id`, names one, and substitutions without go to the only.
        unit: what a letter is called in messages, such as "base" or "residue".

    Returns:
        A row per variant, in the order of the file; alleles of one line of VCF are apart. `record`: its row;
        `position`, `reference`, `alternative`: lists of one length, an element per substitution, insertion or
        deletion, sorted by position from 0; `name`: as in the file, of one of several alleles of a line with an ID
        such as rs2:T>A, and of one without chr1:50T>A. Columns of numbers are kept as Float64.

    Raises:
        SeqsciError: a line that is no variant, names no record, or whose reference is not what stands there.
    """
    table = _table(source)
    if not table.rows:
        raise SeqsciError(f"{table.origin}: there are no variants; give a file with some")
    plain = {name.lstrip("#").strip().upper(): place for place, name in reversed(list(enumerate(table.names)))}
    reader = _Reader(
        records=records,
        unit=unit,
        origin=table.origin,
        rows={name: row for row, name in enumerate(records.frame["id"])},
        lengths=records.lengths.tolist(),
    )
    if all(name in plain for name in _FIXED):
        found = [row for line, fields in table.rows for row in reader.alleles(line, fields, plain)]
        used = {plain[name] for name in (*_FIXED, "ID") if name in plain}
    else:
        mutant = _column(table, MUTANT)
        if mutant is None:
            known = ", ".join(table.names)
            raise SeqsciError(
                f"{table.origin}: neither VCF (CHROM POS ID REF ALT) nor a table with a column mutant (its columns: "
                f"{known}); rename the column of substitutions such as A24G to mutant"
            )
        named = _column(table, RECORD)
        found = [reader.substitutions(line, fields, mutant, named) for line, fields in table.rows]
        used = {mutant, *([] if named is None else [named])}
    frame = pl.DataFrame([row[1:] for row in found], schema=VARIANTS, orient="row")
    return pl.concat([frame, _scores(table, used, [row[0] for row in found])], how="horizontal")


def mutate(text: str, row: Mapping[str, Any]) -> str:
    """A record with the changes of one row of `read_variants` (as `frame.row(i, named=True)` gives it).

    Raises:
        SeqsciError: the reference is not what stands there, or two changes overlap.
    """
    changes = sorted(zip(row["position"], row["reference"], row["alternative"], strict=True), reverse=True)
    name, last = row.get("name", "variant"), len(text)
    for position, reference, alternative in changes:
        if position < 0 or position + len(reference) > len(text):
            raise SeqsciError(f"{name}: position {position + 1} is beyond the {len(text)} letters of the record")
        there = text[position : position + len(reference)]
        if position + len(reference) > last:
            raise SeqsciError(f"{name}: two of its changes overlap at position {position + 1}; give them apart")
        if there != reference:
            raise SeqsciError(f"{name}: at position {position + 1} stands {there}, not {reference}")
        text = text[:position] + alternative + text[position + len(reference) :]
        last = position
    return text


@dataclass(frozen=True, kw_only=True)
class _Table:
    """Fields of a source as text, with the number of the line (or row) of each."""

    origin: str
    names: Sequence[str]
    rows: Sequence[tuple[int, Sequence[str]]]


def _table(source: Any) -> _Table:
    if isinstance(source, (str, Path)):
        with opened(Path(source)) as file:
            lines = [(number, line.rstrip("\n")) for number, line in enumerate(file, 1) if line.strip()]
        return _from_lines(lines, Path(source).name)
    if isinstance(source, (list, tuple)):
        return _Table(origin="the list", names=("mutant",), rows=[(n, (str(one),)) for n, one in enumerate(source, 1)])
    import narwhals as nw

    try:
        frame: pl.DataFrame = nw.from_native(source, eager_only=True).to_polars()
        text = frame.select(pl.all().cast(pl.String, strict=False).fill_null(""))
    except (TypeError, pl.exceptions.PolarsError):
        kind = type(source).__name__
        raise SeqsciError(f"variants: neither a path, a list nor a table of text (type {kind}); give one") from None
    return _Table(origin="the table", names=frame.columns, rows=list(enumerate(text.rows(), 1)))


def _from_lines(lines: Sequence[tuple[int, str]], origin: str) -> _Table:
    """VCF, a table with a header, or a list of substitutions."""
    header = next((place for place, (_, line) in enumerate(lines) if not line.startswith("##")), None)
    if header is None:
        raise SeqsciError(f"{origin}: there are no variants; give a file with some")
    first = lines[header][1]
    separator = max(("\t", ",", ";"), key=first.count)
    names = [name.strip().strip('"') for name in first.split(separator)]
    if len(names) == 1 and first.upper().lstrip("#").split()[:2] == ["CHROM", "POS"]:
        raise SeqsciError(
            f"{origin}, line {lines[header][0]}: the columns of VCF have tabs between them; put tabs there"
        )
    # Of one field, whatever is no known header is a variant, right or wrong; no header begins with a substitution.
    if (len(names) == 1 and names[0].lower() not in MUTANT) or _SUBSTITUTION.fullmatch(names[0].split(":")[0]):
        listed = [(number, (line.strip().strip('"'),)) for number, line in lines[header:]]
        return _Table(origin=origin, names=("mutant",), rows=listed)
    rows = []
    for number, line in lines[header + 1 :]:
        fields = [part.strip().strip('"') for part in line.split(separator)]
        if len(fields) != len(names):
            raise SeqsciError(
                f"{origin}, line {number}: {len(fields)} fields where the header has {len(names)}; correct the line"
            )
        rows.append((number, fields))
    return _Table(origin=origin, names=names, rows=rows)


def _column(table: _Table, names: Sequence[str]) -> int | None:
    plain = [name.lower() for name in table.names]
    return next((plain.index(name) for name in names if name in plain), None)


def _scores(table: _Table, used: set[int], places: Sequence[int]) -> pl.DataFrame:
    """The columns of numbers, a row for each variant; `places` are the lines that the variants are from."""
    at = {line: place for place, (line, _) in enumerate(table.rows)}
    found: dict[str, pl.Series] = {}
    for column, name in enumerate(table.names):
        values = pl.Series([fields[column] for _, fields in table.rows], dtype=pl.String)
        values = values.set(values.is_in(MISSING), None)
        numbers = values.cast(pl.Float64, strict=False)
        wanted = column not in used and name and name not in VARIANTS and name not in found
        if wanted and numbers.null_count() == values.null_count() < len(values):
            found[name] = numbers.gather([at[line] for line in places])
    return pl.DataFrame(found)


_Row = tuple[int, int, str, list[int], list[str], list[str]]


@dataclass(frozen=True, kw_only=True)
class _Reader:
    """Makes rows of fields: line, then the columns of `VARIANTS`."""

    records: Records
    unit: str
    origin: str
    rows: Mapping[str, int]  # name -> row of the records
    lengths: Sequence[int]

    def alleles(self, line: int, fields: Sequence[str], place: Mapping[str, int]) -> list[_Row]:
        """The variants of a line of VCF, one for each alternative."""
        chrom, pos, reference, alternatives = (fields[place[name]].strip() for name in _FIXED)
        where = f"{self.origin}, line {line}"
        record = self._record(chrom, where)
        if not re.fullmatch(rf"\d{{1,{DIGITS}}}", pos):
            raise SeqsciError(f"{where}: the position '{pos}' is no number from 1 on; correct it")
        if not re.fullmatch("[A-Za-z]+", reference):
            raise SeqsciError(f"{where}: the reference '{reference}' is no sequence; correct it")
        start, reference = int(pos) - 1, reference.upper()
        self._compare(where, record, start, reference)
        own = fields[place["ID"]].strip() if "ID" in place else ""
        rows: list[_Row] = []
        for alternative in alternatives.upper().split(","):
            if not re.fullmatch("[A-Z]+", alternative):
                raise SeqsciError(
                    f"{where}: the alternative '{alternative}' is no sequence but a symbol, a break or nothing; remove "
                    "such lines"
                )
            change = f"{reference}>{alternative}"
            # An ID is of the line, so that its alleles need more to be told apart.
            full = f"{own}:{change}" if "," in alternatives else own
            name = f"{chrom}:{pos}{change}" if own in MISSING else full
            rows.append((line, record, name, [start], [reference], [alternative]))
        return rows

    def substitutions(self, line: int, fields: Sequence[str], mutant: int, named: int | None) -> _Row:
        """A variant of one or several substitutions."""
        where, text = f"{self.origin}, line {line}", fields[mutant].strip()
        if named is None and len(self.records) != 1:
            raise SeqsciError(
                f"{where}: which of the {len(self.records)} records is it of? add a column record with their names"
            )
        record = 0 if named is None else self._record(fields[named].strip(), where)
        changes = []
        for part in text.split(":"):
            found = _SUBSTITUTION.fullmatch(part.strip())
            if not found or int(found[2]) < 1:
                raise SeqsciError(f"{where}: '{part}' is no substitution such as A24G; correct it")
            changes.append((int(found[2]) - 1, found[1].upper(), found[3].upper()))
        changes.sort()
        for (position, reference, _), following in zip(changes, [*changes[1:], None], strict=True):
            if following and following[0] == position:
                raise SeqsciError(f"{where}: position {position + 1} is substituted twice; correct it")
            self._compare(where, record, position, reference)
        places, references, alternatives = (list(part) for part in zip(*changes, strict=True))
        return line, record, text, places, references, alternatives

    def _record(self, name: str, where: str) -> int:
        if name not in self.rows:
            few = list(self.rows)[:20]
            raise SeqsciError(f"{where}: there is no record '{name}'{nearest(name, few)}")
        return self.rows[name]

    def _compare(self, where: str, record: int, start: int, reference: str) -> None:
        """Stops where the reference is not what stands in the record."""
        length, name = self.lengths[record], self.records.frame["id"][record]
        if start < 0 or start + len(reference) > length:
            raise SeqsciError(
                f"{where}: position {start + 1} is outside of record {name} with its {length} {self.unit}s; positions "
                "count from 1: is this the right record?"
            )
        there = self.records.text(record, start, start + len(reference))
        if there != reference:
            raise SeqsciError(
                f"{where}: the reference is {reference}, but at position {start + 1} of record {name} stands {there} "
                f"({self.unit}s count from 1); is this the right record?"
            )
