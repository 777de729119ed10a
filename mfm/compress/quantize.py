"""Post-training quantization: a float graph and calibration samples to an integer graph.

Weights per output channel, activations per tensor (static; Jacob et al. 2018), scores in base-2 units for the
deferred-normalisation softmax. Outputs of activations are asymmetric where only linear layers read them; their zero
point is folded into the next bias. Sums that later sums read may be int16 (`wide`): a norm reads their upper byte.
Rotated queries and keys have their columns reordered so that each pair of a rotation is neighbours.
What the host computes reads and makes int8 tensors; no int16 sum is read on the other side of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from hwlib.numerics import RequantParams, quantize_multiplier, softmax
from hwlib.numerics.layernorm import NORM_FRAC_BITS
from hwlib.numerics.requantize import BIAS_BITS
from mfm.compress.integer import (
    IntegerGraph,
    QAdd,
    QAttention,
    QConst,
    QGemm,
    QHead,
    QHost,
    QInput,
    QLayerNorm,
    QMul,
    QOp,
    QRmsNorm,
    QRope,
    check_widths,
)
from mfm.compress.legal import legal
from mfm.compress.selection import selection
from mfm.models.graph import (
    FUNCTIONS,
    Activation,
    Add,
    Attention,
    AttentionHead,
    Columns,
    Constant,
    Float,
    Gemm,
    Graph,
    Input,
    LayerNorm,
    Move,
    Mul,
    Op,
    RmsNorm,
    Rope,
    evaluate,
    head_scores,
    host_stages,
    operands,
    visible,
)
from mfm.models.host import Host

Int = NDArray[np.int64]

Q_MAX = 127
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6)
FRACS = (5, 4, 3, 2)


LOWS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.15)
"""Shares of the most negative input that an activation's table may reach."""
WIDE_STEPS = 256
ENOUGH = 1 << 16
"""Values looked at when a scale is chosen."""
ROWS_TRIED = 32


