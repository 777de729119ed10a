"""The digits data and the trainer."""

from __future__ import annotations

from pathlib import Path

import torch

from mfm.compress.quantize import quantize
from mfm.models.importer import import_model
from mfm.tasks import digits
from tests.mfm.conftest import QUICK


def test_training_is_deterministic_and_learns(trained: Path) -> None:
    first, second = digits.restore(trained), digits.train(QUICK)
    assert first.accuracy == second.accuracy > 0.5
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_no_image_is_both_trained_on_and_tested() -> None:
    data = digits.load()
    images = [{image.tobytes() for image in part.images} for part in (data.train, data.test)]
    assert not images[0] & images[1]
    assert {image.tobytes() for image in data.calibration.images} <= images[0]
    assert len(data.train) + len(data.test) == 1797


def test_a_saved_model_gives_the_same_logits(trained: Path) -> None:
    model, image = digits.restore(trained).model, torch.tensor(digits.load().test.images[:4], dtype=torch.float32)
    graph = import_model(model, torch.zeros(1, 8, 8), "saved")
    assert digits.restore(trained).model(image).equal(model(image))
    assert quantize(graph, [i.ravel() for i in digits.load().calibration.images[:8]]).macs > 0
