"""Published weights become a run folder that scores, embeds and generates like any other."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import seqsci
from seqsci.errors import SeqsciError
from seqsci.models.bioxlstm_tokens import TOKENS

FIXTURE = Path(__file__).parent / "fixtures" / "bioxlstm_prot.npz"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as the published one, with small random weights and the published vocabulary."""
    folder = tmp_path_factory.mktemp("prot")
    with np.load(FIXTURE) as file:
        tensors = {
            n.removeprefix("weights/"): torch.from_numpy(file[n]) for n in file.files if n.startswith("weights/")
        }
    for name, tensor in tensors.items():
        if name.endswith(("token_embedding.weight", "lm_head.weight")):
            missing = max(len(TOKENS["prot"]) - len(tensor), 0)
            tensors[name] = torch.cat([tensor, torch.randn(missing, tensor.shape[1], generator=torch.manual_seed(0))])
    save_file({name: x.contiguous() for name, x in tensors.items()}, folder / "model.safetensors")
    config = {"position_embeddings": "rot_1d", "rope_base_frequency": 500_000}
    (folder / "model_config.json").write_text(json.dumps(config))
    return folder


def test_an_imported_run_is_used_like_any_other(weights: Path, tmp_path: Path):
    run = seqsci.import_published(weights, "prot", runs=tmp_path)
    texts = ["MKTAYIAKQR", "MKV"]
    judged = seqsci.score(run, texts, quiet=True).table
    assert judged.height == 2 and (judged["log_likelihood"] < 0).all()
    told = seqsci.score(run, ["MKTAYIAKQR"], variants=["K2A"], quiet=True).table
    assert np.isfinite(told["log_ratio"][0])
    assert seqsci.embed(run, texts, quiet=True).table.height == 2
    assert seqsci.generate(run, count=3, longest=12, quiet=True).table.height == 3
    with pytest.raises(SeqsciError, match="not trained or scored here"):
        _ = run.table


def test_a_family_without_a_vocabulary_is_refused(weights: Path, tmp_path: Path):
    with pytest.raises(SeqsciError, match="'chem' has none"):
        seqsci.import_published(weights, "chem", runs=tmp_path)
    assert not list(tmp_path.iterdir())
