# %% [markdown]
# # Classifying your own light curves
# Two CSV files go in, observations and objects; out come class probabilities of new objects, with scores beside what
# costs next to nothing. The data here is simulated and not calibrated: its scores say nothing about any real survey.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

import seqsci
from seqsci.domains import photometry
from seqsci.domains.photometry.gp import fit_grid
from seqsci.domains.photometry.simulate import simulate
from seqsci.metrics import open_set_auroc
from seqsci.report.drawing import new_figure, save

folder = Path(tempfile.mkdtemp())
fast = bool(os.environ.get("SEQSCI_FAST"))
KINDS = {"90": "SN Ia", "42": "SN II", "62": "SN Ibc", "15": "TDE", "88": "AGN"}

# %% [markdown]
# ## Files like yours
# The columns have the names of no survey that seqsci knows, and the fluxes are in nJy: zero point 31.4. A few rows
# are as such rows are: a blank flux, a row twice, an object seen once.

# %%
columns = {
    "object_id": "source",
    "time": "obs_mjd",
    "band": "filt",
    "flux": "F_psf",
    "flux_error": "sigma_F",
    "detected": "found",
    "redshift": "photoz",
    "redshift_error": "photoz_sigma",
}
NANOJANSKY = 10 ** (0.4 * (31.4 - 27.5))


