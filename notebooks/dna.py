# %% [markdown]
# # A language model of DNA
# A FASTA file goes in; out come a model, what it is worth beside a Markov model, and scores of variants. The genome
# here is simulated: genes on both strands with their promoters, in a background.

# %%
import os
import tempfile
from pathlib import Path

import numpy as np

import seqsci
from seqsci.domains import genomics

folder = Path(tempfile.mkdtemp())
fast = bool(os.environ.get("SEQSCI_FAST"))

# %% [markdown]
# ## A file like yours
# Lower-case letters are masked repeats: they are read as they are written in capitals, and the note counts them.

# %%
contigs = genomics.simulate(0, 2 if fast else 6)
lines = [f">{name}\n{text[:20000] if fast else text}\n" for name, text in contigs.select("id", "sequence").iter_rows()]
(folder / "genome.fa").write_text("".join(lines).replace("GATTACA", "gattaca"))

# %% [markdown]
# ## Train on one part of each contig, and score once on a far part
# `data.augment` also reads the other strand, and `data.strands both` takes the two together in every score.

# %%
small = {"model.width": 48 if fast else 96, "model.layers": 2, "train.epochs": 2 if fast else 10, "data.context": 256}
ways = {"data.augment": True, "data.strands": "both"}
result = seqsci.pretrain(folder / "genome.fa", settings={**small, **ways}, runs=folder / "runs", quiet=True)
print(result.table)
for sentence in result.verdicts:
    print(sentence)
for note in result.metrics["data"]["notes"]:
    print("-", note)
assert result.metrics["unit"] == "base"

# %% [markdown]
# A Markov model is a hard rival on DNA: where it wins, the sentence above says so.
#
# ## Variants
# A reference letter that does not stand there is refused, with what does.

# %%
name, text = contigs.select("id", "sequence").row(0)
rows = [(name, 1000 + 50 * i, text[999 + 50 * i]) for i in range(20)]
header = "#CHROM\tPOS\tID\tREF\tALT\n"
(folder / "variants.vcf").write_text(
    header + "".join(f"{who}\t{at}\t.\t{letter}\t{'ACGT'['CGTA'.index(letter)]}\n" for who, at, letter in rows)
)
effects = seqsci.score(result, folder / "genome.fa", variants=folder / "variants.vcf", window=200, quiet=True)
print(effects.table.head(3))
assert effects.table.height == 20 and np.isfinite(effects.table["log_ratio"].to_numpy()).all()
(folder / "wrong.vcf").write_text(header + f"{name}\t1000\t.\t{'A' if text[999] != 'A' else 'C'}\tG\n")
try:
    seqsci.score(result, folder / "genome.fa", variants=folder / "wrong.vcf", quiet=True)
except seqsci.SeqsciError as problem:
    print(problem)
else:
    raise AssertionError("a wrong reference must be refused")

# %% [markdown]
# ## Promoters
# Labelled windows; the rival that is told k-mers and positions is a strong one.

# %%
promoters = genomics.simulate_promoters(0, 300 if fast else 2000)
promoters.write_csv(folder / "promoters.csv")
tuned = seqsci.finetune(
    result,
    folder / "promoters.csv",
    label="label",
    settings={"train.epochs": 2 if fast else 15},
    runs=folder / "runs",
    quiet=True,
)
print(tuned.table)
vectors = seqsci.embed(result, promoters.head(20)["sequence"].to_list(), quiet=True).table
assert vectors.height == 20
