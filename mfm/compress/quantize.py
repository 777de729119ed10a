"""Post-training quantization: a float graph and calibration samples to an integer graph.

Weights per output channel, activations per tensor (static; Jacob et al. 2018), scores in base-2 units for the
deferred-normalisation softmax. GELU outputs are asymmetric; their zero point is folded into the next bias.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from hwlib.numerics import RequantParams, gelu_table, quantize_multiplier
from hwlib.numerics.layernorm import NORM_FRAC_BITS
from hwlib.numerics.requantize import BIAS_BITS
from mfm.compress.integer import IntegerGraph, QAdd, QAttention, QConst, QGemm, QHead, QInput, QLayerNorm, QOp
from mfm.models.graph import (
    Add,
    Attention,
    Columns,
    Constant,
    Float,
    Gelu,
    Gemm,
    Graph,
    Input,
    LayerNorm,
    evaluate,
    head_scores,
    operands,
)

Int = NDArray[np.int64]

Q_MAX = 127
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6)
FRACS = (5, 4, 3, 2)


@dataclass
class _Calibrated:
    """Every tensor's values over the calibration samples, flattened to [samples * rows, cols]."""

    values: dict[str, Float]
    largest_score: dict[str, float]

    def scale(self, name: str, columns: Int | None = None) -> float:
        """The symmetric scale with the least squared error among a few clippings of the range."""
        x = self.values[name] if columns is None else self.values[name][:, columns]
        top = float(np.abs(x).max()) or 1.0
        return min((top * clip / Q_MAX for clip in CLIPS), key=lambda s: _error(x, s))


def _error(x: Float, scale: float) -> float:
    return float(((np.clip(np.rint(x / scale), -Q_MAX, Q_MAX) * scale - x) ** 2).sum())


def _calibrate(graph: Graph, samples: Sequence[Float]) -> _Calibrated:
    runs = [evaluate(graph, sample) for sample in samples]
    largest = {
        op.out: max(float(np.abs(head_scores(head, run, op)).max()) for run in runs for head in op.heads)
        for op in graph.ops
        if isinstance(op, Attention)
    }
    return _Calibrated({name: np.vstack([run[name] for run in runs]) for name in runs[0]}, largest)


def needed_rows(graph: Graph) -> dict[str, int]:
    """For each tensor, how many of its first rows anything later depends on."""
    need: dict[str, int] = {graph.output: _rows(graph.ops[-1])}
    for op in reversed(graph.ops):
        rows = need.get(op.out, 0)
        if isinstance(op, Attention):
            for head in op.heads:
                for part, count in ((head.q, rows), (head.k, 1 << 30), (head.v, 1 << 30)):
                    need[part.name] = max(need.get(part.name, 0), count)
            continue
        for name in operands(op):
            need[name] = max(need.get(name, 0), rows)
    return {op.out: min(need.get(op.out, 0), _rows(op)) for op in graph.ops}


def _rows(op: object) -> int:
    if isinstance(op, Input):
        return int(op.gather.shape[0])
    if isinstance(op, Constant):
        return int(op.values.shape[0])
    return int(op.rows)  # type: ignore[attr-defined]


def quantize(graph: Graph, samples: Sequence[Float]) -> IntegerGraph:
    """The int8 integer graph of `graph`, calibrated on flat float `samples`.

    Raises InputError for what integer arithmetic here cannot express (a GELU that does not follow a linear layer,
    attention whose queries are not a linear layer's output).
    """
    return _Quantizer(graph, _calibrate(graph, samples)).run()


