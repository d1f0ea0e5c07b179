"""What a trained classifier must remember of its data: classes, passbands and scales of the training objects."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seqsci.data.batch import Sequences, SequenceShape
from seqsci.data.collection import Rows
from seqsci.domains import photometry
from seqsci.domains.photometry.sequences import STATIC
from seqsci.recipe import ClassifyData

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a trained model must remember of its data to read new objects: stored beside the weights.

    `classes (K,)`; `bands` of the grid (gp) or of the training objects; `mean, scale (C,)` of the training rows,
    `static_mean, static_scale (S,)` of the training objects.
    """

    classes: tuple[str, ...]
    bands: tuple[str, ...]
    mean: Floats
    scale: Floats
    static_mean: Floats
    static_scale: Floats
    redshift: bool

    def rows(self, sequences: Sequences, labels: Sequence[str | None]) -> Rows:
        """Scaled tensors; a label that no training object has becomes -1."""
        codes = {name: code for code, name in enumerate(self.classes)}
        first = _static(sequences).shape[1] - len(self.static_mean)  # without redshift its columns are left out
        static = (_static(sequences)[:, first:] - self.static_mean) / self.static_scale
        # Measures of light curves have long tails.
        plain = len(STATIC) - first
        static = np.concatenate([static[:, :plain], np.arcsinh(static[:, plain:])], 1)
        return Rows(
            values=torch.from_numpy(((sequences.values - self.mean) / self.scale).astype(np.float32)),
            times=torch.from_numpy(self._times(sequences)),
            kinds=None if sequences.kinds is None else torch.from_numpy(sequences.kinds.copy()),
            offsets=torch.from_numpy(sequences.offsets),
            # What is not known of an object is the mean of the others.
            static=torch.from_numpy(np.nan_to_num(static).astype(np.float32)),
            target=torch.tensor([-1 if name is None else codes.get(name, -1) for name in labels]),
        )

    def _times(self, sequences: Sequences) -> NDArray[np.float32]:
        """(N, T) days, and days in the rest frame of the host where the model is told the redshift."""
        days = np.asarray(sequences.times, dtype=np.float32)
        if not self.redshift:
            return days[:, None]
        z = np.repeat(np.nan_to_num(_static(sequences)[:, 0]), np.diff(sequences.offsets))
        return np.stack([days, days / (1 + z)], 1).astype(np.float32)

    def facts(self) -> dict[str, Any]:
        """Plain values for the weights' metadata."""
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(self).items()}

    @staticmethod
    def from_facts(facts: Mapping[str, Any]) -> Frame:
        """The inverse of `facts`."""
        arrays = {key: np.asarray(facts[key], dtype=np.float64) for key in ("mean", "scale")}
        arrays |= {key: np.asarray(facts[key], dtype=np.float64) for key in ("static_mean", "static_scale")}
        classes, bands = tuple(facts["classes"]), tuple(facts["bands"])
        return Frame(classes=classes, bands=bands, redshift=facts["redshift"], **arrays)


def fit_frame(
    data: ClassifyData, sequences: Sequences, train: Ints, classes: tuple[str, ...], bands: tuple[str, ...]
) -> Frame:
    """The frame of some sequences, with the scales of those whose numbers are `train`."""
    chosen = np.isin(np.arange(len(sequences.ids)), train)
    fit = _fit_robust if data.input == "gp" and data.flux == "linear" else _fit_scaler
    mean, scale = fit(sequences.values[np.repeat(chosen, np.diff(sequences.offsets))])
    static_mean, static_scale = _fit_static(_static(sequences)[chosen], data)
    return Frame(
        classes=classes,
        bands=bands,
        mean=mean,
        scale=scale,
        static_mean=static_mean,
        static_scale=static_scale,
        redshift=data.redshift,
    )


def make_shape(data: ClassifyData, frame: Frame) -> SequenceShape:
    """What the network must know."""
    direct = data.input == "direct"
    return SequenceShape(
        context=data.context if direct else data.steps,
        channels=len(frame.mean),
        times=2 if frame.redshift else 1,
        kinds=len(photometry.BANDS) if direct else 0,
        static=len(frame.static_mean),
        classes=len(frame.classes),
    )


def _static(sequences: Sequences) -> Floats:
    assert sequences.static is not None
    return sequences.static


def _fit_scaler(rows: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of what is known; a constant or unknown column is only shifted."""
    known = np.isfinite(rows)
    count = np.maximum(known.sum(0), 1)
    mean = np.where(known, rows, 0).sum(0) / count
    spread = np.sqrt((np.where(known, rows - mean, 0) ** 2).sum(0) / count)
    return mean, np.where(spread > 1e-9, spread, 1.0)


def _fit_static(rows: Floats, data: ClassifyData) -> tuple[Floats, Floats]:
    """What is known of the host, where the model is told, and then the measures of the light curve."""
    host, measures = rows[:, : len(STATIC)], rows[:, len(STATIC) :]
    fits = [_fit_scaler(host)] if data.redshift else []
    if data.features:
        fits.append(_fit_robust(measures))
    if not fits:
        return np.zeros(0), np.ones(0)
    mean, scale = zip(*fits, strict=True)
    return np.concatenate(mean), np.concatenate(scale)


def _fit_robust(rows: Floats) -> tuple[Floats, Floats]:
    """Median and interquartile range, for fluxes of which a few are a million times the others."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice")
        low, middle, high = np.nan_to_num(np.nanquantile(rows, [0.25, 0.5, 0.75], axis=0))
    return middle, np.where(high > low, high - low, 1.0)
