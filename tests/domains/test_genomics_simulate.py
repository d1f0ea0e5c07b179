"""The invented bacterium has the grammar that is claimed of it."""

import numpy as np
import polars as pl
import pytest

from seqsci.domains.genomics import genes, reverse_complement, simulate, simulate_promoters
from seqsci.domains.genomics.simulate import CONTIG, MINUS_10, STARTS, STOPS, WINDOW
from seqsci.errors import SeqsciError


@pytest.fixture(scope="module")
def contigs() -> pl.DataFrame:
    return simulate(0, 4)


def gc(text: str) -> float:
    return (text.count("G") + text.count("C")) / len(text)


def test_a_seed_is_a_set(contigs: pl.DataFrame) -> None:
    assert contigs.columns == ["id", "sequence"] and contigs["id"].to_list() == [f"contig-{i}" for i in range(1, 5)]
    assert (contigs["sequence"].str.len_bytes() == CONTIG).all()
    assert contigs.head(2).equals(simulate(0, 2)) and not contigs.equals(simulate(1, 4))
    assert simulate_promoters(0, 10).equals(simulate_promoters(0, 20).head(10))
    assert not simulate_promoters(0, 10).equals(simulate_promoters(1, 10))
    with pytest.raises(SeqsciError, match="0 records cannot be simulated"):
        simulate(0, 0)


def test_genes_on_both_strands(contigs: pl.DataFrame) -> None:
    found = genes(0, 4)
    assert set(found["strand"]) == {1, -1} and found["record"].n_unique() == 4
    coded = {}
    covered = {name: np.zeros(CONTIG, dtype=bool) for name in contigs["id"]}
    texts = dict(contigs.rows())
    codons = []
    for record, start, stop, strand, _, name, _ in found.rows():
        assert not covered[record][start:stop].any()
        covered[record][start:stop] = True
        text = texts[record][start:stop]
        coded[name] = text if strand > 0 else reverse_complement(text)
        inner = [coded[name][i : i + 3] for i in range(0, len(text), 3)]
        assert inner[0] in STARTS and inner[-1] in STOPS and not set(inner[1:-1]) & set(STOPS)
        codons += inner[1:-1]
    share = np.mean([mask.mean() for mask in covered.values()])
    assert 0.6 < share < 0.95
    between = "".join(
        letter for record, text in texts.items() for letter, c in zip(text, covered[record], strict=True) if not c
    )
    assert gc(between) < 0.45 < gc("".join(coded.values()))
    counts = np.sort(pl.Series(codons).value_counts()["count"].to_numpy())
    assert counts[-10:].sum() > 3 * counts[:20].sum()  # codon use is uneven


def test_promoters_have_their_box_and_others_do_not() -> None:
    frame = simulate_promoters(0, 600)
    assert frame.columns == ["id", "sequence", "label"] and (frame["sequence"].str.len_bytes() == WINDOW).all()
    assert frame["label"].value_counts()["count"].to_list() == [300, 300]

    def best(text: str) -> int:
        return max(sum(a == b for a, b in zip(text[i:], MINUS_10, strict=False)) for i in range(42, 58))

    with_box = frame.with_columns(box=pl.col("sequence").map_elements(best, return_dtype=pl.Int64) >= 5)
    share = dict(with_box.group_by("label").agg(pl.col("box").mean()).rows())
    assert share["promoter"] > 0.7 > 0.3 > share["not promoter"]
