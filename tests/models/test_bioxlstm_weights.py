"""Networks with imported weights beside the numbers of the published code, and files that are refused.

The fixtures are what the published networks give for small random weights (tests/fixtures/make_bioxlstm.py).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from seqsci.data.batch import LanguageShape, TokenBatch
from seqsci.data.records import SPECIALS
from seqsci.errors import SeqsciError
from seqsci.models.bioxlstm_tokens import TOKENS, in_symbols, published_rows
from seqsci.models.bioxlstm_weights import FAMILIES, load_published
from seqsci.models.settings import BioXLSTMSettings
from seqsci.nn.language import LanguageNetwork

FIXTURES = Path(__file__).parents[1] / "fixtures"
DNA = {"bidirectional": True, "m_position_embeddings": True}
PROT = {"position_embeddings": "rot_1d", "rope_base_frequency": 500_000}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "dna_mlstm": ("dna", {"config": DNA}),
    "dna_slstm": ("dna", {"model": {"config": DNA}}),
    "prot": ("prot", PROT),
    "chem": ("chem", {}),
    "large": ("xlstm-large", {"gate_soft_cap": 15.0, "use_bias": False}),
}
every = pytest.mark.parametrize("case", CASES)


def published(case: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Numbers and weights; an sLSTM's in the order of the GPU kernel."""
    with np.load(FIXTURES / f"bioxlstm_{case}.npz") as file:
        numbers = {name: torch.from_numpy(file[name]) for name in file.files}
    return numbers, {name.split("/")[1]: x for name, x in numbers.items() if name.startswith("weights/")}


def written(folder: Path, weights: dict[str, Tensor], configuration: dict[str, Any] | None = None) -> Path:
    """A folder with weights and their configuration."""
    folder.mkdir(exist_ok=True)
    save_file({name: x.contiguous() for name, x in weights.items()}, folder / "model.safetensors")
    if configuration:
        (folder / "model_config.json").write_text(json.dumps(configuration))
    return folder


def network(settings: BioXLSTMSettings, tensors: dict[str, Tensor]) -> LanguageNetwork:
    made = LanguageNetwork(settings, LanguageShape(symbols=len(tensors["embedding.weight"]), context=64))
    made.load_state_dict(tensors)  # every name and shape, and no other
    return made.eval()


def batch(tokens: Tensor, case: str) -> TokenBatch:
    steps = torch.arange(tokens.shape[1])
    positions = torch.where(steps < 9, steps, steps - 9) if case == "prot" else steps
    mask = torch.ones_like(tokens, dtype=torch.bool)
    return TokenBatch(tokens=tokens, mask=mask, positions=positions.expand_as(tokens), index=torch.arange(len(tokens)))


def miss(found: Tensor, wanted: Tensor) -> float:
    """Largest difference, relative to the largest number."""
    return ((found.double() - wanted.double()).abs().max() / wanted.abs().max()).item()


@every
@pytest.mark.parametrize("named", [True, False])
def test_states_and_logits_are_the_published_ones(case: str, named: bool, tmp_path: Path) -> None:
    family, configuration = CASES[case]
    numbers, weights = published(case)
    settings, tensors = load_published(written(tmp_path, weights, configuration), family if named else None)
    made, given = network(settings, tensors), batch(numbers["tokens"], case)
    assert (settings.direction == "both") == (family == "dna")
    with torch.no_grad():
        states, logits = made.states(given), made(given)
    if family == "xlstm-large":
        logits = 30 * torch.tanh(logits / 30)
    assert miss(states, numbers["states"]) < 1e-5 and miss(logits, numbers["logits"]) < 1e-5
    # The same in float64: what is left is the published code's own rounding, and its 1e-6.
    with torch.no_grad():
        exact = made.double()(given)
    exact = 30 * torch.tanh(exact / 30) if family == "xlstm-large" else exact
    assert miss(exact, numbers["logits"]) < 1e-5


@pytest.mark.parametrize("case", ["dna_slstm", "chem"])
def test_both_orders_of_an_slstm_are_the_same_weights(case: str, tmp_path: Path) -> None:
    family, configuration = CASES[case]
    numbers, weights = published(case)
    vanilla = {name.split("/")[1]: x for name, x in numbers.items() if name.startswith("vanilla/")}
    assert vanilla
    _, gpu = load_published(written(tmp_path / "gpu", weights, configuration), family)
    _, cpu = load_published(written(tmp_path / "cpu", weights | vanilla, configuration), family)
    assert all(torch.equal(gpu[name], cpu[name]) for name in gpu)


