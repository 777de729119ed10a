"""A small trained model the tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from mfm.models.vit import VitConfig
from mfm.tasks import digits

QUICK = digits.TrainConfig(epochs=3, rate=1e-2, model=VitConfig(patch=4, width=16, heads=2, ff=24, depth=1))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digits model of one block, trained for three epochs."""
    path = tmp_path_factory.mktemp("model") / "digits.pt"
    digits.save(digits.train(QUICK), path)
    return path
