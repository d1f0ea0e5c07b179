"""The blocks of a recipe: plain frozen dataclasses; the string below a field is its help."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from dataclasses import MISSING, dataclass, field, fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import Field

from seqsci.models.settings import Count, Positive
from seqsci.recipe.words import kind_words, value_words

Level = Annotated[int, Field(gt=0, lt=100, strict=True)]
Seed = Annotated[int, Field(ge=0, lt=2**32, strict=True)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    and test, or two dates "2018-01-01,2018-04-01" at which validation and test begin, by the clock of the data."""
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
    schedule: Literal["halve", "cosine", "constant", "warmup", "plateau"] = "halve"
    """Learning rate by epoch: halved after each from the second on (Informer's), a cosine, or constant; by step: a
    rise over the first tenth and then a cosine (warmup); by the training loss: a tenth after five epochs without
    a better one (plateau, t2's)."""
    patience: Positive = 3
    """Epochs without a better validation loss after which training stops."""
    clip: Annotated[float, Field(ge=0)] = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """bf16 where the hardware multiplies it fast (auto), always, or never."""
    seed: Seed = 0
    """Seed of the weights, the order of windows, dropout and key samples."""
    save_minutes: Annotated[float, Field(ge=0)] = 2.0
    """Minutes between two resume points."""


@dataclass(frozen=True, kw_only=True)
class ForecastTrain(Train):
    """How a forecasting model is trained."""

    loss: Literal["mse", "mae"] = "mse"
    """What is minimised, in scaled units."""


@dataclass(frozen=True, kw_only=True)
class ClassifyData(Data):
    """Which objects are read, how they go into the model, and how they are split."""

    objects: str | None = None
    """Table with one row per object (label, redshift); without it those columns are sought in the observations."""
    label: str | None = None
    """Column of the class; found by its usual names when not given."""
    columns: dict[str, str] = field(default_factory=dict)
    """Our column names to the table's, where it has none of the usual ones: {flux: F_psf, time: T}."""
    band: str | None = None
    """The one passband of a table that has no such column."""
    zeropoint: float | None = None
    """Magnitude of flux 1, where the table does not say: 27.5 for FLUXCAL, 31.4 for nJy."""
    mw_corrected: bool | None = None
    """Whether the dust of the Milky Way was taken out, where the table does not say."""
    difference: bool | None = None
    """Whether the fluxes are differences to a template, where the table does not say."""
    minimum: Positive = 2
    """Fewest observations of an object."""
    least: Annotated[int, Field(ge=3, strict=True)] = 20
    """Fewest objects of a class before the split; smaller classes are left out, and it is said."""
    parts: tuple[str, ...] = ()
    """Optional files of a data set, such as the test parts of plasticc."""
    count: Positive | None = None
    """Objects of a simulated set."""
    input: Literal["direct", "gp"] = "direct"
    """The observations themselves, or a Gaussian process of them on a regular grid."""
    context: Positive = 128
    """Direct: most observations of an object; of a longer curve an even choice is kept."""
    margin: Annotated[float, Field(ge=0)] = 50.0
    """Days that are kept before the first and after the last detection."""
    steps: Annotated[int, Field(ge=2, strict=True)] = 100
    """gp: points in time."""
    flux: Literal["linear", "arsinh"] = "arsinh"
    """gp: fluxes as they are, as published, or their arsinh, which keeps bright objects from drowning faint ones."""
    deviation: bool = False
    """gp: the standard deviation of each passband as a further channel."""
    survey: Literal["lsst", "ztf"] = "lsst"
    """Whose wavelengths the passbands have."""
    features: bool = False
    """Whether the model is told measures of the whole light curve as well: those that boosting reads."""
    redshift: bool = True
    """Whether the model is told the redshift of the host."""
    split: str = "auto"
    """"auto" (the data set's own test split, else 0.7,0.15,0.15), three shares for training, validation and test,
    dealt at random class by class, or a shift such as "redshift<0.4": the others are the test split."""
    split_seed: Count = 0
    """Seed of the deal; apart from train.seed, so that runs of several seeds share their test split."""


@dataclass(frozen=True, kw_only=True)
class ClassifyTrain(Train):
    """How a classifier is trained."""

    loss: Literal["balanced", "plain"] = "balanced"
    """Every class weighs the same (for the flat log loss), or every object."""
    cut: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the training curves that are cut off at a random time after their first detection."""
    thin: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """A training curve loses a random share of its observations, at most this."""


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


@dataclass(frozen=True, kw_only=True)
class ClassifyEvaluate(Evaluate):
    """How a classification is judged."""

    baselines: tuple[str, ...] = ("prior", "boosting", "fcn")
    """What stands beside the result: prior (class shares), boosting (on features of the light curve), or a recipe of
    the task by its name, which is then trained on the same split."""
    days: tuple[Rate, ...] = (1, 2, 4, 8, 16, 32, 64)
    """Days after the first detection at which the test objects are classified from what was seen by then."""
    open_set: bool = True
    """Whether classes that no training object has are scored, where the data set has some."""


def describe(cls: type) -> list[tuple[str, str, str, str]]:
    """(field, type, default, help) of a settings class in words; help is the string below the field."""
    helps: dict[str, str] = {}
    for part in cls.__mro__[:-1]:
        helps = {**_strings_below(part), **helps}
    kinds = get_type_hints(cls, include_extras=True)
    return [(f.name, kind_words(kinds[f.name]), _default(f), helps.get(f.name, "")) for f in fields(cls)]


def _default(own: dataclasses.Field[Any]) -> str:
    if own.default_factory is not MISSING:
        return value_words(own.default_factory())
    return "needed" if own.default is MISSING else value_words(own.default)


def _strings_below(cls: type) -> dict[str, str]:
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    return {
        ast.unparse(statement.target): " ".join(str(ast.literal_eval(following.value)).split())
        for statement, following in zip(body.body, body.body[1:], strict=False)
        if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr)
    }
