"""The integer graph: what a model computes, exactly, on any machine that speaks the ISA.

Tensors are int8 matrices [rows, cols] named by strings. Ops are in execution order; an op computes only the
first `rows` rows of its result, those a later op reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, accumulate, add_requantize, apply_table, layernorm, requantize, softmax

Int = NDArray[np.int64]


@dataclass(frozen=True)
class QInput:
    """An input [rows, cols] from a sample: value = (q - zero) * scale; gather as in TensorSlot."""

    out: str
    rows: int
    cols: int
    scale: float
    gather: tuple[int, ...] = ()


@dataclass(frozen=True)
class QConst:
    """A constant int8 matrix."""

    out: str
    values: Int


@dataclass(frozen=True)
class QGemm:
    """``out = table[requantize(a . weight^T)]``: weight [n, k] int8; mult, bias, shift [n]; table [256] or None."""

    out: str
    a: str
    rows: int
    weight: Int
    mult: Int
    bias: Int
    shift: Int
    table: Int | None = None


@dataclass(frozen=True)
class QLayerNorm:
    """Row-wise layer normalisation; mult, bias, shift [cols]."""

    out: str
    a: str
    rows: int
    mult: Int
    bias: Int
    shift: Int


@dataclass(frozen=True)
class QAdd:
    """``out = requantize(a*first.mult + b*second.mult + first.bias)``."""

    out: str
    a: str
    b: str
    rows: int
    first: RequantParams
    second: RequantParams


@dataclass(frozen=True)
class QHead:
    """The tensors of one attention head, [tokens, head_dim] each."""

    q: str
    k: str
    v: str


@dataclass(frozen=True)
class QAttention:
    """Softmax attention, head results side by side.

    score: requantizes ``q . k^T`` to base-2 units of ``2**-frac``; gain: left shift of the normalised result.
    """

    out: str
    heads: tuple[QHead, ...]
    rows: int
    score: RequantParams
    frac: int
    gain: int


QOp = QInput | QConst | QGemm | QLayerNorm | QAdd | QAttention


@dataclass(frozen=True)
class IntegerGraph:
    """Ops in order; `output` names the result [rows, cols] whose value is ``q * output_scale``."""

    name: str
    ops: tuple[QOp, ...]
    output: str
    output_scale: float

    def op(self, name: str) -> QOp:
        """The op that makes tensor `name`."""
        return next(op for op in self.ops if op.out == name)

    @property
    def inputs(self) -> tuple[QInput, ...]:
        return tuple(op for op in self.ops if isinstance(op, QInput))

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of one inference (no padding)."""
        shapes = {op.out: shape_of(op, self) for op in self.ops}
        total = 0
        for op in self.ops:
            if isinstance(op, QGemm):
                total += op.rows * op.weight.size
            elif isinstance(op, QAttention):
                keys, width = shapes[op.heads[0].k]
                total += 2 * len(op.heads) * op.rows * keys * width
        return total


def shape_of(op: QOp, graph: IntegerGraph) -> tuple[int, int]:
    """(rows, cols) of the op's result."""
    if isinstance(op, QInput):
        return op.rows, op.cols
    if isinstance(op, QConst):
        return int(op.values.shape[0]), int(op.values.shape[1])
    if isinstance(op, QGemm):
        return op.rows, int(op.weight.shape[0])
    if isinstance(op, QLayerNorm):
        return op.rows, len(op.mult)
    if isinstance(op, QAdd):
        return op.rows, shape_of(graph.op(op.a), graph)[1]
    return op.rows, len(op.heads) * shape_of(graph.op(op.heads[0].v), graph)[1]


def execute(graph: IntegerGraph, inputs: Mapping[str, Int]) -> Int:
    """The output [rows, cols] (int8 values) of `graph` on int8 `inputs`: the golden integer executor."""
    return execute_all(graph, inputs)[graph.output]


def execute_all(graph: IntegerGraph, inputs: Mapping[str, Int]) -> dict[str, Int]:
    """Every tensor of `graph` on int8 `inputs`."""
    values: dict[str, Int] = {}
    for op in graph.ops:
        values[op.out] = inputs[op.out] if isinstance(op, QInput) else _compute(op, values)
    return values


def _compute(op: QOp, values: Mapping[str, Int]) -> Int:
    if isinstance(op, QConst):
        return op.values
    if isinstance(op, QGemm):
        out = requantize(accumulate(values[op.a][: op.rows], op.weight), op.mult, op.bias, op.shift)
        return out if op.table is None else apply_table(out, op.table)
    if isinstance(op, QLayerNorm):
        return layernorm(values[op.a][: op.rows], op.mult, op.bias, op.shift)
    if isinstance(op, QAdd):
        return add_requantize(values[op.a][: op.rows], values[op.b][: op.rows], op.first, op.second)
    if isinstance(op, QAttention):
        return np.hstack([_head(op, head, values) for head in op.heads])
    raise TypeError(type(op).__name__)


def _head(op: QAttention, head: QHead, values: Mapping[str, Int]) -> Int:
    one = np.int64(1)
    acc = accumulate(values[head.q][: op.rows], values[head.k])
    scores = requantize(acc, one * op.score.mult, one * op.score.bias, one * op.score.shift)  # type: ignore[arg-type]
    p, scale = softmax(scores, op.frac)
    mixed = accumulate(p, values[head.v].T)
    shift = np.maximum(1, scale.shift - op.gain)
    return requantize(mixed, scale.mult[:, None], one * 0, shift[:, None])  # type: ignore[arg-type]