@pytest.mark.parametrize("change", ["gates", "norm", "rotary", "over", "order"])
def test_each_quirk_matters(change: str, tmp_path: Path) -> None:
    """Parity is lost without it, so that the tests above would see it."""
    case = {"gates": "chem", "norm": "chem", "order": "prot"}.get(change, "dna_mlstm")
    family, configuration = CASES[case]
    numbers, weights = published(case)
    settings, tensors = load_published(written(tmp_path, weights, configuration), family)
    name = "encoder.blocks.1.memory."
    if change == "gates":
        tensors[f"{name}input"] = tensors[f"{name}input"][:, :, [1, 0, 2, 3]]
    if change == "norm":
        tensors["encoder.norm.weight"] -= 1
    changes: dict[str, dict[str, Any]] = {"rotary": {"rotary": 0.0}, "over": {"rotary_over": "width"}}
    changes["order"] = {"rotary_over": "head"}
    settings = BioXLSTMSettings(**vars(settings) | changes.get(change, {}))
    with torch.no_grad():
        found = network(settings, tensors)(batch(numbers["tokens"], case))
    assert miss(found, numbers["logits"]) > 1e-3


def test_of_both_strands_the_one_that_is_read_is_published(tmp_path: Path) -> None:
    numbers, weights = published("dna_ps")
    folder = written(tmp_path, weights, {"config": DNA})
    with pytest.raises(SeqsciError, match="name the family 'dna-ps'"):
        load_published(folder)
    settings, tensors = load_published(folder, "dna-ps")
    made, tokens = network(settings, tensors), numbers["tokens"]
    with torch.no_grad():
        states = made.states(batch(tokens, "dna"))
    assert miss(states, numbers["states"][..., :32]) < 1e-5
    # The published states of the other strand are not those of the same network on it: the heads change places.
    pairs = weights["model.backbone.token_embedding.complement_map"]
    with torch.no_grad():
        other = made.states(batch(pairs[tokens].flip(1), "dna"))
    assert miss(other, numbers["states"][..., 32:].flip(1, 2)) > 1e-2


def test_both_strands_of_one_head_are_published(tmp_path: Path) -> None:
    numbers, weights = published("dna_ps_one_head")
    settings, tensors = load_published(written(tmp_path, weights, {"config": DNA}), "dna-ps")
    pairs = weights["model.backbone.token_embedding.complement_map"]
    shape = LanguageShape(symbols=12, context=64, complements=tuple(pairs.tolist()), shared=True)
    made = LanguageNetwork(settings, shape)
    made.load_state_dict(tensors)
    with torch.no_grad():
        found = made.eval()(batch(numbers["tokens"], "dna"))
    assert miss(found, numbers["logits"]) < 1e-5


def test_a_stream_of_imported_weights(tmp_path: Path) -> None:
    for case in ("prot", "chem", "large"):
        numbers, weights = published(case)
        settings, tensors = load_published(written(tmp_path / case, weights, CASES[case][1]))
        made, given = network(settings, tensors), batch(numbers["tokens"], case)
        encoder: Any = made.encoder
        state, out = encoder.initial_state(len(given)), []
        with torch.no_grad():
            for token, position in zip(given.tokens.T, given.positions.T, strict=True):
                y, state = encoder.step(made.embedding(token), state, position)
                out.append(y)
        assert miss(torch.stack(out, 1), numbers["states"]) < 1e-5


@pytest.mark.parametrize("ending", ["model.pt", "last.ckpt", "shards"])
def test_kinds_of_files(ending: str, tmp_path: Path) -> None:
    _, weights = published("large")
    names = sorted(weights)
    if ending == "shards":
        for number, some in enumerate((names[:9], names[9:])):
            save_file({name: weights[name] for name in some}, tmp_path / f"model_{number}.safetensors")
    else:
        held: Any = {"state_dict": weights, "epoch": 3} if ending == "last.ckpt" else weights
        torch.save(held, tmp_path / ending)
    _, tensors = load_published(tmp_path)
    _, same = load_published(written(tmp_path / "whole", weights))
    assert tensors.keys() == same.keys() and all(torch.equal(tensors[name], same[name]) for name in same)
    assert all(x.dtype == torch.float32 for x in tensors.values())


def test_names_of_the_transformers_library(tmp_path: Path) -> None:
    _, weights = published("large")
    weights["backbone.embeddings.weight"] = weights.pop("embedding.weight").bfloat16()
    settings, tensors = load_published(written(tmp_path, weights))
    assert (settings.style, settings.layers, settings.heads) == ("later", 2, 4)
    assert tensors["embedding.weight"].dtype == torch.float32


def test_prot_without_a_configuration_is_read_as_published(tmp_path: Path) -> None:
    _, weights = published("prot")
    settings, _ = load_published(written(tmp_path, weights))
    assert (settings.rotary, settings.rotary_over, settings.direction) == (5e5, "width", "forward")
    assert load_published(written(tmp_path, weights, {"position_embeddings": "none"}))[0].rotary == 0


