"""Workloads by name that need no training: random integer graphs with realistic scales."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, gelu_table, quantize_multiplier
from mfm.compress.integer import IntegerGraph, QAdd, QAttention, QGemm, QHead, QInput, QLayerNorm, QOp

Int = NDArray[np.int64]


@dataclass(frozen=True)
class BlockShape:
    """An encoder block: sequence length, width, heads and feed-forward width."""

    seq: int = 128
    width: int = 384
    heads: int = 6
    ff: int = 1536

    @property
    def name(self) -> str:
        return f"encoder-block-{self.seq}-{self.width}-{self.heads}-{self.ff}"


def _requant(rng: np.random.Generator, scale: float, size: int) -> tuple[Int, Int, Int]:
    """Multipliers, biases and shifts of `size` channels around `scale`, biases within 20 output units."""
    pairs = [quantize_multiplier(float(s)) for s in scale * rng.uniform(0.7, 1.4, size)]
    mult, shift = (np.array(v, dtype=np.int64) for v in zip(*pairs, strict=True))
    return mult, rng.integers(-20, 21, size) << shift, shift


def _gemm(rng: np.random.Generator, out: str, a: str, rows: int, k: int, n: int, table: Int | None = None) -> QGemm:
    weight = np.clip(np.rint(rng.normal(0, 32, (n, k))), -127, 127).astype(np.int64)
    mult, bias, shift = _requant(rng, 1 / (32 * np.sqrt(k)), n)
    return QGemm(out, a, rows, weight, mult, bias, shift, table)


def _norm(rng: np.random.Generator, out: str, a: str, rows: int, cols: int) -> QLayerNorm:
    mult, bias, shift = _requant(rng, 32 / 1024, cols)
    return QLayerNorm(out, a, rows, mult * rng.choice([-1, 1, 1, 1], cols), bias, shift)


def _add(out: str, a: str, b: str, rows: int) -> QAdd:
    return QAdd(out, a, b, rows, RequantParams(22000, 1 << 14, 15), RequantParams(25000, 0, 15))


def encoder_block(shape: BlockShape = BlockShape(), seed: int = 0) -> IntegerGraph:
    """A pre-norm transformer encoder block with random weights, its values spread over int8."""
    rng = np.random.default_rng(seed)
    s, d = shape.seq, shape.width
    hd = d // shape.heads
    ops: list[QOp] = [QInput("x", s, d, 1.0), _norm(rng, "norm1", "x", s, d)]
    heads = []
    for h in range(shape.heads):
        names = [f"{part}{h}" for part in ("query", "key", "value")]
        ops += [_gemm(rng, name, "norm1", s, d, hd) for name in names]
        heads.append(QHead(*names))
    mult, shift_bits = quantize_multiplier(24 / (32 * 32 * np.sqrt(hd)))
    ops.append(QAttention("context", tuple(heads), s, RequantParams(mult, 0, shift_bits), 3, 1))
    ops += [
        _gemm(rng, "projection", "context", s, d, d),
        _add("sum1", "x", "projection", s),
        _norm(rng, "norm2", "sum1", s, d),
        _gemm(rng, "hidden", "norm2", s, d, shape.ff, gelu_table(0.05, 0.04)),
        _gemm(rng, "output", "hidden", s, shape.ff, d),
        _add("sum2", "sum1", "output", s),
    ]
    return IntegerGraph(shape.name, tuple(ops), "sum2", 1.0)


def random_input(graph: IntegerGraph, seed: int = 0) -> dict[str, Int]:
    """Full-range int8 inputs of `graph`."""
    rng = np.random.default_rng(seed)
    return {op.out: rng.integers(-128, 128, (op.rows, op.cols)) for op in graph.inputs}