@dataclass
class _Quantizer:
    graph: Graph
    data: _Calibrated
    scales: dict[str, Float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    ops: list[QOp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made = {op.out: op for op in self.graph.ops}
        self.readers = Counter(name for op in self.graph.ops for name in operands(op))
        self.only_attention = {
            op.out for op in self.graph.ops if isinstance(op, Gemm) and self._reader_types(op.out) == {Attention}
        }
        self.rows = needed_rows(self.graph)

    def _reader_types(self, name: str) -> set[type]:
        return {type(op) for op in self.graph.ops if name in operands(op)}

    def run(self) -> IntegerGraph:
        for op in self.graph.ops:
            if isinstance(op, Input):
                rows, cols = op.gather.shape
                scale = self._symmetric(op.out)
                self.ops.append(QInput(op.out, rows, cols, scale, tuple(int(i) for i in op.gather.ravel())))
            elif isinstance(op, Constant):
                values = np.clip(np.rint(op.values / self._symmetric(op.out)), -Q_MAX, Q_MAX)
                self.ops.append(QConst(op.out, values.astype(np.int64)))
            elif isinstance(op, Gemm):
                self._linear(op)
            elif isinstance(op, Gelu):
                self._activated(op)
            elif isinstance(op, LayerNorm):
                self._norm(op)
            elif isinstance(op, Add):
                self._sum(op)
            else:
                self._attention(op)
        return IntegerGraph(self.graph.name, tuple(self.ops), self.graph.output, self._uniform(self.graph.output))

    def _symmetric(self, name: str) -> float:
        """Choose and record the tensor's scale, zero point 0."""
        scale = self.data.scale(name)
        self.scales[name] = np.full(self.data.values[name].shape[1], scale)
        return scale

    def _uniform(self, name: str) -> float:
        scale = self.scales[name]
        if (scale != scale[0]).any():
            raise InputError("attention heads of different scales do not feed a linear layer", name, "add a projection")
        return float(scale[0])

    # Linear layers

    def _linear(self, op: Gemm) -> None:
        """A linear layer; one read only by attention is made head by head there, one read by GELU with it."""
        readers = self._reader_types(op.out)
        if op.out in self.only_attention or (readers == {Gelu} and self.readers[op.out] == 1):
            return
        self.ops.append(self._gemm(op.out, op, np.arange(len(op.weight)), self.rows[op.out], self._symmetric(op.out)))

    def _gemm(self, out: str, op: Gemm, columns: Int, rows: int, scale: float, table: Int | None = None) -> QGemm:
        """Output `columns` of `op` at `scale`."""
        real = op.weight[columns] * self.scales[op.a]
        steps = np.maximum(np.abs(real).max(axis=1), 1e-12) / Q_MAX
        weight = np.rint(real / steps[:, None]).astype(np.int64)
        zero = self.zeros.get(op.a, 0)
        params = [
            _channel(step / scale, bias / scale, -zero * int(row.sum()))
            for step, bias, row in zip(steps, op.bias[columns], weight, strict=True)
        ]
        mult, bias, shift = (
            np.array([getattr(p, n) for p in params], dtype=np.int64) for n in ("mult", "bias", "shift")
        )
        return QGemm(out, op.a, rows, weight, mult, bias, shift, table)

    def _activated(self, op: Gelu) -> None:
        source = self.made[op.a]
        if not isinstance(source, Gemm) or self.readers[op.a] != 1:
            raise InputError("GELU does not follow a linear layer of its own", op.out, "put one before it")
        before = self.data.scale(op.a)
        after, zero = self._asymmetric(op.out)
        table = gelu_table(before, after, 0, zero)
        self.ops.append(self._gemm(op.out, source, np.arange(len(source.weight)), self.rows[op.out], before, table))

    def _asymmetric(self, name: str) -> tuple[float, int]:
        """Scale and zero point for a one-sided range, if only linear layers read it; else symmetric."""
        if self._reader_types(name) != {Gemm}:
            return self._symmetric(name), 0
        x = self.data.values[name]
        low = min(0.0, float(x.min()))
        options = [(clip * (float(x.max()) - low)) / (2 * Q_MAX + 1) or 1.0 for clip in CLIPS]

        def error(scale: float) -> float:
            zero = round(-128 - low / scale)
            return float(((np.clip(np.rint(x / scale) + zero, -128, 127) - zero - x / scale) ** 2).sum()) * scale**2

        scale = min(options, key=error)
        zero = round(-128 - low / scale)
        self.scales[name], self.zeros[name] = np.full(x.shape[1], scale), zero
        return scale, zero

    # The rest

    def _norm(self, op: LayerNorm) -> None:
        self._uniform(op.a)
        scale = self._symmetric(op.out)
        params = [
            _channel(g / scale / (1 << NORM_FRAC_BITS), b / scale) for g, b in zip(op.gamma, op.beta, strict=True)
        ]
        mult, bias, shift = (
            np.array([getattr(p, n) for p in params], dtype=np.int64) for n in ("mult", "bias", "shift")
        )
        self.ops.append(QLayerNorm(op.out, op.a, self.rows[op.out], mult, bias, shift))

    def _sum(self, op: Add) -> None:
        scale = self._symmetric(op.out)
        ratios = [self._uniform(name) / scale for name in (op.a, op.b)]
        shift = min(quantize_multiplier(ratio)[1] for ratio in ratios)
        first, second = (RequantParams(round(math.ldexp(ratio, shift)), 0, shift) for ratio in ratios)
        self.ops.append(QAdd(op.out, op.a, op.b, self.rows[op.out], first, second))

    def _attention(self, op: Attention) -> None:
        rows = self.rows[op.out]
        uniform = self._reader_types(op.out) != {Gemm}
        value_scales = [self.data.scale(head.v.name, head.v.columns) for head in op.heads]
        if uniform:
            value_scales = [max(value_scales)] * len(value_scales)
        key_scale = max(self.data.scale(head.k.name, head.k.columns) for head in op.heads)
        query_scale = max(self.data.scale(head.q.name, head.q.columns) for head in op.heads)
        heads = []
        for h, (head, value_scale) in enumerate(zip(op.heads, value_scales, strict=True)):
            q = self._part(f"{op.out}.q{h}", head.q, rows, query_scale)
            k = self._part(f"{op.out}.k{h}", head.k, None, key_scale)
            v = self._part(f"{op.out}.v{h}", head.v, None, value_scale)
            heads.append(QHead(q, k, v))
        widths = [len(head.v.columns) for head in op.heads]
        columns = np.repeat(value_scales, widths)
        room = Q_MAX * columns / np.maximum(np.abs(self.data.values[op.out]).max(axis=0), 1e-12)
        gain = int(np.clip(math.floor(math.log2(float(room.min()) * 1.02)), 0, 15))
        self.scales[op.out] = columns / 2**gain
        largest = self.data.largest_score[op.out] * math.log2(math.e)
        frac = next((f for f in FRACS if largest * 2**f <= 128), FRACS[-1])
        mult, shift = quantize_multiplier(query_scale * key_scale * op.scale * math.log2(math.e) * 2**frac)
        self.ops.append(QAttention(op.out, tuple(heads), rows, RequantParams(mult, 0, shift), frac, gain))

    def _part(self, name: str, part: Columns, rows: int | None, scale: float) -> str:
        """A head's queries, keys or values as a linear layer of their own."""
        source = self.made[part.name]
        if not isinstance(source, Gemm):
            raise InputError("attention reads something other than a linear layer", name, "project it first")
        self.ops.append(self._gemm(name, source, part.columns, source.rows if rows is None else rows, scale))
        return name


def _channel(scale: float, offset: float, correction: int = 0) -> RequantParams:
    """Parameters computing ``(acc + correction) * scale + offset``; fewer multiplier bits where the bias needs room."""
    for shift in range(quantize_multiplier(abs(scale))[1], 0, -1):
        mult = round(math.ldexp(scale, shift))
        bias = round(math.ldexp(offset, shift)) + mult * correction
        if abs(bias) < 1 << (BIAS_BITS - 1):
            return RequantParams(mult, bias, shift)
    raise InputError(
        f"a bias of {offset:.3g} output units cannot be represented", "quantize", "check the calibration data"
    )
