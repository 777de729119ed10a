"""The float graph IR: transformer ops over [rows, cols] matrices, one sample at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

from mfm.models.host import Host, Source, Step, alone, joined

Float = NDArray[np.float64]

FUNCTIONS: dict[str, Callable[[Float], Float]] = {
    "gelu": lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x * expit(1.702 * x),
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": lambda x: expit(x),
    "silu": lambda x: x * expit(x),
    "tanh": lambda x: np.tanh(x),
}
"""Pointwise functions an Activation may name."""


@dataclass(frozen=True)
class Input:
    """A matrix gathered from a flat sample: gather [rows, cols] of flat indices, -1 for zero; times `factor`."""

    out: str
    gather: NDArray[np.int64]
    factor: float = 1.0


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
class RmsNorm:
    """Row-wise division of ``a[:rows]`` by its root mean square, times gamma [cols]."""

    out: str
    a: str
    rows: int
    gamma: Float
    eps: float


@dataclass(frozen=True)
class Activation:
    """A pointwise function of FUNCTIONS."""

    out: str
    a: str
    rows: int
    function: str


@dataclass(frozen=True)
class Add:
    """Element-wise sum of two matrices of one shape."""

    out: str
    a: str
    b: str
    rows: int


@dataclass(frozen=True)
class Mul:
    """Element-wise product of two matrices of one shape."""

    out: str
    a: str
    b: str
    rows: int


@dataclass(frozen=True)
class Move:
    """Elements of a tensor in another order: gather [rows, cols] of flat indices into `a`."""

    out: str
    a: str
    gather: NDArray[np.int64]


@dataclass(frozen=True)
class Columns:
    """An operand: `columns` of tensor `name`."""

    name: str
    columns: NDArray[np.int64]


@dataclass(frozen=True)
class Rope:
    """Rotary embedding: with x the columns of `a`, ``out[:, c] = x[:, c]*cos[:, c] + x[:, partner[c]]*sin[:, c]``.

    cos, sin: [rows, cols], signs included; partner [cols] is its own inverse.
    """

    out: str
    a: Columns
    rows: int
    partner: NDArray[np.int64]
    cos: Float
    sin: Float


@dataclass(frozen=True)
class AttentionHead:
    """Where one head's queries, keys and values are."""

    q: Columns
    k: Columns
    v: Columns


@dataclass(frozen=True)
class Attention:
    """``softmax(q . k^T * scale) . v`` for every head, results side by side.

    Heads may share keys and values. causal: row r sees the keys up to ``tokens - rows + r``.
    """

    out: str
    heads: tuple[AttentionHead, ...]
    rows: int
    scale: float
    causal: bool = False


Op = Input | Constant | Gemm | LayerNorm | RmsNorm | Activation | Add | Mul | Move | Rope | Attention | Host


@dataclass(frozen=True)
class Graph:
    """Ops in order; `output` names the result; sources: where in the model a tensor's op comes from, if known."""

    name: str
    ops: tuple[Op, ...]
    output: str
    sources: Mapping[str, Source] = field(default_factory=dict)

    @property
    def hosts(self) -> tuple[Host, ...]:
        """What the host computes."""
        return tuple(op for op in self.ops if isinstance(op, Host))


def operands(op: Op) -> tuple[str, ...]:
    """Names of the tensors `op` reads."""
    if isinstance(op, (Add, Mul)):
        return op.a, op.b
    if isinstance(op, Attention):
        return tuple(dict.fromkeys(c.name for head in op.heads for c in (head.q, head.k, head.v)))
    if isinstance(op, Rope):
        return (op.a.name,)
    if isinstance(op, Host):
        return op.reads
    return () if isinstance(op, (Input, Constant)) else (op.a,)


