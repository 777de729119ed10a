"""A small LLaMA-architecture language model of Python source: the standard library beside the running interpreter.

Bytes are tokens. Every tenth module is held out; perplexity is a byte's. Deterministic by the seed on one machine.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from torch import Tensor, nn

from hwlib.errors import InputError
from hwlib.files import write_whole
from mfm.compress.integer import IntegerGraph, execute
from mfm.compress.quantize import quantize
from mfm.models.graph import Float, Graph, evaluate
from mfm.models.huggingface import parts
from mfm.program.program import TensorSlot

Bytes = NDArray[np.uint8]

VOCABULARY = 256
HELD_OUT = 10
THREADS = 1
"""Sums in one order; and two threads gain little at these sizes."""


@dataclass(frozen=True)
class CodeConfig:
    """Shape of the model: `context` bytes at a time; `heads` query heads share `kv_heads` keys and values."""

    width: int = 192
    layers: int = 4
    heads: int = 6
    kv_heads: int = 2
    ff: int = 512
    context: int = 128


@dataclass(frozen=True)
class TrainConfig:
    """Training recipe: AdamW, warm-up, cosine to zero."""

    seed: int = 0
    steps: int = 600
    batch: int = 16
    rate: float = 3e-3
    decay: float = 0.1
    model: CodeConfig = field(default_factory=CodeConfig)


@dataclass(frozen=True)
class Trained:
    """A trained model (LlamaForCausalLM) and its recipe."""

    model: Any
    config: TrainConfig


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of a byte of held-out modules, in float and as an integer graph; increase: relative to float."""

    tokens: int
    parameters: int
    float_perplexity: float
    integer_perplexity: float
    increase: float

    def to_json(self) -> dict[str, object]:
        """Plain numbers."""
        return asdict(self)


@lru_cache(maxsize=1)
def sources() -> tuple[Bytes, Bytes]:
    """(training, held-out) text: the top-level modules of the standard library, in order of their names.

    Raises InputError if the interpreter came without its sources.
    """
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    if len(files) < HELD_OUT:
        raise InputError("no standard library sources", str(Path(os.__file__).parent), "use an interpreter with them")
    texts = [file.read_bytes() for file in files]
    held = b"".join(text for i, text in enumerate(texts) if i % HELD_OUT == HELD_OUT - 1)
    rest = b"".join(text for i, text in enumerate(texts) if i % HELD_OUT != HELD_OUT - 1)
    return np.frombuffer(rest, dtype=np.uint8), np.frombuffer(held, dtype=np.uint8)


def untrained(config: CodeConfig) -> Any:
    """A LlamaForCausalLM of this shape with its initial weights."""
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=config.width,
            intermediate_size=config.ff,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.context,
            initializer_range=0.05,
        )
    )


def train(config: TrainConfig = TrainConfig()) -> Trained:
    """Train on the training modules; the same seed gives the same weights on the same machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = untrained(config.model)
            _fit(model, torch.tensor(sources()[0].astype(np.int64)), config)
    finally:
        torch.set_num_threads(threads)
    return Trained(model.eval(), config)


def _fit(model: Any, text: Tensor, config: TrainConfig) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=config.decay, betas=(0.9, 0.95))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, config.steps))
    span = torch.arange(config.model.context + 1)
    for _ in range(config.steps):
        start = torch.randint(0, len(text) - len(span), (config.batch, 1))
        rows = text[start + span]
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()


def _rate(step: int, steps: int) -> float:
    """Learning-rate factor: linear warm-up over a twentieth, then cosine to zero."""
    warm = max(1, steps // 20)
    return min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))


def save(found: Trained, path: Path) -> None:
    """Keep the weights of `found` at `path`, whole or not at all."""
    buffer = io.BytesIO()
    torch.save(found.model.state_dict(), buffer)
    write_whole(path, buffer.getvalue())


def restore(config: TrainConfig, path: Path) -> Trained:
    """The model of `config` with the weights at `path`."""
    model = untrained(config.model)
    model.load_state_dict(torch.load(path, weights_only=True))
    return Trained(model.eval(), config)


# Text as samples of the graph


def windows(text: Bytes, count: int, context: int) -> NDArray[np.int64]:
    """`count` windows [count, context + 1] of `text`, evenly spaced. Raises InputError if it is too short."""
    if count < 1 or len(text) <= context:
        raise InputError(f"{count} windows of {len(text)} bytes", "windows", f"give at least 1, of {context + 1} bytes")
    starts = np.linspace(0, len(text) - context - 1, count).astype(np.int64)
    rows: NDArray[np.int64] = text[starts[:, None] + np.arange(context + 1)].astype(np.int64)
    return rows


def embedded(model: Any, rows: NDArray[np.int64]) -> list[Float]:
    """The embeddings [context, width] of each window's bytes but the last: samples of the model's graph."""
    table = model.get_input_embeddings().weight.detach().double().numpy()
    return [table[row[:-1]] for row in rows]


def float_graph(model: Any, context: int) -> Graph:
    """The model as a float graph from embeddings to logits."""
    return parts(model, context)[0].graph()


def integer_graph(found: Trained, calibration: int = 32, **options: Any) -> IntegerGraph:
    """The model as a W8A8 integer graph, calibrated on windows of the training modules; `options` of `quantize`."""
    context = found.config.model.context
    samples = embedded(found.model, windows(sources()[0], calibration, context))
    return quantize(float_graph(found.model, context), samples, **({"wide": True} | options))


def integer_logits(graph: IntegerGraph, sample: Float) -> Float:
    """The golden executor's logits [context, vocabulary] for embeddings [context, width]."""
    inputs = {op.out: TensorSlot.unplaced(op).quantize(sample) for op in graph.inputs}
    logits: Float = execute(graph, inputs) * np.float64(graph.output_scale)
    return logits


def loss(logits: Sequence[Float], rows: NDArray[np.int64]) -> float:
    """Mean negative log-likelihood of each window's next bytes."""
    total = 0.0
    for scores, row in zip(logits, rows, strict=True):
        shifted = scores - scores.max(axis=1, keepdims=True)
        chosen = shifted[np.arange(len(scores)), row[1:]]
        total += float((np.log(np.exp(shifted).sum(axis=1)) - chosen).mean())
    return total / len(rows)


def perplexity(found: Trained, count: int = 128, calibration: int = 32, **options: Any) -> Perplexity:
    """Perplexity on `count` windows of the held-out modules: float graph against golden integer executor."""
    context = found.config.model.context
    rows = windows(sources()[1], count, context)
    samples = embedded(found.model, rows)
    exact = float_graph(found.model, context)
    whole = integer_graph(found, calibration, **options)
    before = loss([evaluate(exact, sample)[exact.output] for sample in samples], rows)
    after = loss([integer_logits(whole, sample) for sample in samples], rows)
    return Perplexity(
        tokens=rows[:, 1:].size,
        parameters=sum(p.numel() for p in found.model.parameters()),
        float_perplexity=math.exp(before),
        integer_perplexity=math.exp(after),
        increase=math.exp(after - before) - 1,
    )