def test_refused_weights(tmp_path: Path) -> None:
    _, weights = published("chem")
    name = "model.xlstm_block_stack.blocks.0.xlstm.proj_down.weight"

    def told(change: dict[str, Tensor], family: str | None = None, without: str = "") -> str:
        held = {n: x for n, x in (weights | change).items() if n != without}
        with pytest.raises(SeqsciError) as refused:
            load_published(written(tmp_path, held), family)
        assert str(refused.value).startswith((str(tmp_path), "family"))
        return str(refused.value)

    assert f"no tensor '{name.removeprefix('model.')}'" in told({}, without=name)
    assert "has shape (32, 60), not (32, 64)" in told({name: torch.zeros(32, 60)})
    assert "no tensor 'model.extra', 'other'" in told({"model.model.extra": torch.zeros(2), "other": torch.zeros(2)})
    assert "no tensor 'token_embedding.weight'" in told({}, without="model.token_embedding.weight")
    assert "did you mean 'chem'" in told({}, "chm")
    assert "no tensor" in told({}, "xlstm-large")
    block = "model.xlstm_block_stack.blocks.1.xlstm.slstm_cell._recurrent_kernel_"
    assert "_recurrent_kernel_" in told({block: torch.zeros(4, 8, 8)})
    assert set(FAMILIES) == {"dna", "dna-ps", "prot", "chem", "xlstm", "xlstm-large"}


def test_names_of_no_known_family(tmp_path: Path) -> None:
    _, weights = published("chem")
    odd = written(tmp_path, {name.replace("model.", "mine."): x for name, x in weights.items()})
    with pytest.raises(SeqsciError, match=r"'mine\.\.\.\.'"):
        load_published(odd)
    assert load_published(odd, "xlstm")[0].layers == 2


@pytest.mark.parametrize(
    ("case", "configuration", "told"),
    [
        ("dna_mlstm", {}, "'bidirectional' is not told"),
        ("dna_mlstm", {"config": DNA | {"bidirectional_alternating": True}}, "'bidirectional_alternating' is True"),
        ("dna_mlstm", {"config": DNA | {"m_conv1d_causal": False}}, "'m_conv1d_causal' is False"),
        ("prot", {"position_embeddings": "rot_2d"}, "'position_embeddings' is 'rot_2d'"),
        ("large", {"gate_soft_cap": 20.0}, "'gate_soft_cap' is 20.0"),
    ],
)
def test_refused_configurations(case: str, configuration: dict[str, Any], told: str, tmp_path: Path) -> None:
    _, weights = published(case)
    with pytest.raises(SeqsciError, match=told):
        load_published(written(tmp_path, weights, configuration))


def test_refused_files(tmp_path: Path) -> None:
    with pytest.raises(SeqsciError, match="no such file"):
        load_published(tmp_path / "nothing.pt")
    with pytest.raises(SeqsciError, match="none"):
        load_published(tmp_path)
    (tmp_path / "a.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(SeqsciError, match=r"a\.safetensors: is no file of weights"):
        load_published(tmp_path)
    for held, told in (
        ({"path": tmp_path}, "more than tensors"),
        ({"epoch": 3}, "no state dict"),
        ([1], "no state dict"),
    ):
        torch.save(held, tmp_path / "b.pt")
        with pytest.raises(SeqsciError, match=rf"b\.pt: .*holds {told}"):
            load_published(tmp_path / "b.pt")
    (tmp_path / "b.pt").write_bytes(b"neither")
    with pytest.raises(SeqsciError, match=r"b\.pt"):
        load_published(tmp_path / "b.pt")
    _, weights = published("chem")
    written(tmp_path / "c", weights)
    (tmp_path / "c" / "config.json").write_text("{")
    with pytest.raises(SeqsciError, match=r"config\.json: cannot be read"):
        load_published(tmp_path / "c")


@pytest.mark.parametrize(
    ("case", "letters"), [("dna_mlstm", "ACGTNRYSWKMBDHV"), ("prot", "ACDEFGHIKLMNPQRSTVWYXBUZOJ")]
)
def test_weights_in_our_vocabulary(case: str, letters: str, tmp_path: Path) -> None:
    family, configuration = CASES[case]
    numbers, weights = published(case)
    settings, tensors = load_published(written(tmp_path, weights, configuration))
    assert len(TOKENS[family]) == len(tensors["embedding.weight"]) == len(set(TOKENS[family]))
    symbols = (*SPECIALS, *letters)
    made, rows = network(settings, in_symbols(tensors, family, symbols)), published_rows(family, symbols)
    assert [TOKENS[family][rows[symbols.index(letter)]] for letter in "ACGT"] == list("ACGT")
    of_ours = {published: number for number, published in reversed(list(enumerate(rows)))}
    if family == "dna":
        of_ours[11] = symbols.index("N")  # as published code does with N before its network
        numbers["tokens"] = numbers["tokens"].masked_fill(numbers["tokens"] == 11, 4)
    tokens = torch.tensor([[of_ours[int(token)] for token in row] for row in numbers["tokens"]])
    with torch.no_grad():
        found = made(batch(tokens, case))
        wanted = network(settings, tensors)(batch(numbers["tokens"], case))
    assert miss(found, wanted[..., rows]) < 1e-6


def test_vocabularies_that_are_not_known() -> None:
    with pytest.raises(SeqsciError, match="no vocabulary of 'chem'"):
        published_rows("chem", SPECIALS)
    with pytest.raises(SeqsciError, match="no token for 'E'"):
        published_rows("dna", (*SPECIALS, "A", "E"))
    with pytest.raises(SeqsciError, match="30 rows"):
        in_symbols({"embedding.weight": torch.zeros(30, 2), "head.weight": torch.zeros(30, 2)}, "prot", SPECIALS)