def shape_of(op: Op, shapes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """(rows, cols) of the op's result, given the shapes of the tensors it reads."""
    if isinstance(op, (Input, Move)):
        return int(op.gather.shape[0]), int(op.gather.shape[1])
    if isinstance(op, Constant):
        return int(op.values.shape[0]), int(op.values.shape[1])
    if isinstance(op, Host):
        return op.rows, op.cols
    if isinstance(op, Gemm):
        return op.rows, len(op.weight)
    if isinstance(op, Rope):
        return op.rows, len(op.partner)
    if isinstance(op, Attention):
        return op.rows, sum(len(head.v.columns) for head in op.heads)
    return op.rows, shapes[op.a][1]


def pruned(graph: Graph) -> Graph:
    """`graph` without the ops its output does not depend on."""
    wanted, kept = {graph.output}, list[Op]()
    for op in reversed(graph.ops):
        if op.out in wanted:
            kept.append(op)
            wanted.update(operands(op))
    return replace(graph, ops=tuple(reversed(kept)))


def on_host(op: Op, graph: Graph, shapes: Mapping[str, tuple[int, int]]) -> Host:
    """`op` as a Host op."""
    source = graph.sources.get(op.out, Source(type(op).__name__, "", op.out))
    if isinstance(op, Move):
        source = replace(source, operation=f"elements moved for {source.operation}")
    step = Step(op.out, operands(op), lambda values: compute(op, values, np.zeros(1)), source)
    return alone(op.out, operands(op), shape_of(op, shapes), step)


def shapes_of(graph: Graph) -> dict[str, tuple[int, int]]:
    """(rows, cols) of every tensor."""
    shapes: dict[str, tuple[int, int]] = {}
    for op in graph.ops:
        shapes[op.out] = shape_of(op, shapes)
    return shapes


def hosts_merged(graph: Graph) -> Graph:
    """`graph` with what a Host reads of other Hosts made in it, so that nothing is rounded between their steps.

    What moves elements of a Host's result is made with it.
    """
    hosts, ops, shapes = dict[str, Host](), list[Op](), shapes_of(graph)
    for op in graph.ops:
        if isinstance(op, Move) and op.a in hosts:
            op = on_host(op, graph, shapes)
        if isinstance(op, Host):
            op = hosts[op.out] = joined(op, hosts)
        ops.append(op)
    return pruned(replace(graph, ops=tuple(ops)))


def host_stages(graph: Graph) -> dict[str, int]:
    """For each tensor, after how many rounds of Hosts it can be made."""
    stage: dict[str, int] = {}
    for op in graph.ops:
        stage[op.out] = max((stage[name] for name in operands(op)), default=0) + isinstance(op, Host)
    return stage


def evaluate(graph: Graph, sample: Float) -> dict[str, Float]:
    """Every tensor of `graph` for one flat `sample`, in float64."""
    values: dict[str, Float] = {}
    for op in graph.ops:
        values[op.out] = compute(op, values, np.append(sample.ravel(), 0.0))
    return values


def compute(op: Op, values: Mapping[str, Float], sample: Float) -> Float:
    """The op's result, of the tensors it reads and the flat sample with a zero behind it."""
    if isinstance(op, Host):
        return op.compute(values)
    if isinstance(op, Input):
        return sample[op.gather] * op.factor
    if isinstance(op, Constant):
        return op.values
    if isinstance(op, Attention):
        return np.hstack([mix_head(head, values, op) for head in op.heads])
    if isinstance(op, Rope):
        x = values[op.a.name][: op.rows, op.a.columns]
        turned: Float = x * op.cos + x[:, op.partner] * op.sin
        return turned
    if isinstance(op, Move):
        moved: Float = values[op.a].ravel()[op.gather]
        return moved
    return _rowwise(op, values[op.a][: op.rows], values)


def _rowwise(op: Gemm | LayerNorm | RmsNorm | Activation | Add | Mul, x: Float, values: Mapping[str, Float]) -> Float:
    if isinstance(op, Gemm):
        return x @ op.weight.T + op.bias
    if isinstance(op, LayerNorm):
        centred = x - x.mean(axis=1, keepdims=True)
        centred = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + op.eps) * op.gamma + op.beta
        return np.asarray(centred)
    if isinstance(op, RmsNorm):
        normed: Float = x / np.sqrt((x**2).mean(axis=1, keepdims=True) + op.eps) * op.gamma
        return normed
    if isinstance(op, Activation):
        return FUNCTIONS[op.function](x)
    other = values[op.b][: op.rows]
    joined: Float = x + other if isinstance(op, Add) else x * other
    return joined


def head_scores(head: AttentionHead, values: Mapping[str, Float], op: Attention) -> Float:
    """Scaled scores [rows, tokens] of a head, before any mask."""
    q, k = (values[c.name][:, c.columns] for c in (head.q, head.k))
    scaled: Float = q[: op.rows] @ k.T * op.scale
    return scaled


def visible(rows: int, tokens: int) -> NDArray[np.bool_]:
    """The causal mask [rows, tokens]: the last row sees every token."""
    mask: NDArray[np.bool_] = np.tri(rows, tokens, tokens - rows, dtype=bool)
    return mask


def mix_head(head: AttentionHead, values: Mapping[str, Float], op: Attention) -> Float:
    """A head's result [rows, head_dim]."""
    scores = head_scores(head, values, op)
    if op.causal:
        scores = np.where(visible(*scores.shape), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    mixed: Float = weights / weights.sum(axis=1, keepdims=True) @ values[head.v.name][:, head.v.columns]
    return mixed
