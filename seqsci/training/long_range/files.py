"""Texts that the user gives: byte-level classification and retrieval, as in the Long Range Arena.

A CSV, TSV or Parquet file with the columns `text, label`, or `text1, text2, label`, and, where the rows are split
already, `split` (train, val, test). Without it a tenth of the rows is validated on and a tenth tested on, drawn by the
seed. Tokens are the UTF-8 bytes of a text, the first BYTES of them.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import polars as pl
import torch

from seqsci.data.opened import unpacked, whole_text
from seqsci.errors import SeqsciError
from seqsci.training.long_range.scales import BYTES, Scale
from seqsci.training.long_range.tasks import LongTask, Rows, stream

PARQUET = b"PAR1"
COLUMNS = {"text": ("text",), "retrieval": ("text1", "text2")}
WORDS = {"train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val"}
WORDS |= {"test": "test", "testing": "test"}
FEWEST = 10
"""Rows that a file has at least."""
_BROKEN = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)


def from_file(name: str, path: str, scale: Scale, seed: int) -> LongTask:
    """The task "text" or "retrieval".

    Raises:
        SeqsciError: a file or a column that is missing, a row without text or label, a single class, an empty split.
    """
    file = Path(path)
    frame = _read(file, name)
    columns = COLUMNS[name]
    texts = [_texts(frame, column, file.name) for column in columns]
    labels = _column(frame, "label", file.name)
    classes = sorted(set(labels), key=lambda value: (not value.lstrip("-").isdigit(), len(value), value))
    if len(classes) < 2:
        raise SeqsciError(f"{file.name}, column label: only '{classes[0]}' stands there; it needs at least two classes")
    target = torch.tensor([classes.index(label) for label in labels])
    splits = _splits(frame, file.name, len(labels), seed)
    counts = np.bincount(target.numpy())

    def draw(split: str, number: int, count: int) -> Rows:
        known = splits[split]
        if split == "train":
            rng = np.random.default_rng(stream(seed, split, number))
            known = rng.choice(known, count, replace=count > len(known))
        elif split == "val":
            known = np.random.default_rng(seed).permutation(known)[:count]
        first, *others = [_padded([own[row] for row in known]) for own in texts]
        return Rows(*first, target[torch.from_numpy(known)], others[0] if others else None)

    return LongTask(
        name=name,
        kind="pair" if len(columns) == 2 else "row",
        symbols=256,
        outputs=len(classes),
        length=max(len(text) for own in texts for text in own),
        chance=float(counts.max() / counts.sum()),
        what=f"{len(classes)} classes of the {len(labels):,} {'pairs of texts' if len(columns) == 2 else 'texts'} of "
        f"{file.name}, read as bytes",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        draw=draw,
    )


def _read(path: Path, name: str) -> pl.DataFrame:
    raw = unpacked(path)
    frame = _parquet(path, raw) if raw.startswith(PARQUET) else _table(path)
    for column in (*COLUMNS[name], "label"):
        if column not in frame.columns:
            known = ", ".join(frame.columns[:8]) or "none"
            raise SeqsciError(
                f"{path.name}: no column '{column}', among {known}; --{name} reads the columns "
                f"{', '.join(COLUMNS[name])}, label and, if you like, split"
            )
    if frame.height < FEWEST:
        raise SeqsciError(f"{path.name}: {frame.height} rows; training, validation and test take at least {FEWEST}")
    return frame


def _parquet(path: Path, raw: bytes) -> pl.DataFrame:
    """By Arrow: polars meets some damaged files with a panic."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(io.BytesIO(raw)).read()
        table.validate(full=True)
        return pl.DataFrame(table)
    except (*_BROKEN, pa.ArrowException, ValueError, OverflowError, MemoryError) as error:
        raise SeqsciError(f"{path.name}: is no whole Parquet file ({_first(error)}); write it again") from None


def _table(path: Path) -> pl.DataFrame:
    text = whole_text(path)
    head = text.split("\n", 1)[0]
    if not head.strip() or "\0" in text:
        raise SeqsciError(f"{path.name}: is empty, or neither text nor Parquet; give a CSV, TSV or Parquet file")
    try:
        return pl.read_csv(text.encode(), infer_schema=False, separator="\t" if "\t" in head else ",")
    except _BROKEN as error:
        raise SeqsciError(f"{path.name}: is not a table ({_first(error)}); write it again") from None


def _first(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _column(frame: pl.DataFrame, column: str, name: str) -> list[str]:
    """As text, none of it missing."""
    try:
        values = frame[column].cast(pl.String)
    except pl.exceptions.PolarsError:
        raise SeqsciError(f"{name}, column {column}: holds {frame[column].dtype}, not text; write it as text") from None
    empty = (values.fill_null("") == "").arg_true()
    if len(empty):
        raise SeqsciError(f"{name}, row {empty[0] + 1}, column {column}: nothing stands there; fill it or drop the row")
    found: list[str] = values.to_list()
    return found


def _texts(frame: pl.DataFrame, column: str, name: str) -> list[torch.Tensor]:
    raw = [text.encode()[:BYTES] for text in _column(frame, column, name)]
    return [torch.from_numpy(np.frombuffer(text, dtype=np.uint8).astype(np.int64)) for text in raw]


def _splits(frame: pl.DataFrame, name: str, count: int, seed: int) -> dict[str, np.ndarray]:
    """Rows of each split."""
    if "split" not in frame.columns:
        order = np.random.default_rng(seed).permutation(count)
        tenth = max(1, count // 10)
        return {"test": np.sort(order[:tenth]), "val": np.sort(order[tenth : 2 * tenth]), "train": order[2 * tenth :]}
    said = _column(frame, "split", name)
    wrong = next((row for row, word in enumerate(said) if word.lower() not in WORDS), None)
    if wrong is not None:
        raise SeqsciError(f"{name}, row {wrong + 1}, column split: '{said[wrong]}'; say train, val or test")
    own = np.array([WORDS[word.lower()] for word in said])
    splits = {split: np.flatnonzero(own == split) for split in ("train", "val", "test")}
    absent = next((split for split, rows in splits.items() if not len(rows)), None)
    if absent is not None:
        raise SeqsciError(f"{name}, column split: no row says {absent}; mark some, or leave the column out")
    return splits


def _padded(texts: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, L) tokens, 0 behind the end, and (B, L) where one stands."""
    lengths = torch.tensor([len(text) for text in texts])
    tokens = torch.nn.utils.rnn.pad_sequence(texts, batch_first=True)
    return tokens, torch.arange(tokens.shape[1]) < lengths[:, None]
