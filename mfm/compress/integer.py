"""The integer graph: what a model computes, exactly, on any machine that speaks the ISA.

Tensors are int8 matrices [rows, cols] named by strings; the result of a sum may be wide (int16). Ops are in execution
order; an op computes only the first `rows` rows of its result, those a later op reads. Caches are the only state:
matrices [rows so far, cols] by slot name that outlive a graph.

What the host computes (QHost) is as exact as the function it runs: the same int8 operands give the same result on one
machine and one build of torch and numpy, whose sums are of a fixed order there. Elsewhere a real number beside a
rounding edge may fall to its other side. What executors compare is computed by the same function of equal operands.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from hwlib.numerics import (
    RequantParams,
    accumulate,
    add_requantize,
    apply_table,
    causal,
    layernorm,
    mul_requantize,
    requantize,
    rmsnorm,
    rope,
    saturate_int4,
    softmax,
    split_planes,
)
from mfm.models.host import Host

Int = NDArray[np.int64]
Caches = MutableMapping[str, Int]
INT4 = 4
"""Bits of the narrow weights and caches."""


@dataclass(frozen=True)
class QInput:
    """An input [rows, cols] from a sample: value = (q - zero) * scale; gather as in TensorSlot.

    table [any, cols], where given: the input is a row of it (an embedding), and what is given are row numbers [rows].
    """

    out: str
    rows: int
    cols: int
    scale: float
    gather: tuple[int, ...] = ()
    table: Int | None = None


@dataclass(frozen=True)
class QConst:
    """A constant int8 matrix."""

    out: str
    values: Int


@dataclass(frozen=True)
class QGemm:
    """``out = table[requantize(a . weight^T)]``: weight [n, k]; mult, bias, shift [n]; table [256] or None.

    bits: of the weights, 8 (int8) or 4 (-8..7).
    """

    out: str
    a: str
    rows: int
    weight: Int
    mult: Int
    bias: Int
    shift: Int
    table: Int | None = None
    bits: int = 8


@dataclass(frozen=True)
class QLayerNorm:
    """Row-wise layer normalisation; mult, bias, shift [cols]. Of a wide tensor it reads the high plane."""

    out: str
    a: str
    rows: int
    mult: Int
    bias: Int
    shift: Int


@dataclass(frozen=True)
class QRmsNorm:
    """Row-wise root-mean-square normalisation; mult, bias, shift [cols]. Of a wide tensor it reads the high plane."""

    out: str
    a: str
    rows: int
    mult: Int
    bias: Int
    shift: Int


@dataclass(frozen=True)
class QAdd:
    """``out = requantize(a*first.mult + b*second.mult + first.bias)``; wide: `a` is int16; wide_out: `out` is."""

    out: str
    a: str
    b: str
    rows: int
    first: RequantParams
    second: RequantParams
    wide: bool = False
    wide_out: bool = False


@dataclass(frozen=True)
class QMul:
    """``out = requantize(a*b)``, element by element."""

    out: str
    a: str
    b: str
    rows: int
    params: RequantParams


@dataclass(frozen=True)
class QRope:
    """Rotary embedding of neighbouring columns; `angles` names a QConst [rows, cols] (even columns cosines, odd sines).

    cols is even.
    """

    out: str
    a: str
    rows: int
    angles: str
    params: RequantParams


@dataclass(frozen=True)
class QCache:
    """Rows past.. of the persistent cache `slot` become `new`; `out` is all of its past + rows rows.

    capacity: the most rows the slot ever holds, the same in every graph that uses it; bits: 8, or 4: the new rows are
    saturated to -8..7.
    """

    out: str
    new: str
    slot: str
    past: int
    capacity: int
    bits: int = 8


@dataclass(frozen=True)
class QHead:
    """The tensors of one attention head, [tokens, head_dim] each."""

    q: str
    k: str
    v: str


@dataclass(frozen=True)
class QAttention:
    """Softmax attention, head results side by side; heads may share keys and values.

    score: requantizes ``q . k^T`` to base-2 units of ``2**-frac``; gain: left shift of the normalised result.
    causal: row r sees only keys 0..past+r; bits: of keys and values, 8, or 4: they are saturated to -8..7.
    """

    out: str
    heads: tuple[QHead, ...]
    rows: int
    score: RequantParams
    frac: int
    gain: int
    causal: bool = False
    past: int = 0
    bits: int = 8


@dataclass(frozen=True)
class QHost:
    """What the host computes: operands dequantized, the function of `host` run, its result of `scale` quantized.

    reads: the operands, in the order of `host.reads`, whose values are ``(q - zero) * scales[column]``.
    rowwise: its rows do not depend on other rows of the operands; window: then, the only ones computed and read, as
    (first, rows), if not all.
    """

    out: str
    reads: tuple[str, ...]
    scales: tuple[NDArray[np.float64], ...]
    zeros: tuple[int, ...]
    scale: float
    host: Host
    rowwise: bool = False
    window: tuple[int, int] | None = None

    @property
    def rows(self) -> int:
        return self.window[1] if self.window else self.host.rows

    @property
    def where(self) -> str:
        """Its operations with their modules and source lines."""
        return "; ".join(str(source) for source in self.host.sources)

    def run(self, values: Mapping[str, Int]) -> Int:
        """The int8 result [rows, cols]. Raises InputError if it is not finite."""
        real = {
            name: self._placed(values[read] - zero) * scale
            for name, read, scale, zero in zip(self.host.reads, self.reads, self.scales, self.zeros, strict=True)
        }
        found = self.host.compute(real)
        if self.window:
            found = found[self.window[0] :][: self.rows]
        if not np.isfinite(found).all():
            raise InputError("the host's result is not finite", self.where, "check the operands it is defined for")
        return np.clip(np.floor(found / self.scale + 0.5), -128, 127).astype(np.int64)

    def _placed(self, rows: Int) -> Int:
        """The rows of a window where they are among all, the others zero."""
        if not self.window:
            return rows
        placed = np.zeros((self.host.rows, rows.shape[1]), dtype=np.int64)
        placed[self.window[0] :][: self.rows] = rows[: self.rows]
        return placed


QNorm = QLayerNorm | QRmsNorm
QOp = QInput | QConst | QGemm | QLayerNorm | QRmsNorm | QAdd | QMul | QRope | QCache | QAttention | QHost


@dataclass(frozen=True)
class IntegerGraph:
    """Ops in order; `output` names the result [rows, cols] whose value is ``q * output_scale``.

    also: other tensors that are results.
    """

    name: str
    ops: tuple[QOp, ...]
    output: str
    output_scale: float
    also: tuple[str, ...] = ()

    @cached_property
    def made(self) -> dict[str, QOp]:
        """Each tensor's op."""
        return {op.out: op for op in self.ops}

    def op(self, name: str) -> QOp:
        """The op that makes tensor `name`."""
        return self.made[name]

    @property
    def inputs(self) -> tuple[QInput, ...]:
        return tuple(op for op in self.ops if isinstance(op, QInput))

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output, *self.also)

    @property
    def hosts(self) -> tuple[QHost, ...]:
        """What the host computes."""
        return tuple(op for op in self.ops if isinstance(op, QHost))

    def is_wide(self, name: str) -> bool:
        """Whether tensor `name` is int16."""
        op = self.made[name]
        return isinstance(op, QAdd) and op.wide_out

    @property
    def macs(self) -> int:
        """Useful multiply-accumulates of one inference (no padding, no masked keys)."""
        total = 0
        for op in self.ops:
            if isinstance(op, QGemm):
                total += op.rows * op.weight.size
            elif isinstance(op, QAttention):
                keys, width = shape_of(self.op(op.heads[0].k), self)
                total += 2 * len(op.heads) * int(visible_keys(op, keys).sum()) * width
        return total


