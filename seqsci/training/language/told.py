"""What a pretrained model has said: a table and its summary, and where they are written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import polars as pl

from seqsci.data.records import Records
from seqsci.errors import SeqsciError
from seqsci.files import whole
from seqsci.runs import Run
from seqsci.training.fit import machine
from seqsci.training.language.speaker import Speaker

TABLES = (".parquet", ".csv")
FOREIGN = (".txt", ".tsv", ".json", ".html", ".png", ".xlsx", ".gz", ".smi", ".fasta", ".parquet", ".csv")
"""Endings that nobody gives to a folder."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """`table`, a row per record, variant or sequence; `summary`, plain values: see `summarised`.

    `texts`: file ending -> content of further files that hold the same; `pictures`: name -> PNG.
    """

    table: pl.DataFrame
    summary: dict[str, Any]
    texts: Mapping[str, str] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where results go: a folder, or one file."""

    folder: Path | None
    file: Path | None

    @staticmethod
    def of(run: Run, verb: str, output: str | Path | None, endings: Sequence[str] = TABLES) -> Place:
        """What a caller asks for; by default the next free folder `<verb>-<number>` of the run.

        Raises:
            SeqsciError: a file of another kind, or a folder that holds something.
        """
        if output is None:
            return Place(folder=run.folder / verb, file=None)
        path = Path(output)
        if path.suffix.lower() in endings and not path.is_dir():
            return Place(folder=None, file=path)
        if path.suffix.lower() in FOREIGN and not path.is_dir():
            raise SeqsciError(f"output: {path}: name a folder, or a file that ends in {', '.join(endings)}")
        if path.is_file():
            raise SeqsciError(f"output: {path} is a file; name a folder, or a file that ends in {', '.join(endings)}")
        if path.is_dir() and any(path.iterdir()):
            raise SeqsciError(f"output: {path} is not empty; name another folder")
        return Place(folder=path, file=None)

    def make(self, numbered: bool) -> Path:
        """The folder, made; with a number behind its name unless a caller has named it."""
        assert self.folder is not None
        if not numbered:
            self.folder.mkdir(parents=True, exist_ok=True)
            return self.folder
        for number in range(1, 10000):
            folder = self.folder.with_name(f"{self.folder.name}-{number}")
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
        raise SeqsciError(f"{self.folder}-1: no free folder name; remove old ones")


def told_of(records: Records, splits: pl.Series | None = None) -> dict[str, pl.Series]:
    """What a table says of records beside their ids."""
    known: tuple[str, ...] = ("group", "label")
    own = {column: records.frame[column] for column in known if column in records.frame.columns}
    return own if splits is None else {"split": splits, **own}


def seen_note(splits: pl.Series | None) -> list[str]:
    """Which of a run's own records the model was trained on."""
    if splits is None:
        return []
    counts = dict(splits.fill_null("left out").value_counts().iter_rows())
    told = ", ".join(f"{split} {n:,}" for split, n in sorted(counts.items(), key=lambda pair: order(pair[0])))
    found = [
        f"these are the run's own records, and it was trained on those of train; the column split says which: {told}"
    ]
    if any("," in split for split in counts):
        found.append(
            "a record whose regions are in several splits is read as one, and its score mixes them; "
            "predictions.parquet of the run holds the rows of test alone, and a file with that region can be scored by "
            "itself"
        )
    return found


def order(split: str) -> tuple[int, str]:
    """The test split first, what trained the model behind it, anything else last."""
    usual = ("test", "val", "train")
    return (usual.index(split) if split in usual else len(usual), split)


def counted(number: int, what: str) -> str:
    """ "1 record", "2 records"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def simulated(data: Mapping[str, Any]) -> str:
    """What a title says of data that nobody has observed."""
    return ", simulated data" if data["simulated"] else ""


def summarised(speaker: Speaker, verb: str, **facts: Any) -> dict[str, Any]:
    """A summary: what every verb says, and `facts`, among which must be `title`, `columns` and `rows` (strings) of the
    short table, `sentences`, `notes` and `data`."""
    return {
        "verb": verb,
        "seqsci": version("seqsci"),
        "machine": machine(),
        "model": speaker.facts(),
        "recipe": (speaker.run.folder / "recipe.yaml").read_text(encoding="utf-8"),
        **facts,
    }


def write_folder(told: Told, folder: Path, name: str) -> None:
    """The table as <name>.parquet and .csv, further files, pictures, and summary.json last."""
    write_table(told.table, folder / f"{name}.parquet")
    write_table(told.table, folder / f"{name}.csv")
    for ending, text in told.texts.items():
        write_text(folder / f"{name}{ending}", text)
    for picture, content in told.pictures.items():
        with whole(folder / f"{picture}.png") as path:
            path.write_bytes(content)
    Run(folder).write_json("summary.json", told.summary)


def write_file(told: Told, file: Path) -> None:
    """One table, or one file of texts, by its ending."""
    ending = file.suffix.lower()
    if ending in told.texts:
        write_text(file, told.texts[ending])
    else:
        write_table(told.table, file)


def write_table(table: pl.DataFrame, file: Path) -> None:
    """Parquet, or CSV in which a vector becomes columns and a list has semicolons."""
    with whole(file) as path:
        if file.suffix.lower() == ".csv":
            flat(table).write_csv(path)
        else:
            table.write_parquet(path, compression="zstd")


def flat(table: pl.DataFrame) -> pl.DataFrame:
    """The same without nested columns."""
    columns: list[pl.Series] = []
    for series in table:
        if isinstance(series.dtype, pl.Array):
            values = series.to_numpy()
            columns += [pl.Series(f"{series.name}_{place}", values[:, place]) for place in range(values.shape[1])]
        elif isinstance(series.dtype, pl.List):
            columns.append(series.cast(pl.List(pl.String)).list.join(";"))
        else:
            columns.append(series)
    return pl.DataFrame(columns)


def write_text(file: Path, text: str) -> None:
    """A text file, whole."""
    with whole(file) as path:
        path.write_text(text, encoding="utf-8")