def survey(seed: int, each: int, codes: dict[str, str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Simulated observations and objects of some classes, `each` of every class, in the columns of this survey."""
    curves = simulate(seed, 14 * each, open_set=True)
    objects = curves.objects.filter(pl.col("label").is_in(list(codes)))
    objects = objects.rename(columns, strict=False).with_columns(kind=pl.col("label").replace(codes))
    rows = curves.take(objects["source"]).observations
    rows = rows.with_columns(pl.col("flux", "flux_error") * NANOJANSKY).rename(columns, strict=False)
    return rows, objects.select("source", "kind", "photoz", "photoz_sigma")


rows, objects = survey(1, 120 if fast else 160, KINDS)
blank = pl.when(pl.int_range(pl.len()) >= 7).then("F_psf").alias("F_psf")
lonely = rows[:1].with_columns(source=pl.lit("seen-once"))
pl.concat([rows.with_columns(blank), rows[100:103], lonely]).write_csv(folder / "curves.csv")
objects.write_csv(folder / "objects.csv")
print(rows.head(3), objects.head(3), sep="\n")

# %% [markdown]
# ## What reading finds, and what it drops
# Nothing is dropped or guessed silently: each row and object is counted, and each guess is a sentence.

# %%
curves = photometry.read(
    folder / "curves.csv", folder / "objects.csv", columns=columns, label="kind", zeropoint=31.4, difference=True
)
for note in curves.notes:
    print("-", note)
print(curves.counts, curves.units)
assert curves.counts["rows: no finite flux"] == 7
assert curves.counts["rows: exact duplicates"] == 3
assert curves.counts["objects: fewer than 2 observations"] == 1
assert curves.counts["objects out"] == len(objects)

# %% [markdown]
# ## Train, and score once on a test split
# `classify/t2-direct` is a transformer on the observations themselves, as irregular as they are, and on measures of the
# whole curve. Here it is small, so that it takes seconds. What reading must be told goes into the recipe, which
# remembers it for new objects.

# %%
reading = {"data.columns": columns, "data.zeropoint": 31.4, "data.difference": True, "data.mw_corrected": True}
small = {"model.width": 32, "model.feedforward": 64, "train.epochs": 8 if fast else 10, "train.lr": 2e-3}
judging = {"evaluate.baselines": ["prior", "boosting"], "evaluate.resamples": 500, "evaluate.days": [1, 4, 16, 64]}
result = seqsci.classify(
    folder / "curves.csv",
    objects=folder / "objects.csv",
    label="kind",
    recipe="classify/t2-direct",
    settings={**reading, **small, **judging},
    runs=folder / "runs",
    quiet=True,
)
print(result.table.select("method", "flat_log_loss", "accuracy", "macro_recall", "difference", "low", "high"))
for sentence in result.verdicts:
    print(sentence)
assert set(result.table["method"]) == {"t2", "prior", "boosting"}
assert result.verdicts[0].startswith("t2 is better than prior")

# %% [markdown]
# `prior` gives every class the same probability; `boosting` is gradient boosting on 119 measures of each curve. A
# transformer that was trained for seconds is not better than boosting, and the sentence above says so. `report.html`
# in the run folder has the pictures: confusion, calibration, each class over time, the surest mistakes.

# %%
assert not result.verdicts[1].startswith("t2 is better")
assert (result.folder / "report.html").is_file()

# %% [markdown]
# ## New objects
# Their classes are not needed. `seqsci predict RUN --data new.csv --objects redshifts.csv` does the same.

# %%
new_rows, new_objects = survey(2, 20, KINDS)
new_rows.write_csv(folder / "new.csv")
new_objects.drop("kind").write_csv(folder / "redshifts.csv")
found = result.predict(folder / "new.csv", folder / "redshifts.csv")
print(found.head())
hits = found.join(new_objects, left_on="object_id", right_on="source").select(pl.col("predicted") == pl.col("kind"))
print("right:", f"{hits.to_series().mean():.0%}")
assert np.allclose(found.select(pl.col("^p_.*$")).to_numpy().sum(1), 1)
assert hits.to_series().mean() > 2 / len(KINDS)

# %% [markdown]
# ## Early classification
# The test objects again, each cut off so many days after its first detection: what a broker would have said by then.
# Rows after the cut are gone before anything is computed. A model that was trained on whole curves knows little of
# young ones: its loss is near that of `prior`, log 5, or above it. One that was trained on cut curves (`train.cut`) and
# without measures of the whole curve (`data.features`) is better there, and worse on whole curves. On young curves
# boosting beats the first of them as well.

# %%
for_alerts = {"train.cut": 0.5, "data.features": False, "evaluate.baselines": ["prior"]}
alerts = seqsci.classify(
    recipe=result.recipe.with_(for_alerts), data=folder / "curves.csv", runs=folder / "runs", quiet=True
)
losses = {
    "trained on whole curves": result.metrics["early"]["by_method"]["t2"]["flat_log_loss"],
    "boosting": result.metrics["early"]["by_method"]["boosting"]["flat_log_loss"],
    "trained on cut curves": alerts.metrics["early"]["by_method"]["t2"]["flat_log_loss"],
}
print(pl.DataFrame({"days": result.metrics["early"]["days"], **losses}))
whole_curves = {"whole": result, "cut": alerts}
print({name: round(one.metrics["test"]["flat_log_loss"], 3) for name, one in whole_curves.items()})
assert max(losses["trained on cut curves"][0], losses["boosting"][0]) < losses["trained on whole curves"][0]
assert 0.8 * np.log(5) < losses["trained on whole curves"][0]
assert result.metrics["test"]["flat_log_loss"] < alerts.metrics["test"]["flat_log_loss"]
assert losses["trained on whole curves"][-1] < losses["trained on whole curves"][0]

# %% [markdown]
# ## Objects of no known class
# `novelty` is 1 less the largest probability. Shown intermediate-luminosity transients, calcium-rich transients and
# pair-instability supernovae, none of which it has seen, how often does an unknown object have the higher novelty?
# 0.5 would be chance. This is a weak score, and no more is claimed for it.

# %%
strange_rows, strange_objects = survey(2, 20, {"992": "ILOT", "993": "CaRT", "994": "PISN"})
strange = result.predict(strange_rows, strange_objects)
area, (low, high) = open_set_auroc(found["novelty"].to_numpy(), strange["novelty"].to_numpy())
print(f"ROC-AUC of the novelty: {area:.2f} [{low:.2f}, {high:.2f}]")
assert low < area < high < 0.95

# %% [markdown]
# ## Why: the class activation map of one object
# The logit of a class is a sum over the observations, and one term for the measures of the whole curve and the host.
# A run keeps the terms of a few test objects; they add up to the probability exactly. Attention has mixed the
# observations before the sum, so that in a small network the terms differ little from night to night.

# %%
drawn = pl.read_parquet(result.folder / "drawn.parquet").filter("right").sort(pl.col("label") == "AGN", "object_id")
name, label, predicted, probability, _ = drawn.row(0)
terms = pl.read_parquet(result.folder / "states.parquet").filter(pl.col("object_id") == name)
seen = pl.read_parquet(result.folder / "curves.parquet").filter(pl.col("object_id") == name).drop("object_id")
steps = terms.drop_nulls("days").sort("days").join_asof(seen.sort("days"), on="days", strategy="nearest")
print(f"object {name}, a {label}: {predicted} with probability {probability:.2f}")
print(steps.sort("activation", descending=True).select("days", "band", "flux", "flux_error", "activation").head(5))
print("measures and host:", terms.filter(pl.col("days").is_null())["activation"].item())
p = pl.read_parquet(result.folder / "predictions.parquet").filter(pl.col("object_id") == name)
logs = p.select(pl.col("^p_.*$").log()).to_numpy()[0]
assert steps["activation"].std() < abs(steps["activation"].mean())
assert np.isclose(terms["activation"].sum(), result.metrics["temperature"] * (logs.max() - logs.mean()), atol=1e-3)

# %% [markdown]
# ## The other way in: a Gaussian process
# `classify/t2` and the published `classify/t2-paper` read a Gaussian process in time and wavelength instead, fitted to
# each object: all passbands on a regular grid, with a standard deviation.

# %%
one = curves.take([name])
grid = fit_grid(one)
print(f"length scale {grid.length_scale[0]:.1f} days, grid {grid.mean.shape} of objects, points in time, passbands")
figure, (axes,) = new_figure(8, 4)
for place, band in enumerate(grid.bands):
    mean, std = grid.mean[0, :, place], grid.std[0, :, place]
    (line,) = axes.plot(grid.times[0], mean, label=band)
    axes.fill_between(grid.times[0], mean - std, mean + std, color=line.get_color(), alpha=0.15)
axes.set_xlabel("days since the first observation near the detections")
axes.set_ylabel("flux, nJy")
axes.legend()
save(figure, folder / "process.png")
print("picture:", folder / "process.png")
assert grid.mean.shape == (1, 100, 6) and (grid.std > 0).all()

# %% [markdown]
# ## In scikit-learn's manner
# Frames in, frames out: pandas here.

# %%
observations, table = rows.to_pandas(), objects.to_pandas()
quick = {**reading, **small, "train.epochs": 2, "evaluate.baselines": ["prior"], "evaluate.days": [64]}
model = seqsci.Classifier("t2", label="kind", settings=quick, runs=folder / "runs")
model.fit(observations, table)
print(model.predict_proba(new_rows.to_pandas(), new_objects.to_pandas()).head(3))
print("minus the flat log loss:", model.score(new_rows.to_pandas(), new_objects.to_pandas()))
assert sorted(model.classes_) == sorted(KINDS.values())
assert len(model.predict(new_rows.to_pandas(), new_objects.to_pandas())) == len(new_objects)

# %% [markdown]
# ## A small sweep
# Trials are compared on the validation split alone; `best.yaml` is a recipe that reruns to the same score.

# %%
recipe = result.recipe.with_({"train.epochs": 1, "search": {"train.lr": {"log": [5e-4, 5e-3]}}})
sweep = seqsci.tune(recipe, trials=2, runs=folder / "runs", quiet=True)
print(sweep.leaderboard)
assert sweep.best.is_file()
assert len(sweep.leaderboard) == 2
