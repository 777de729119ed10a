"""Where trained models are kept: in the tool's cache, named by the recipe that made them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfm.tasks.digits import TrainConfig, Trained, restore, save, train
from verification.cache import cache_root

if TYPE_CHECKING:
    from mfm.tasks import code


def _path(name: str, config: Any) -> Path:
    recipe = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode()).hexdigest()[:16]
    return cache_root() / "models" / f"{name}-{recipe}.pt"


def model_path(config: TrainConfig) -> Path:
    """The file of the digits model trained by `config`."""
    return _path("digits-vit", config)


def trained_digits(config: TrainConfig | None = None) -> Trained:
    """The model of `config` (the default recipe), trained if it is not there yet."""
    config = config or TrainConfig()
    path = model_path(config)
    if path.exists() and path.with_suffix(".json").exists():
        return restore(path)
    trained = train(config)
    save(trained, path)
    return trained


def trained_code(config: code.TrainConfig | None = None) -> code.Trained:
    """The language model of `config` (the default recipe), trained if it is not there yet (minutes)."""
    from mfm.tasks import code  # brings the transformers library, which nothing else here needs

    config = config or code.TrainConfig()
    path = _path("code-llama", config)
    if not path.exists():
        code.save(code.train(config), path)
    return code.restore(config, path)
