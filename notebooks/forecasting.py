# %% [markdown]
# # Forecasting your own series
# A CSV goes in; a forecast with dates, units and intervals comes out, beside baselines. The data here is simulated.

# %%
import os
import tempfile
from pathlib import Path

import polars as pl

import seqsci
from seqsci.domains.electricity import simulate

folder = Path(tempfile.mkdtemp())
epochs = 1 if os.environ.get("SEQSCI_FAST") else 4

# %% [markdown]
# ## A file like yours: a time column and one column per series

# %%
table = simulate(seed=1).head(2500).select("time", "zone_north", "zone_south")
table.write_csv(folder / "load.csv")
print(table.head(3))

# %% [markdown]
# ## Train, and score once on the last fifth
# `settings` takes any field of a recipe by its dotted path; `seqsci settings` on the command line lists them.

# %%
small = {"model.width": 32, "model.heads": 4, "model.feedforward": 64, "train.epochs": epochs, "train.lr": 1e-3}
result = seqsci.forecast(folder / "load.csv", "informer", horizon=24, settings=small, runs=folder / "runs", quiet=True)
print(result.table)
for sentence in result.verdicts:
    print(sentence)
assert set(result.table["method"]) == {"informer", "last", "seasonal_naive", "ridge"}

# %% [markdown]
# A small Informer, trained for seconds, does not beat a ridge regression here, and the table says so.

# %%
scores = dict(zip(result.table["method"], result.table["mse"], strict=True))
assert scores["ridge"] < scores["informer"]

# %% [markdown]
# ## Forecast past the end of the file
# The intervals come from the validation residuals; how much of the test split they covered stands beside them.

# %%
forecast = result.predict(folder / "load.csv")
print(forecast.head())
print("coverage on test:", result.metrics["coverage"])
assert forecast["ds"].min() > table["time"].max()
assert forecast.height == 2 * 24
assert (forecast["yhat-lo-80"] < forecast["yhat-hi-80"]).all()

# %% [markdown]
# ## In scikit-learn's manner

# %%
model = seqsci.Forecaster(horizon=12, context=48, settings={**small, "train.epochs": 1}, runs=folder / "runs")
pandas_forecast = model.fit(table.to_pandas()).predict(table.to_pandas())
print(type(pandas_forecast), len(pandas_forecast))
assert len(pandas_forecast) == 2 * 12

# %% [markdown]
# ## A small sweep
# Trials are compared on the validation split alone; `best.yaml` is a recipe that reruns to the same score.

# %%
recipe = result.recipe.with_({"train.epochs": 1, "search": {"train.lr": {"log": [1e-4, 1e-2]}}})
sweep = seqsci.tune(recipe, trials=2, runs=folder / "runs", quiet=True)
board = pl.read_csv(sweep.folder / "leaderboard.csv")
print(board)
assert (sweep.folder / "best.yaml").is_file()
assert board.height == 2
