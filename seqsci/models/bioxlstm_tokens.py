"""The vocabularies of published Bio-xLSTM, and their rows in the order of a vocabulary of ours.

    dna    7 special tokens, then A C G T N            ml-jku/DNA-xLSTM, hg38_char_tokenizer.py
    prot   4 special tokens, 20 + 7 residues, masks    ml-jku/Prot-xLSTM, utils.py

What these models were trained on: DNA-xLSTM on windows without a beginning, ended by [SEP], where N is [PAD];
Prot-xLSTM on homologs of which each begins with <cls>, spans that were cut out behind <eos>. Chem-xLSTM learns its
vocabulary from its data and writes `@@` and `%10` as other tokens than ours, so that no table of rows leads there.

V tokens of ours, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from seqsci.data.records import SPANS
from seqsci.errors import SeqsciError, nearest

_DNA = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")
_MASKS = tuple(f"<mask-{number}>" for number in range(1, 6))
_PROT = ("<cls>", "<pad>", "<eos>", "<unk>", *"LAGVSERTIDPKQNFYMHWCXBUZO.-", "<null_1>", "<mask>", *_MASKS)

TOKENS: dict[str, tuple[str, ...]] = {"dna": _DNA, "dna-ps": _DNA, "prot": _PROT}
"""Published tokens by family, from 0 on."""

_OF_DNA = {
    "<pad>": "[PAD]",
    "<begin>": "[CLS]",
    "<end>": "[SEP]",
    "<separator>": "[SEP]",
    "<mask>": "[MASK]",
    "<fill>": "[RESERVED]",
    **dict.fromkeys(SPANS, "[RESERVED]"),
    # In its training N is written as [PAD]; the other codes of ambiguity it does not know.
    **dict.fromkeys("NRYSWKMBDHV", "[PAD]"),
}
_OF_PROT = {
    "<begin>": "<cls>",
    "<end>": "<eos>",
    "<separator>": "<cls>",
    "<fill>": "<eos>",
    **dict(zip(SPANS, _MASKS, strict=True)),
    "J": "<unk>",
}
OTHER_NAMES: dict[str, Mapping[str, str]] = {"dna": _OF_DNA, "dna-ps": _OF_DNA, "prot": _OF_PROT}
"""Our token -> the published one that is used like it, where they are not called the same."""


def published_rows(family: str, symbols: Sequence[str]) -> list[int]:
    """(V,) the published token that each of ours is.

    Tokens of ours may share a published one, as <begin> and <separator> of proteins do: their logits are then the
    same, and a probability is that of all of them together.

    Args:
        family: "dna", "dna-ps" or "prot".
        symbols: of our tokenizer.

    Raises:
        SeqsciError: another family, or symbols that have no published token.
    """
    if family not in TOKENS:
        raise SeqsciError(f"family: no vocabulary of '{family}' is known{nearest(family, TOKENS)}")
    numbers = {token: number for number, token in enumerate(TOKENS[family])}
    names = [OTHER_NAMES[family].get(symbol, symbol) for symbol in symbols]
    unknown = [symbol for symbol, name in zip(symbols, names, strict=True) if name not in numbers]
    if unknown:
        raise SeqsciError(
            f"family: '{family}' has no token for {', '.join(map(repr, unknown[:5]))}; "
            f"take the tokenizer of its science"
        )
    return [numbers[name] for name in names]


def in_symbols(tensors: Mapping[str, Tensor], family: str, symbols: Sequence[str]) -> dict[str, Tensor]:
    """Tensors of `load_published` for a network that reads and tells our tokens.

    `embedding.weight` and `head.weight` become (V, D); the others are the same tensors.

    Raises:
        SeqsciError: as `published_rows`, or weights of another vocabulary.
    """
    rows = published_rows(family, symbols)
    found = dict(tensors)
    for name in ("embedding.weight", "head.weight"):
        if len(tensors[name]) < len(TOKENS[family]):
            raise SeqsciError(
                f"{name}: {len(tensors[name])} rows, but the vocabulary of '{family}' has {len(TOKENS[family])} "
                f"tokens; these weights are of another one"
            )
        found[name] = tensors[name][rows]
    return found