@dataclass
class _Calibrated:
    """Every tensor's values over the calibration samples, flattened to [samples * rows, cols]."""

    values: dict[str, Float]
    fracs: dict[str, int]
    samples: int

    def scale(self, name: str, columns: Int | None = None, bits: int = 8) -> float:
        """The symmetric scale with the least squared error in `bits` bits among a few clippings of the range."""
        x = self.values[name] if columns is None else self.values[name][:, columns]
        top, most = float(np.abs(x).max()) or 1.0, (1 << bits - 1) - 1
        return min((top * clip / most for clip in CLIPS), key=lambda s: _error(x, s, most))

    def first(self, name: str) -> Float:
        """The tensor's values for the first sample."""
        return self.values[name][: len(self.values[name]) // self.samples]

    def some(self, name: str) -> Float:
        """At most ENOUGH of the tensor's values, evenly spaced."""
        x = self.values[name].ravel()
        return x[:: max(1, len(x) // ENOUGH)]


def _error(x: Float, scale: float, most: int) -> float:
    return float(((np.clip(np.rint(x / scale), -most, most) * scale - x) ** 2).sum())


def _calibrate(graph: Graph, samples: Sequence[Float]) -> _Calibrated:
    runs = [evaluate(graph, sample) for sample in samples]
    fracs = {op.out: _fraction(op, runs) for op in graph.ops if isinstance(op, Attention)}
    return _Calibrated({name: np.vstack([run[name] for run in runs]) for name in runs[0]}, fracs, len(runs))


def _fraction(op: Attention, runs: Sequence[Mapping[str, Float]]) -> int:
    """The fraction bits of base-2 scores with which integer probabilities come closest to the true ones."""
    errors = dict.fromkeys(FRACS, 0.0)
    for run in runs[:: max(1, len(runs) // 8)]:
        for head in op.heads:
            scores = head_scores(head, run, op) * math.log2(math.e)
            counted = visible(*scores.shape) if op.causal else np.ones(scores.shape, dtype=bool)
            true = np.exp2(
                np.where(counted, scores - scores.max(axis=1, keepdims=True, where=counted, initial=-1e9), -99)
            )
            true /= true.sum(axis=1, keepdims=True)
            for frac in FRACS:
                p, scale = softmax(np.clip(np.rint(scores * 2**frac), -128, 127).astype(np.int64), frac, counted)
                normalised = p * (scale.mult / 2.0**scale.shift)[:, None]
                errors[frac] += float(((normalised - true) ** 2).sum())
    return min(FRACS, key=lambda frac: errors[frac])


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
            need[name] = max(need.get(name, 0), 1 << 30 if isinstance(op, (Move, Host)) else rows)
    return {op.out: min(need.get(op.out, 0), _rows(op)) for op in graph.ops}


def _rows(op: Op) -> int:
    if isinstance(op, (Input, Move)):
        return int(op.gather.shape[0])
    if isinstance(op, Constant):
        return int(op.values.shape[0])
    return op.rows


def quantize(
    graph: Graph,
    samples: Sequence[Float],
    wide: bool = False,
    bits: Mapping[str, int] | None = None,
    host: bool = False,
    cache_bits: int = 8,
) -> IntegerGraph:
    """The integer graph of `graph`, calibrated on flat float `samples`.

    wide: sums that later sums read are int16. bits: 4 for linear layers (by the name of their result) whose weights
    are to be int4; others are int8. host: what integer arithmetic cannot express is left to the host, as far as it
    can be, besides the Host ops that the graph has. cache_bits: 4 for int4 keys and values of every attention, else 8.
    Raises InputError for what integer arithmetic here cannot express (an activation that does not follow a linear
    layer, attention whose queries are not a linear layer's output) and for `bits` of no linear layer.
    """
    chosen = dict(bits or {})
    known = {op.out for op in graph.ops if isinstance(op, Gemm)}
    for name, count in chosen.items():
        if name not in known or count not in (4, 8):
            raise InputError(f"{count}-bit weights of '{name}'", "bits", "give 4 or 8 for linear layers of the graph")
    if host:
        graph = legal(graph)
    made = _Quantizer(graph, _calibrate(graph, samples), wide, chosen, cache_bits).run()
    check_widths(made)
    return made


@dataclass
class _Quantizer:
    graph: Graph
    data: _Calibrated
    wide: bool
    bits: Mapping[str, int]
    cache_bits: int = 8
    scales: dict[str, Float] = field(default_factory=dict)
    zeros: dict[str, int] = field(default_factory=dict)
    ops: list[QOp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.made = {op.out: op for op in self.graph.ops}
        self.readers = Counter(name for op in self.graph.ops for name in operands(op))
        self.only_attention = {
            op.out
            for op in reversed(self.graph.ops)
            if isinstance(op, (Gemm, Rope)) and self._only_for_attention(op.out)
        }
        self.rows = needed_rows(self.graph)
        self.stage = host_stages(self.graph)
        self.parts: dict[tuple[str, str, bytes], str] = {}
        self.rules: dict[type, Callable[[Any], None]] = {
            Input: self._input,
            Constant: self._constant,
            Gemm: self._linear,
            Activation: self._activated,
            LayerNorm: self._norm,
            RmsNorm: self._norm,
            Add: self._sum,
            Mul: self._product,
            Rope: self._rotation,
            Move: self._selection,
            Attention: self._attention,
            Host: self._host,
        }

    def _only_for_attention(self, name: str) -> bool:
        """Whether attention alone reads the tensor, rotated or not."""
        readers = [op for op in self.graph.ops if name in operands(op)]
        return name != self.graph.output and all(
            isinstance(op, Attention) or (isinstance(op, Rope) and self._only_for_attention(op.out)) for op in readers
        )

    def _reader_types(self, name: str) -> set[type]:
        return {type(op) for op in self.graph.ops if name in operands(op)}

    def run(self) -> IntegerGraph:
        for op in self.graph.ops:
            self.rules[type(op)](op)
        return IntegerGraph(self.graph.name, tuple(self.ops), self.graph.output, self._uniform(self.graph.output))

    def _input(self, op: Input) -> None:
        rows, cols = op.gather.shape
        scale = self._symmetric(op.out) / op.factor
        self.ops.append(QInput(op.out, rows, cols, scale, tuple(int(i) for i in op.gather.ravel())))

    def _constant(self, op: Constant) -> None:
        values = np.clip(np.rint(op.values / self._symmetric(op.out)), -Q_MAX, Q_MAX)
        self.ops.append(QConst(op.out, values.astype(np.int64)))

    def _host(self, op: Host) -> None:
        scales = tuple(self.scales[name] for name in op.reads)
        zeros = tuple(self.zeros.get(name, 0) for name in op.reads)
        rowwise = _is_rowwise(op, {name: self.data.first(name) for name in op.reads})
        self.ops.append(QHost(op.out, op.reads, scales, zeros, self._symmetric(op.out), op, rowwise))

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
        if op.out in self.only_attention or (readers == {Activation} and self.readers[op.out] == 1):
            return
        self.ops.append(self._gemm(op.out, op, np.arange(len(op.weight)), self.rows[op.out], self._symmetric(op.out)))

    def _gemm(
        self, out: str, op: Gemm, columns: Int, rows: int, scale: float, table: Int | None = None, zero: int = 0
    ) -> QGemm:
        """Output `columns` of `op` at `scale`, before the table shifted by `zero`."""
        bits = self.bits.get(op.out, 8)
        weight, steps = _weights(op.weight[columns] * self.scales[op.a], bits)
        before = self.zeros.get(op.a, 0)
        params = [
            _channel(step / scale, bias / scale + zero, -before * int(row.sum()))
            for step, bias, row in zip(steps, op.bias[columns], weight, strict=True)
        ]
        mult, bias, shift = _columns_of(params)
        return QGemm(out, op.a, rows, weight, mult, bias, shift, table, bits)

    def _activated(self, op: Activation) -> None:
        source = self.made[op.a]
        if not isinstance(source, Gemm) or self.readers[op.a] != 1:
            name = "GELU" if op.function.startswith("gelu") else op.function
            raise InputError(f"{name} does not follow a linear layer of its own", op.out, "put one before it")
        before, shift = self._reach(op)
        after, zero = self._asymmetric(op.out)
        table = _table(op.function, before, shift, after, zero)
        columns = np.arange(len(source.weight))
        self.ops.append(self._gemm(op.out, source, columns, self.rows[op.out], before, table, shift))

    def _reach(self, op: Activation) -> tuple[float, int]:
        """Scale and zero point of an activation's input: of a few ranges, that of least error behind the function."""
        x, bend = self.data.some(op.a), FUNCTIONS[op.function]
        low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
        wanted = bend(x)

        def choice(under: float, over: float) -> tuple[float, float, int]:
            scale = (high * over - low * under) / 255 or 1.0
            zero = round(-128 - low * under / scale)
            found = bend((np.clip(np.rint(x / scale) + zero, -128, 127) - zero) * scale)
            return float(((found - wanted) ** 2).sum()), scale, zero

        return min(choice(under, over) for under in LOWS for over in CLIPS)[1:]

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

    def _norm(self, op: LayerNorm | RmsNorm) -> None:
        self._uniform(op.a)
        scale = self._symmetric(op.out)
        x = self.data.values[op.a]
        energy = ((x - x.mean(axis=1, keepdims=True) if isinstance(op, LayerNorm) else x) ** 2).mean(axis=1)
        # The integer norms have no epsilon: its mean effect goes into gamma.
        gamma = op.gamma * float(np.sqrt(energy / (energy + op.eps)).mean()) / scale / (1 << NORM_FRAC_BITS)
        beta = op.beta / scale if isinstance(op, LayerNorm) else np.zeros(len(gamma))
        mult, bias, shift = _columns_of([_channel(g, b) for g, b in zip(gamma, beta, strict=True)])
        kind = QLayerNorm if isinstance(op, LayerNorm) else QRmsNorm
        self.ops.append(kind(op.out, op.a, self.rows[op.out], mult, bias, shift))

    def _is_wide(self, name: str) -> bool:
        """Whether the tensor is an int16 sum: sums and norms alone read it, sums with something narrow."""
        op = self.made[name]
        readers = [r for r in self.graph.ops if name in operands(r)]
        if not self.wide or not isinstance(op, Add) or name == self.graph.output:
            return False
        if any(self.stage[r.out] != self.stage[name] for r in readers):
            return False
        sums = [r for r in readers if isinstance(r, Add)]
        narrow = all(not isinstance(self.made[r.b if r.a == name else r.a], Add) for r in sums)
        return bool(sums) and narrow and all(isinstance(r, (Add, LayerNorm, RmsNorm)) for r in readers)

    def _sum(self, op: Add) -> None:
        """A sum. The multiplier of an int16 operand is small beside the other's: the scale is made to fit it."""
        a, b = (op.b, op.a) if self._is_wide(op.b) else (op.a, op.b)
        wide, wide_out = self._is_wide(a), self._is_wide(op.out)
        scale = self._symmetric(op.out) / (WIDE_STEPS if wide_out else 1)
        inputs = [self._uniform(name) for name in (a, b)]
        shift = min(quantize_multiplier(part / scale)[1] for part in inputs)
        if wide:
            whole = max(1, round(math.ldexp(inputs[0] / scale, shift)))
            scale = math.ldexp(inputs[0], shift) / whole
            shift -= inputs[1] / scale * 2.0**shift > (1 << 15) - 1
        first, second = (RequantParams(round(math.ldexp(part / scale, shift)), 0, shift) for part in inputs)
        self.scales[op.out] = np.full(len(self.scales[op.out]), scale)
        self.ops.append(QAdd(op.out, a, b, self.rows[op.out], first, second, wide, wide_out))

    def _product(self, op: Mul) -> None:
        scale = self._symmetric(op.out)
        mult, shift = quantize_multiplier(self._uniform(op.a) * self._uniform(op.b) / scale)
        self.ops.append(QMul(op.out, op.a, op.b, self.rows[op.out], RequantParams(mult, 0, shift)))

    def _rotation(self, op: Rope) -> None:
        if op.out not in self.only_attention:
            raise InputError("a rotation is read by something other than attention", op.out, "rotate queries and keys")

    def _selection(self, op: Move) -> None:
        """Whole rows put side by side: dropped tokens, pixel shuffle."""
        tokens, width = self.data.values[op.a].shape[0] // self.data.samples, len(self.scales[op.a])
        pieces = op.gather.reshape(len(op.gather), -1, width) if op.gather.shape[1] % width == 0 else op.gather[None]
        chosen = pieces[:, :, 0] // width
        if not np.array_equal(pieces, chosen[:, :, None] * width + np.arange(width)):
            raise InputError("elements move within rows", op.out, "run it on the host")
        self.scales[op.out] = np.tile(self.scales[op.a], chosen.shape[1])
        self.ops += selection(op.out, op.a, chosen, tokens)

    def _attention(self, op: Attention) -> None:
        rows = self.rows[op.out]
        uniform = self._reader_types(op.out) != {Gemm}
        bits = self.cache_bits
        value_scales = [self.data.scale(head.v.name, head.v.columns, bits) for head in op.heads]
        if uniform:
            value_scales = [max(value_scales)] * len(value_scales)
        key_scale = max(self.data.scale(head.k.name, head.k.columns, bits) for head in op.heads)
        query_scale = max(self.data.scale(head.q.name, head.q.columns) for head in op.heads)
        heads = []
        for h, (head, value_scale) in enumerate(zip(op.heads, value_scales, strict=True)):
            q = self._part(f"{op.out}.q{h}", head.q, rows, query_scale)
            k = self._part(f"{op.out}.k{h}", head.k, None, key_scale)
            v = self._part(f"{op.out}.v{h}", head.v, None, value_scale)
            heads.append(QHead(q, k, v))
            self._same_order(op, head)
        widths = [len(head.v.columns) for head in op.heads]
        columns = np.repeat(value_scales, widths)
        room = Q_MAX * columns / np.maximum(np.abs(self.data.values[op.out]).max(axis=0), 1e-12)
        gain = int(np.clip(math.floor(math.log2(float(room.min()) * 1.02)), 0, 15))
        self.scales[op.out] = columns / 2**gain
        frac = self.data.fracs[op.out]
        mult, shift = quantize_multiplier(query_scale * key_scale * op.scale * math.log2(math.e) * 2**frac)
        score = RequantParams(mult, 0, shift)
        self.ops.append(QAttention(op.out, tuple(heads), rows, score, frac, gain, op.causal, 0, bits))

    def _same_order(self, op: Attention, head: AttentionHead) -> None:
        """Queries and keys must be reordered alike."""
        orders = [
            _pairs(source, part)[0]
            if isinstance(source := self.made[part.name], Rope)
            else np.arange(len(part.columns))
            for part in (head.q, head.k)
        ]
        if not np.array_equal(orders[0], orders[1]):
            raise InputError("queries and keys are rotated in different pairs", op.out, "rotate both alike")

    def _part(self, name: str, part: Columns, rows: int | None, scale: float) -> str:
        """A head's queries, keys or values as a linear layer of their own, rotated if they are; made once."""
        known = (name.rsplit(".", 1)[-1][0], part.name, part.columns.tobytes())
        if known in self.parts:
            return self.parts[known]
        self.parts[known] = name
        source = self.made[part.name]
        count = _rows(source) if rows is None else rows
        if isinstance(source, Rope):
            self._rotated(name, source, part, count, scale)
        elif isinstance(source, Gemm):
            self.ops.append(self._gemm(name, source, part.columns, count, scale))
        else:
            raise InputError("attention reads something other than a linear layer", name, "project it first")
        return name

    def _rotated(self, name: str, source: Rope, part: Columns, rows: int, scale: float) -> None:
        gemm = self.made[source.a.name]
        if not isinstance(gemm, Gemm):
            raise InputError("a rotation of something other than a linear layer", source.out, "project it first")
        order, cosines, sines = _pairs(source, part)
        columns = source.a.columns[part.columns[order]]
        before = self.data.scale(gemm.out, columns)
        self.ops.append(self._gemm(f"{name}_straight", gemm, columns, rows, before))
        largest = float(max(np.abs(cosines).max(), np.abs(sines).max()))
        angles = np.empty((source.rows, len(columns)), dtype=np.int64)
        angles[:, 0::2], angles[:, 1::2] = (np.rint(m / largest * Q_MAX) for m in (cosines, sines))
        mult, shift = quantize_multiplier(before * largest / Q_MAX / scale)
        self.ops.append(
            QRope(name, f"{name}_straight", rows, self._angles(source.out, angles), RequantParams(mult, 0, shift))
        )

    def _angles(self, name: str, angles: Int) -> str:
        """The name of a constant of these angles, made once."""
        for op in self.ops:
            if isinstance(op, QConst) and np.array_equal(op.values, angles):
                return op.out
        self.ops.append(QConst(f"{name}.angles", angles))
        return f"{name}.angles"


def _is_rowwise(op: Host, values: Mapping[str, Float]) -> bool:
    """Whether rows of the result stay the same, bit for bit, with the other rows of its operands zero.

    Tried on ROWS_TRIED rows, not proved.
    """
    if any(len(x) != op.rows for x in values.values()):
        return False
    whole = op.compute(values)
    for row in range(0, op.rows, -(-op.rows // ROWS_TRIED)):
        kept = (np.arange(op.rows) == row)[:, None]
        if not np.array_equal(op.compute({name: x * kept for name, x in values.items()})[row], whole[row]):
            return False
    return True


def _table(function: str, in_scale: float, in_zero: int, out_scale: float, out_zero: int) -> Int:
    """The 256 entries, by the input's unsigned byte, of a function between two int8 scales."""
    byte = np.roll(np.arange(-128, 128), 128)
    y = FUNCTIONS[function]((byte - in_zero) * np.float64(in_scale))
    table: Int = np.clip(np.floor(y / out_scale + 0.5).astype(np.int64) + out_zero, -128, 127)
    return table


def _pairs(rope: Rope, part: Columns) -> tuple[Int, Float, Float]:
    """(order, cosines, sines): a head's columns with pairs side by side; cosine and sine of each, [rows, pairs].

    Columns that do not turn are paired as they come. Raises InputError for pairs across heads.
    """
    place = {int(c): i for i, c in enumerate(part.columns)}
    still = [i for i, c in enumerate(part.columns) if rope.partner[c] == c]
    order = [i for pair in zip(still[0::2], still[1::2], strict=True) for i in pair] if len(still) % 2 == 0 else [-1]
    for i, column in enumerate(part.columns):
        other = place.get(int(rope.partner[column]), -1)
        if other > i or other < 0:
            order += [i, other]
    if -1 in order:
        raise InputError("a rotation reaches from one head into another", rope.out, "rotate each head alone")
    first, second = part.columns[order[0::2]], part.columns[order[1::2]]
    if not np.allclose(rope.cos[:, first], rope.cos[:, second], atol=1e-6):
        raise InputError("the cosines of a rotation's pair differ", rope.out, "give both the same angle")
    return np.array(order), rope.cos[:, first], rope.sin[:, second]


def _weights(real: Float, bits: int) -> tuple[Int, Float]:
    """Integers [n, k] and steps [n] of `real` weights; of int4 the clipping of least squared error for each channel."""
    top = np.maximum(np.abs(real).max(axis=1), 1e-12)
    if bits == 8:
        steps = top / Q_MAX
        return np.rint(real / steps[:, None]).astype(np.int64), steps
    options = [top * clip / 7 for clip in CLIPS]
    found = [np.clip(np.rint(real / steps[:, None]), -8, 7) for steps in options]
    errors = [((whole * steps[:, None] - real) ** 2).sum(axis=1) for whole, steps in zip(found, options, strict=True)]
    best, channel = np.argmin(errors, axis=0), np.arange(len(real))
    return np.array(found)[best, channel].astype(np.int64), np.array(options)[best, channel]


def _columns_of(params: Sequence[RequantParams]) -> tuple[Int, Int, Int]:
    """(mult, bias, shift) arrays."""
    mult, bias, shift = (np.array([getattr(p, n) for p in params], dtype=np.int64) for n in ("mult", "bias", "shift"))
    return mult, bias, shift


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
