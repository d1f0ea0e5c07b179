# %% [markdown]
# # A language model of proteins
# Families of homologs go in; the model reads some of them and then tells the next. The families here are simulated:
# they evolved along random trees.

# %%
import os
import tempfile
from pathlib import Path

import seqsci
from seqsci.domains import proteins

folder = Path(tempfile.mkdtemp())
fast = bool(os.environ.get("SEQSCI_FAST"))

# %% [markdown]
# ## Homologs one after the other
# `data.sets` puts members of a family into one row, with positions that begin anew at each. Whole families are kept for
# the test, so that nothing of theirs was seen.

# %%
made = proteins.simulate(0, 300 if fast else 1500)
print(made.head(3))
made.write_parquet(folder / "families.parquet")
small = {"model.width": 48 if fast else 96, "model.layers": 2, "train.epochs": 2 if fast else 12}
result = seqsci.pretrain(
    folder / "families.parquet",
    domain="proteins",
    settings={**small, "data.sets": True, "data.split": "group", "data.context": 512},
    runs=folder / "runs",
    quiet=True,
)
print(result.table)
for sentence in result.verdicts:
    print(sentence)
assert result.metrics["unit"] == "residue"

# %% [markdown]
# ## Do homologs help?
# The context is read once, and its state is reused for every query.

# %%
family = made.filter(made["group"] == made["group"][-1])["sequence"].to_list()
queries, context = family[:4], family[4:]
alone = seqsci.score(result, queries, quiet=True).table
told = seqsci.score(result, queries, context=context, quiet=True).table
print(alone["nats_per_token"].mean(), told["nats_per_token"].mean())
assert told.height == len(queries)

# %% [markdown]
# ## Substitutions
# `A24G`: residue 24 of the reference, which must be A, becomes G.

# %%
wild = queries[0]
changes = [f"{wild[i]}{i + 1}{'A' if wild[i] != 'A' else 'G'}" for i in range(10, 20)]
effects = seqsci.score(result, [wild], variants=changes, context=context, quiet=True)
print(effects.table.head(3))
assert effects.table.height == 10

# %% [markdown]
# ## Vectors
# One per protein; the report maps them.

# %%
vectors = seqsci.embed(result, family, quiet=True)
print(vectors.table.head(3))
assert vectors.table.height == len(family)