def visible_keys(op: QAttention, keys: int) -> Int:
    """How many of `keys` keys each row of the attention sees, [rows]."""
    seen = op.past + 1 + np.arange(op.rows, dtype=np.int64)
    return np.minimum(keys, seen) if op.causal else np.full(op.rows, keys, dtype=np.int64)


def operands(op: QOp) -> tuple[str, ...]:
    """Names of the tensors `op` reads, in order, each as often as it is named."""
    if isinstance(op, (QAdd, QMul)):
        return op.a, op.b
    if isinstance(op, QRope):
        return op.a, op.angles
    if isinstance(op, QCache):
        return (op.new,)
    if isinstance(op, QAttention):
        return tuple(name for head in op.heads for name in (head.q, head.k, head.v))
    if isinstance(op, QHost):
        return op.reads
    return () if isinstance(op, (QInput, QConst)) else (op.a,)


def shape_of(op: QOp, graph: IntegerGraph) -> tuple[int, int]:
    """(rows, cols) of the op's result."""
    if isinstance(op, QInput):
        return op.rows, op.cols
    if isinstance(op, QConst):
        return int(op.values.shape[0]), int(op.values.shape[1])
    if isinstance(op, QHost):
        return op.rows, op.host.cols
    if isinstance(op, QGemm):
        return op.rows, int(op.weight.shape[0])
    if isinstance(op, (QLayerNorm, QRmsNorm)):
        return op.rows, len(op.mult)
    if isinstance(op, QCache):
        rows, cols = shape_of(graph.op(op.new), graph)
        return op.past + rows, cols
    if isinstance(op, QAttention):
        return op.rows, len(op.heads) * shape_of(graph.op(op.heads[0].v), graph)[1]
    return op.rows, shape_of(graph.op(op.a), graph)[1]


def check_widths(graph: IntegerGraph) -> None:
    """Raise InputError where an op reads an int16 tensor that it cannot, or expects one that is not."""
    for op in graph.ops:
        for place, name in enumerate(operands(op)):
            allowed = isinstance(op, (QLayerNorm, QRmsNorm)) or (isinstance(op, QAdd) and place == 0 and op.wide)
            if graph.is_wide(name) and not allowed:
                raise InputError(
                    f"'{name}' is 16 bits wide", op.out, "only a normalisation and the first operand of a sum may be"
                )
        if isinstance(op, QAdd) and op.wide and not graph.is_wide(op.a):
            raise InputError(f"'{op.a}' is not 16 bits wide", op.out, "make its sum wide_out")


