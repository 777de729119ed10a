"""scikit-learn's handwritten digits: 1,797 real 8x8 images, a fixed split, and a trainer. Deterministic by the seed."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from hwlib.errors import InputError
from hwlib.files import write_whole
from mfm.models.vit import VisionTransformer, VitConfig

SPLIT_SEED = 20240601
TEST_SHARE = 0.25
CALIBRATION = 128


@dataclass(frozen=True)
class Examples:
    """Images [n, 8, 8] float in 0..1 and labels [n]."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Digits:
    """The fixed, stratified split. Calibration images are taken from the training part."""

    train: Examples
    calibration: Examples
    test: Examples


def load() -> Digits:
    """The data set, split the same way every time."""
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / 16.0
    train_x, test_x, train_y, test_y = train_test_split(
        images, labels.astype(np.int64), test_size=TEST_SHARE, stratify=labels, random_state=SPLIT_SEED
    )
    calibration = Examples(train_x[:CALIBRATION], train_y[:CALIBRATION])
    return Digits(Examples(train_x, train_y), calibration, Examples(test_x, test_y))


@dataclass(frozen=True)
class TrainConfig:
    """Training recipe: AdamW, cosine schedule with warm-up; a share `shifted` of the images moves by up to a pixel."""

    seed: int = 0
    epochs: int = 40
    batch: int = 64
    rate: float = 1.5e-3
    decay: float = 0.05
    shifted: float = 0.15
    smoothing: float = 0.05
    model: VitConfig = field(default_factory=VitConfig)


@dataclass(frozen=True)
class Trained:
    """A trained model and its float accuracy on the test part."""

    model: VisionTransformer
    accuracy: float
    epochs: int


@contextmanager
def _deterministic(seed: int) -> Iterator[None]:
    """Fixed seed, one thread (sums in one order) and deterministic kernels, restored afterwards.

    New memory is not filled first: no kernel here reads what it has not written, and that would be a fifth of the time.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    filled = memory.fill_uninitialized_memory
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)
        memory.fill_uninitialized_memory = filled


def train(config: TrainConfig = TrainConfig()) -> Trained:
    """Train on the training part; the same seed gives the same weights on the same machine."""
    data = load()
    with _deterministic(config.seed):
        model = VisionTransformer(config.model)
        _fit(model, data.train, config)
        model.eval()
    return Trained(model, accuracy(model, data.test), config.epochs)


def _fit(model: VisionTransformer, data: Examples, config: TrainConfig) -> None:
    images = torch.tensor(data.images, dtype=torch.float32)
    labels = torch.tensor(data.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=config.decay)
    steps = config.epochs * math.ceil(len(labels) / config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    loss_of = nn.CrossEntropyLoss(label_smoothing=config.smoothing)
    for _ in range(config.epochs):
        for index in torch.randperm(len(labels)).split(config.batch):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            loss_of(model(_shifted(images[index], config.shifted)), labels[index]).backward()
            optimizer.step()
            schedule.step()


def _rate(step: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up over a twentieth, then cosine to zero."""
    warm = max(1, steps // 20)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def _shifted(images: Tensor, share: float) -> Tensor:
    """A share of the images moved by -1, 0 or 1 pixel in either direction, zeros moving in."""
    size = images.shape[-1]
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    moves = torch.where(torch.rand(len(images), 1, 1) < share, torch.randint(0, 3, (2, len(images), 1, 1)), 1)
    rows = moves[0] + torch.arange(size).view(1, -1, 1)
    cols = moves[1] + torch.arange(size).view(1, 1, -1)
    return padded[torch.arange(len(images)).view(-1, 1, 1), rows, cols]


def accuracy(model: VisionTransformer, data: Examples) -> float:
    """Share of `data` that `model` classifies rightly."""
    with torch.no_grad():
        logits = model(torch.tensor(data.images, dtype=torch.float32))
    return float((logits.argmax(1).numpy() == data.labels).mean())


def save(trained: Trained, path: Path) -> None:
    """Write the weights to `path` and the configuration beside it (``.json``), atomically."""
    buffer = io.BytesIO()
    torch.save(trained.model.state_dict(), buffer)
    write_whole(path, buffer.getvalue())
    record = {"model": asdict(trained.model.config), "accuracy": trained.accuracy, "epochs": trained.epochs}
    write_whole(path.with_suffix(".json"), json.dumps(record, indent=1, sort_keys=True).encode())


def restore(path: Path) -> Trained:
    """The model saved at `path`. Raises InputError if either file is missing or damaged."""
    try:
        record = json.loads(path.with_suffix(".json").read_text())
        model = VisionTransformer(VitConfig(**record["model"]))
        model.load_state_dict(torch.load(path, weights_only=True))
    except FileNotFoundError as error:
        raise InputError("no trained model here", str(error.filename), "rtloom mfm train writes one") from None
    except Exception as error:
        raise InputError(
            f"damaged model file ({type(error).__name__})", str(path), "rtloom mfm train writes one"
        ) from None
    model.eval()
    return Trained(model, float(record["accuracy"]), int(record["epochs"]))
