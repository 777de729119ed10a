"""The language model of Python source: its data, its training, and its perplexity as an integer graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hwlib.errors import InputError
from mfm.tasks import code

QUICK = code.TrainConfig(
    steps=40, batch=8, rate=1e-2, model=code.CodeConfig(width=32, layers=1, heads=4, kv_heads=2, ff=64, context=32)
)


@pytest.fixture(scope="module")
def quick() -> code.Trained:
    """A model of one layer after forty steps."""
    return code.train(QUICK)


def test_held_out_modules_are_not_trained_on() -> None:
    train, held = (part.tobytes() for part in code.sources())
    assert len(train) > 4 * len(held) > 400_000
    for window in code.windows(code.sources()[1], 8, 400):
        assert bytes(window.astype(np.uint8)) not in train
    assert b"def " in held


def test_windows_are_evenly_spaced_and_inside() -> None:
    text = np.arange(100, dtype=np.uint8)
    assert code.windows(text, 3, 9)[:, 0].tolist() == [0, 45, 90]
    assert code.windows(text, 3, 9)[-1, -1] == 99
    with pytest.raises(InputError, match="0 windows"):
        code.windows(text, 0, 9)
    with pytest.raises(InputError, match="give at least 1, of 101 bytes"):
        code.windows(text, 1, 100)


def test_training_learns_and_repeats(quick: code.Trained) -> None:
    again = code.train(QUICK)
    for first, second in zip(quick.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_integer_graph_costs_little(quick: code.Trained) -> None:
    found = code.perplexity(quick, count=12, calibration=8)
    assert found.float_perplexity < 60
    assert abs(found.increase) < 0.03
    assert found.tokens == 12 * 32
    assert found.to_json()["parameters"] == found.parameters


def test_the_float_graph_has_the_models_loss(quick: code.Trained) -> None:
    rows = code.windows(code.sources()[1], 4, 32)
    graph = code.float_graph(quick.model, 32)
    samples = code.embedded(quick.model, rows)
    with torch.no_grad():
        logits = quick.model(input_ids=torch.tensor(rows[:, :-1])).logits
        wanted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor(rows[:, 1:]).flatten())
    found = code.loss([code.evaluate(graph, sample)[graph.output] for sample in samples], rows)
    assert found == pytest.approx(float(wanted), abs=1e-4)