def execute(graph: IntegerGraph, inputs: Mapping[str, Int], caches: Caches | None = None) -> Int:
    """The output [rows, cols] of `graph` on int8 `inputs`: the golden integer executor.

    `caches` holds the rows of each cache slot so far and is brought up to date; None: all are empty.
    """
    return execute_all(graph, inputs, caches)[graph.output]


def execute_all(graph: IntegerGraph, inputs: Mapping[str, Int], caches: Caches | None = None) -> dict[str, Int]:
    """Every tensor of `graph` on int8 `inputs`, wide ones as int16 values; `caches` as in :func:`execute`."""
    run = _Execution(graph, caches if caches is not None else {})
    for op in graph.ops:
        run.values[op.out] = given(op, inputs[op.out]) if isinstance(op, QInput) else run.compute(op)
    return run.values


def given(op: QInput, values: Int) -> Int:
    """The rows of an input. Raises InputError as :func:`chosen_rows`."""
    if op.table is None:
        return values
    return op.table[chosen_rows(values, op.rows, len(op.table), op.out)]


def chosen_rows(numbers: Int, rows: int, choices: int, name: str) -> list[int]:
    """The numbers of `rows` rows of a table of `choices`. Raises InputError for another count, or a row it lacks."""
    found: list[int] = np.asarray(numbers).ravel().tolist()
    if len(found) != rows:
        raise InputError(f"{len(found)} row numbers for {rows} rows", name, "give one for each")
    for number in found:
        if not 0 <= number < choices:
            raise InputError(f"row {number} of a table of {choices}", name, "give the numbers of rows it has")
    return found


@dataclass
class _Execution:
    graph: IntegerGraph
    caches: Caches
    values: dict[str, Int] = field(default_factory=dict)

    def compute(self, op: QOp) -> Int:
        """The op's result."""
        if isinstance(op, QConst):
            return op.values
        if isinstance(op, QHost):
            return op.run(self.values)
        if isinstance(op, QCache):
            return self._cache(op)
        if isinstance(op, QAttention):
            return np.hstack([self._head(op, head) for head in op.heads])
        if isinstance(op, QGemm):
            out = requantize(accumulate(self._first(op.a, op), op.weight), op.mult, op.bias, op.shift)
            return out if op.table is None else apply_table(out, op.table)
        return self._vector(op)

    def _first(self, name: str, op: QOp) -> Int:
        """The rows of tensor `name` that `op` reads."""
        return self.values[name][: op.rows]  # type: ignore[union-attr]

    def _vector(self, op: QOp) -> Int:
        if isinstance(op, (QLayerNorm, QRmsNorm)):
            x = self._first(op.a, op)
            if self.graph.is_wide(op.a):
                x = split_planes(x)[1]
            norm = layernorm if isinstance(op, QLayerNorm) else rmsnorm
            return norm(x, op.mult, op.bias, op.shift)
        if isinstance(op, QAdd):
            return add_requantize(self._first(op.a, op), self._first(op.b, op), op.first, op.second, op.wide_out)
        if isinstance(op, QMul):
            return mul_requantize(self._first(op.a, op), self._first(op.b, op), op.params)
        if isinstance(op, QRope):
            return rope(self._first(op.a, op), self._first(op.angles, op), op.params)
        raise TypeError(type(op).__name__)

    def _cache(self, op: QCache) -> Int:
        new = saturate_int4(self.values[op.new]) if op.bits == INT4 else self.values[op.new]
        before = self.caches.get(op.slot, np.zeros((0, new.shape[1]), dtype=np.int64))
        if len(before) < op.past or op.past + len(new) > op.capacity:
            raise InputError(
                f"rows {op.past} to {op.past + len(new)} of cache '{op.slot}'",
                self.graph.name,
                f"it has {len(before)} rows, and room for {op.capacity}",
            )
        self.caches[op.slot] = np.vstack([before[: op.past], new])
        return self.caches[op.slot]

    def _narrowed(self, op: QAttention, name: str) -> Int:
        """Keys or values as the attention reads them."""
        return saturate_int4(self.values[name]) if op.bits == INT4 else self.values[name]

    def _head(self, op: QAttention, head: QHead) -> Int:
        one = np.int64(1)
        keys, values = (self._narrowed(op, name) for name in (head.k, head.v))
        acc = accumulate(self.values[head.q][: op.rows], keys)
        scores = requantize(acc, one * op.score.mult, one * op.score.bias, one * op.score.shift)  # type: ignore[arg-type]
        counted = causal(op.rows, len(keys), op.past + 1) if op.causal else None
        p, scale = softmax(scores, op.frac, counted)
        mixed = accumulate(p, values.T)
        shift = np.maximum(1, scale.shift - op.gain)
        return requantize(mixed, scale.mult[:, None], one * 0, shift[:, None])  # type: ignore[arg-type]
