"""Hugging Face architectures: the imported graph computes what the module does."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest
import torch

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
