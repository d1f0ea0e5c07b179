# %% [markdown]
# # A language model of molecules
# SMILES go in; out come a model, what it is worth beside simpler ones, new molecules, and predictions. The molecules
# here are simulated, so that the notebook needs no download; `seqsci.pretrain("mine.smi")` reads your own.

# %%
import os
import tempfile
from pathlib import Path

import polars as pl

import seqsci
from seqsci.domains import molecules

folder = Path(tempfile.mkdtemp())
fast = bool(os.environ.get("SEQSCI_FAST"))

# %% [markdown]
# ## What is in the file
# A molecule has many SMILES; the tokenizer keeps each as it is written, and `augment` writes another of the same.

# %%
made = molecules.simulate(0, 600 if fast else 3000)
print(made.head(3))
text = made["smiles"][0]
tokens = molecules.TOKENIZER.encode(text)
assert molecules.TOKENIZER.decode(tokens) == text
tricky = r"C/C=C\C.[Na+].[O-]c1ccc2%12c1.C%12CC2"
assert molecules.TOKENIZER.decode(molecules.TOKENIZER.encode(tricky)) == tricky

# %% [markdown]
# ## Train, and score once on a test split
# The split is by scaffold, so that near copies of a molecule do not stand on both sides.

# %%
small = {"model.width": 48 if fast else 96, "model.layers": 2, "train.epochs": 3 if fast else 12}
made.select("smiles").write_csv(folder / "mine.csv")
result = seqsci.pretrain(folder / "mine.csv", domain="molecules", settings=small, runs=folder / "runs", quiet=True)
print(result.table)
for sentence in result.verdicts:
    print(sentence)
assert set(result.table["method"]) == {"bioxlstm", "markov", "transformer"}
assert (result.folder / "report.html").is_file()

# %% [markdown]
# ## New molecules
# Novelty is against the molecules that the model was trained on. `report.html` in the answer's folder draws the best.

# %%
drawn = seqsci.generate(result, count=60 if fast else 500, temperature=0.9, seed=0, quiet=True)
print(drawn.table.head(5))
print({name: value for name, value in drawn.summary.items() if not isinstance(value, (dict, list))})
assert drawn.table.height == (60 if fast else 500)
assert drawn.report is not None and drawn.report.is_file()

# %% [markdown]
# ## How likely a molecule is
# Butane is likelier than a chain of oxygens; a text that is no SMILES is refused by its line.

# %%
judged = seqsci.score(result, ["CCCC", "ClOOOOCl"], quiet=True).table
print(judged)
try:
    seqsci.score(result, ["C1CC"], quiet=True)
except seqsci.SeqsciError as problem:
    print(problem)
else:
    raise AssertionError("an open ring must be refused")

# %% [markdown]
# ## Predict a property
# From the pretrained weights, beside Morgan fingerprints with the best linear model or boosting, and beside the same
# network from random weights. Which one wins is a matter of the data: read the table.

# %%
made.select("smiles", "logp").write_csv(folder / "labelled.csv")
tuned = seqsci.finetune(
    result,
    folder / "labelled.csv",
    label="logp",
    settings={"train.epochs": 3 if fast else 15},
    runs=folder / "runs",
    quiet=True,
)
print(tuned.table)
assert "features" in set(tuned.table["method"])
predicted = tuned.predict(pl.DataFrame({"smiles": ["CCO", "CCCCCCCC"]}))
print(predicted)
assert predicted.height == 2
