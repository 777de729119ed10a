"""The float graph IR: transformer ops over [rows, cols] matrices, one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Input:
    """A matrix gathered from a flat sample: gather [rows, cols] of flat indices, -1 for zero."""

    out: str
    gather: NDArray[np.int64]


@dataclass(frozen=True)
class Constant:
    """A constant matrix."""

    out: str
    values: Float


@dataclass(frozen=True)
class Gemm:
    """``out = a[:rows] . weight^T + bias``; weight [n, k], bias [n]."""

    out: str
    a: str
    rows: int
    weight: Float
    bias: Float


@dataclass(frozen=True)
class LayerNorm:
    """Row-wise normalisation of ``a[:rows]`` with gamma and beta [cols]."""

    out: str
    a: str
    rows: int
    gamma: Float
    beta: Float
    eps: float


@dataclass(frozen=True)
class Gelu:
    """Exact GELU (by erf)."""

    out: str
    a: str
    rows: int


@dataclass(frozen=True)
class Add:
    """Element-wise sum of two matrices of one shape."""

    out: str
    a: str
    b: str
    rows: int


@dataclass(frozen=True)
class Columns:
    """An operand: `columns` of tensor `name`."""

    name: str
    columns: NDArray[np.int64]


@dataclass(frozen=True)
class AttentionHead:
    """Where one head's queries, keys and values are."""

    q: Columns
    k: Columns
    v: Columns


@dataclass(frozen=True)
class Attention:
    """``softmax(q . k^T * scale) . v`` for every head, results side by side."""

    out: str
    heads: tuple[AttentionHead, ...]
    rows: int
    scale: float


Op = Input | Constant | Gemm | LayerNorm | Gelu | Add | Attention


@dataclass(frozen=True)
class Graph:
    """Ops in order; `output` names the result."""

    name: str
    ops: tuple[Op, ...]
    output: str


def operands(op: Op) -> tuple[str, ...]:
    """Names of the tensors `op` reads."""
    if isinstance(op, Add):
        return op.a, op.b
    if isinstance(op, Attention):
        return tuple(dict.fromkeys(c.name for head in op.heads for c in (head.q, head.k, head.v)))
    if isinstance(op, (Gemm, LayerNorm, Gelu)):
        return (op.a,)
    return ()


def evaluate(graph: Graph, sample: Float) -> dict[str, Float]:
    """Every tensor of `graph` for one flat `sample`, in float64."""
    values: dict[str, Float] = {}
    for op in graph.ops:
        values[op.out] = _compute(op, values, np.append(sample.ravel(), 0.0))
    return values


def _compute(op: Op, values: Mapping[str, Float], sample: Float) -> Float:
    if isinstance(op, Input):
        return sample[op.gather]
    if isinstance(op, Constant):
        return op.values
    if isinstance(op, Gemm):
        return values[op.a][: op.rows] @ op.weight.T + op.bias
    if isinstance(op, LayerNorm):
        x = values[op.a][: op.rows]
        centred = x - x.mean(axis=1, keepdims=True)
        normed: Float = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + op.eps) * op.gamma + op.beta
        return normed
    if isinstance(op, Gelu):
        x = values[op.a][: op.rows]
        bent: Float = 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
        return bent
    if isinstance(op, Add):
        return values[op.a][: op.rows] + values[op.b][: op.rows]
    return np.hstack([mix_head(head, values, op) for head in op.heads])


def head_scores(head: AttentionHead, values: Mapping[str, Float], op: Attention) -> Float:
    """Scaled scores [rows, tokens] of a head."""
    q, k = (values[c.name][:, c.columns] for c in (head.q, head.k))
    scaled: Float = q[: op.rows] @ k.T * op.scale
    return scaled


def mix_head(head: AttentionHead, values: Mapping[str, Float], op: Attention) -> Float:
    """A head's result [rows, head_dim]."""
    scores = head_scores(head, values, op)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    mixed: Float = weights / weights.sum(axis=1, keepdims=True) @ values[head.v.name][:, head.v.columns]
    return mixed
