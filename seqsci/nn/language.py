"""Networks that read tokens: a language model, and a model that says something of a whole row, on any encoder.

B batch, L length, D width, V vocabulary, K outputs.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from seqsci import registry
from seqsci.data.batch import LanguageShape, TokenBatch
from seqsci.data.records import BEGIN, END
from seqsci.errors import SeqsciError
from seqsci.nn.embeddings import sinusoid


class LanguageNetwork(nn.Module):
    """Embedding, encoder, and a linear map to the vocabulary.

    With `shape.shared` both strands are read with the same weights, as in Caduceus (Schiff et al. 2024, arXiv
    2403.03234): what is said of the other strand's sequence is what is said of this one's, read from the other side,
    for any encoder, since the two meet in the last map alone. An encoder that takes no positions gets the
    fixed position code of Vaswani et al. (2017).
    """

    complements: Tensor

    def __init__(self, settings: Any, shape: LanguageShape) -> None:
        super().__init__()
        encoder: Any = registry.encoder(settings.name)
        check = getattr(encoder, "check", None)
        if check is not None:
            check(settings, shape.context)
        self.encoder = encoder(settings)
        # Of a whole row even a causal encoder may read both strands: nothing is hidden from it.
        require(self.encoder, settings, shape.shared and not shape.outputs)
        self.embedding = nn.Embedding(shape.symbols, settings.width)
        self.head = nn.Linear(settings.width, shape.symbols, bias=False)
        nn.init.normal_(self.embedding.weight, std=math.sqrt(2 / (5 * settings.width)))
        nn.init.normal_(self.head.weight, std=math.sqrt(2 / (5 * settings.width)))
        self.shared = shape.shared
        self.register_buffer("complements", torch.tensor(shape.complements, dtype=torch.int64), persistent=False)

    def forward(self, batch: TokenBatch) -> Tensor:
        """(B, L, V) float32 logits."""
        if not self.shared:
            return self.head(self.encode(batch)).float()
        ahead, back = self._strands(batch)
        logits: Tensor = self.head(ahead) + self.head(back)[..., self.complements]
        return logits.float()

    def states(self, batch: TokenBatch) -> Tensor:
        """(B, L, D) what the encoder makes of each token; with shared strands the sum over both."""
        if not self.shared:
            return self.encode(batch)
        ahead, back = self._strands(batch)
        return ahead + back

    def encode(self, batch: TokenBatch) -> Tensor:
        """(B, L, D) states of one strand."""
        x = self.embed(batch.tokens, batch.positions)
        if self.encoder.positional:
            states: Tensor = self.encoder(x, batch.mask, batch.positions)
            return states
        return self.encoder(x, batch.mask)

    def initial_state(self, rows: int) -> Any:
        """Of an encoder that streams: the state before the first token of B rows."""
        return self.encoder.initial_state(rows)

    def advance(self, tokens: Tensor, positions: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Of an encoder that streams: (B, T) the next tokens and their positions -> (B, T, V) float32 logits of what
        follows each, and the state after them."""
        states, state = self.read(tokens, positions, state)
        return self.head(states).float(), state

    def read(self, tokens: Tensor, positions: Tensor, state: Any) -> tuple[Tensor, Any]:
        """As `advance`, but (B, T, D) what the encoder makes of each token."""
        after: tuple[Tensor, Any] = self.encoder.advance(self.embed(tokens, positions), state, positions)
        return after

    def embed(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """(B, L) and (B, L) -> (B, L, D)."""
        x: Tensor = self.embedding(tokens)
        if self.encoder.positional:
            return x
        code = sinusoid(int(positions.max()) + 1, x.shape[-1], x.device)
        return x + code[positions]

    def _strands(self, batch: TokenBatch) -> tuple[Tensor, Tensor]:
        """States of the row, and those of the other strand in the order of the row, by one pass of twice the rows."""
        other = other_strand(batch, self.complements)
        both = [torch.cat(pair) for pair in zip(_row(batch), _row(other), strict=True)]
        joined = replace(batch, tokens=both[0], mask=both[1], positions=both[2])
        ahead, back = self.encode(joined).chunk(2)
        return ahead, back.gather(1, mirrored(batch).unsqueeze(-1).expand_as(back))


class RowNetwork(nn.Module):
    """A language model's encoder, the mean and the largest of its states over a row, and a linear map to K outputs.

    The largest beside the mean, as in Howard and Ruder (2018, arXiv 1801.06146, section 3.3): a site that is one of
    many letters is lost in a mean.
    """

    def __init__(self, settings: Any, shape: LanguageShape) -> None:
        super().__init__()
        self.language = LanguageNetwork(settings, shape)
        self.language.head.requires_grad_(False)  # of the language model it comes from; it says nothing here
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(2 * settings.width, shape.outputs)

    def forward(self, batch: TokenBatch) -> Tensor:
        """(B, K) float32."""
        states = self.language.states(batch)
        largest = states.masked_fill(~batch.mask.unsqueeze(-1), -torch.inf).amax(1)
        return self.head(self.dropout(torch.cat([mean(states, batch.mask), largest], 1))).float()


def mean(states: Tensor, mask: Tensor) -> Tensor:
    """(B, L, D) and (B, L) -> (B, D) over the real tokens."""
    real = mask.unsqueeze(-1)
    return (states * real).sum(1) / real.sum(1)


def other_strand(batch: TokenBatch, complements: Tensor) -> TokenBatch:
    """The row that the reverse complement would be: <begin> stays in front and <end> behind."""
    return replace(batch, tokens=complements[batch.tokens].gather(1, mirrored(batch)))


def mirrored(batch: TokenBatch) -> Tensor:
    """(B, L) place of each letter's partner on the other strand: <begin>, <end> and what stands behind keep theirs.

    A row without <begin>, as published DNA-xLSTM reads, is turned from its first letter on.
    """
    first = (batch.tokens[:, :1] == BEGIN).long()
    length = batch.mask.sum(1, keepdim=True)
    last = length - 1 - (batch.tokens.gather(1, length - 1) == END).long()
    step = torch.arange(batch.mask.shape[1], device=batch.mask.device).expand_as(batch.tokens)
    return torch.where((step >= first) & (step <= last), first + last - step, step)


def require(encoder: Any, settings: Any, shared: bool) -> None:
    """Refuse an encoder that cannot say something of each token.

    Raises:
        SeqsciError: naming it.
    """
    if not encoder.length_preserving or encoder.fixed_length:
        raise SeqsciError(
            f"model.name: '{settings.name}' says nothing of each single token, whatever stands behind it; "
            f"`seqsci models` tells which do"
        )
    if shared and encoder.causal:
        raise SeqsciError(
            "data.strands: 'shared' reads both strands, so that a causal model would see what it is to tell; train "
            "with train.objective masked and a model that reads both ways (model.direction both)"
        )


def _row(batch: TokenBatch) -> tuple[Tensor, Tensor, Tensor]:
    return batch.tokens, batch.mask, batch.positions
