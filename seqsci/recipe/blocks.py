"""The blocks of a recipe: plain frozen dataclasses; the string below a field is its help."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from pydantic import Field

from seqsci.models.settings import Positive

Count = Annotated[int, Field(ge=0, strict=True)]
Level = Annotated[int, Field(gt=0, lt=100, strict=True)]
Rate = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, kw_only=True)
class Data:
    """What every task says of its data."""

    name: str
    """A data set of `seqsci data list`, or the path of a file."""


@dataclass(frozen=True, kw_only=True)
class ForecastData(Data):
    """Which series are read and forecast, and how they are split."""

    target: str = "all"
    """Series to forecast: "all", one name, or names with commas between."""
    inputs: Literal["target", "all"] = "target"
    """Series the model reads: those it forecasts, or every one (multivariate-to-one)."""
    covariates: tuple[str, ...] = ()
    """Columns that are known for the horizon as well, such as a weather forecast or a holiday flag."""
    context: Positive = 96
    """Steps the model sees."""
    horizon: Positive = 24
    """Steps it forecasts."""
    level: Literal["none", "last", "mean"] = "none"
    """What is taken off each series of a window before the model sees it and put back on its forecast: nothing,
    the last value of the context, or its mean. It helps where the level of a series drifts."""
    split: str = "auto"
    """"auto" (the data set's own, else 0.7,0.1,0.2), three fractions "0.7,0.1,0.2" for training, validation
    and test, or two dates "2018-01-01,2018-04-01" at which validation and test begin."""
    time: str | None = None
    """Time column; guessed when not given."""
    layout: Literal["auto", "wide", "long"] = "auto"
    """One column per series (wide), or one row per series and time (long)."""
    id: str | None = None
    """Long layout: column that names the series."""
    value: str | None = None
    """Long layout: column that holds the values."""
    step: str | None = None
    """Distance between two rows ("1h", "15m", "1d", "1mo"); inferred when not given."""
    duplicates: Literal["refuse", "first", "mean"] | None = None
    """What to do with two different values for one time."""
    irregular: Literal["refuse", "round"] | None = None
    """What to do with a time between two steps: refuse it, or round it to the nearest."""
    missing: tuple[float, ...] | None = None
    """Numbers that stand for "not observed", such as -9999."""
    encoding: str | None = None
    """Character set of a text file; UTF-8 when not given."""
    separator: str | None = None
    """Character between two columns of a text file; found out when not given."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the model is trained."""

    epochs: Positive = 6
    """Passes over the training windows, at most."""
    batch: Positive = 32
    """Windows per step."""
    lr: Rate = 1e-4
    """Learning rate of Adam."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Decoupled weight decay (AdamW when above 0)."""
    schedule: Literal["halve", "cosine", "constant"] = "halve"
    """Learning rate by epoch: halved after each from the second on (the published one), a cosine, or constant."""
    patience: Positive = 3
    """Epochs without a better validation loss after which training stops."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 where the hardware multiplies it fast (auto), always, or never."""
    seed: Count = 0
    """Seed of the weights, the order of windows, dropout and key samples."""
    save_minutes: Annotated[float, Field(ge=0)] = 2.0
    """Minutes between two resume points."""


@dataclass(frozen=True, kw_only=True)
class ForecastTrain(Train):
    """How a forecasting model is trained."""

    loss: Literal["mse", "mae"] = "mse"
    """What is minimised, in scaled units."""


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """How the result is judged."""

    resamples: Positive = 2000
    """Bootstrap resamples behind each confidence interval."""


@dataclass(frozen=True, kw_only=True)
class ForecastEvaluate(Evaluate):
    """How a forecast is judged."""

    levels: tuple[Level, ...] = (80, 95)
    """Coverage in per cent that the forecast intervals aim at."""
    season: Count = 0
    """Steps in a season for the seasonal naive; 0 to take it from the time step."""


def describe(cls: type) -> list[tuple[str, str, Any, str]]:
    """(field, type, default, help) of a settings class, for help texts; help is the string below the field."""
    helps: dict[str, str] = {}
    for part in cls.__mro__[:-1]:
        helps = {**_strings_below(part), **helps}
    return [(f.name, str(f.type), f.default, helps.get(f.name, "")) for f in fields(cls)]


def _strings_below(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        ast.unparse(statement.target): " ".join(str(ast.literal_eval(following.value)).split())
        for statement, following in zip(body.body, body.body[1:], strict=False)
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr)
    }
