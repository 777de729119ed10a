"""Hugging Face architectures: the imported graph computes what the module does."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from hwlib.errors import InputError
from mfm.models import huggingface
from mfm.models.graph import Graph, evaluate

TOKENS = 7


@lru_cache
def imported(family: str) -> tuple[tuple[huggingface.Part, Graph], ...]:
    """Every part of the tiny model of `family` with its graph."""
    return tuple((part, part.graph()) for part in huggingface.parts(huggingface.tiny(family), TOKENS))


def error(part: huggingface.Part, graph: Graph) -> float:
    """Largest difference between module and graph over three random inputs, against the largest value (if over 1)."""
    torch.manual_seed(1)
    worst = 0.0
    for _ in range(3):
        sample = torch.randn(part.example.shape)
        with torch.no_grad():
            wanted = part.module(sample).double().numpy()
        found = evaluate(graph, sample.double().numpy())[graph.output]
        worst = max(worst, float(np.abs(found.reshape(wanted.shape) - wanted).max() / max(1, np.abs(wanted).max())))
    return worst


@pytest.mark.parametrize("family", huggingface.TINY)
def test_the_graph_computes_what_the_module_does(family: str) -> None:
    for part, graph in imported(family):
        assert error(part, graph) < 1e-4, part.name


def test_a_checkpoint_folder_loads_as_it_was_saved(tmp_path: Path) -> None:
    model = huggingface.tiny("llama", seed=3)
    model.save_pretrained(tmp_path)
    (part,) = huggingface.parts(huggingface.load(tmp_path), TOKENS)
    (kept,) = huggingface.parts(model, TOKENS)
    sample = torch.randn(kept.example.shape)
    with torch.no_grad():
        assert torch.equal(part.module(sample), kept.module(sample))


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json here"):
        huggingface.load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["Nothing"]}')
    with pytest.raises(InputError, match="not a checkpoint that loads"):
        huggingface.load(tmp_path)


def test_families_that_are_not_known_are_named() -> None:
    with pytest.raises(InputError, match="models of type 'gpt2' are not known; use one of bert, clip_vision_model"):
        huggingface.parts(transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=8, n_head=2, n_layer=1)), 4)
    with pytest.raises(InputError, match="no tiny model 'gpt2'"):
        huggingface.tiny("gpt2")


def test_what_a_model_does_beyond_the_ir_is_named_with_its_module() -> None:
    model = transformers.CohereForCausalLM(transformers.CohereConfig(**huggingface.TEXT_SHAPE))
    part = huggingface.Part("cohere", huggingface.Decoder(model.model, model.lm_head), torch.zeros(1, 4, 16))
    with pytest.raises(InputError, match=r"module model\.layers\.0\.input_layernorm\): a mean that is not") as caught:
        part.graph(host=False)
    assert "modeling_cohere.py" in caught.value.where
