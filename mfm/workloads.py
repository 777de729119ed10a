"""Workloads by name that need no training: random integer graphs with realistic scales."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from hwlib.numerics import RequantParams, gelu_table, quantize_multiplier
from mfm.compress.integer import (
    IntegerGraph,
    QAdd,
    QAttention,
    QCache,
    QConst,
    QGemm,
    QHead,
    QInput,
    QLayerNorm,
    QMul,
    QOp,
    QRmsNorm,
    QRope,
    shape_of,
)

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


@dataclass(frozen=True)
class DecoderShape:
    """A decoder: width, query heads, key and value heads, feed-forward width, layers, vocabulary and most tokens.

    gated: SwiGLU, else GELU; bits: of the weights; cache_bits: of keys and values; vocab: 0 for no head (the output is
    then the residual stream).
    """

    width: int = 384
    heads: int = 6
    kv_heads: int = 6
    ff: int = 1536
    layers: int = 1
    vocab: int = 0
    capacity: int = 256
    gated: bool = True
    bits: int = 8
    cache_bits: int = 8

    def __post_init__(self) -> None:
        ok = 0 < self.kv_heads <= self.heads <= self.width and self.heads % self.kv_heads == 0
        if not ok or self.width % (2 * self.heads) or min(self.ff, self.layers, self.capacity) < 1:
            raise InputError(f"bad decoder shape {self}", "workload", "heads share keys evenly and are of even width")

    @property
    def head_dim(self) -> int:
        """Columns of a head."""
        return self.width // self.heads


WIDE_SHARE = 128
"""How much finer the wide residual stream is than its int8 input."""


class Decoder:
    """A LLaMA-like decoder with random weights: RMSNorm, rotary embedding, grouped-query attention, wide sums."""

    def __init__(self, shape: DecoderShape, seed: int = 0) -> None:
        self.shape, self.seed = shape, seed

    @cached_property
    def embedding(self) -> Int:
        """The tokens' input rows, [vocab, width]."""
        return np.random.default_rng(self.seed + 1).integers(-100, 101, (self.shape.vocab, self.shape.width))

    def inputs(self, tokens: list[int]) -> dict[str, Int]:
        """The input of a graph for `tokens`."""
        return {"x": self.embedding[tokens]}

    def prefill(self, rows: int) -> IntegerGraph:
        """The graph of the first `rows` tokens."""
        return self._graph(rows, 0)

    def step(self, past: int) -> IntegerGraph:
        """The graph of the token after `past` tokens."""
        return self._graph(1, past)

    @property
    def _coarser(self) -> int:
        """Bits by which a step of keys and values is coarser than one of other int8 tensors."""
        return 8 - self.shape.cache_bits

    @cached_property
    def _linear(self) -> dict[str, QGemm]:
        """Every linear layer, by name, for one row."""
        s, rng = self.shape, np.random.default_rng(self.seed)
        found = {}

        def add(name: str, k: int, n: int, table: Int | None = None) -> None:
            op = _gemm(rng, name, "", 1, k, n, table)
            weight = op.weight if s.bits == 8 else np.clip(np.rint(op.weight / 14), -8, 7).astype(np.int64)
            shift = op.shift if s.bits == 8 else op.shift - 4
            bias, coarser = op.bias >> (op.shift - shift), self._coarser if name.startswith("value") else 0
            found[name] = QGemm(name, "", 1, weight, op.mult, bias, shift + coarser, table, s.bits)

        for layer in range(s.layers):
            for part, heads in (("query", s.heads), ("key", s.kv_heads), ("value", s.kv_heads)):
                for h in range(heads):
                    add(f"{part}{layer}.{h}", s.width, s.head_dim)
            add(f"projection{layer}", s.width, s.width)
            add(f"gate{layer}", s.width, s.ff, silu_table(0.05, 0.04) if s.gated else gelu_table(0.05, 0.04))
            if s.gated:
                add(f"up{layer}", s.width, s.ff)
            add(f"down{layer}", s.ff, s.width)
        if s.vocab:
            add("logits", s.width, s.vocab)
        return found

    @cached_property
    def _norms(self) -> dict[str, tuple[Int, Int, Int]]:
        rng = np.random.default_rng(self.seed + 2)
        names = [f"{name}{layer}" for layer in range(self.shape.layers) for name in ("before", "after")]
        return {name: _requant(rng, 32 / 1024, self.shape.width) for name in (*names, "final")}

    def _graph(self, rows: int, past: int) -> IntegerGraph:
        s = self.shape
        ops: list[QOp] = [
            QInput("x", rows, s.width, 1.0),
            QConst("angles", rotary_angles(np.arange(past, past + rows), s.head_dim)),
        ]
        stream = "x"
        for layer in range(s.layers):
            last = layer + 1 == s.layers and not s.vocab
            stream = self._layer(ops, layer, stream, rows, past, last)
        if s.vocab:
            ops += [self._norm("final", stream, rows), self._apply("logits", "final", rows)]
            stream = "logits"
        name = f"decode-step-{past}" if past else f"decoder-{rows}"
        return IntegerGraph(name, tuple(ops), stream, 1.0)

    def _norm(self, name: str, a: str, rows: int) -> QRmsNorm:
        mult, bias, shift = self._norms[name]
        return QRmsNorm(name, a, rows, mult, 0 * bias, shift)

    def _apply(self, name: str, a: str, rows: int) -> QGemm:
        op = self._linear[name]
        return QGemm(name, a, rows, op.weight, op.mult, op.bias, op.shift, op.table, op.bits)

    def _layer(self, ops: list[QOp], layer: int, stream: str, rows: int, past: int, last: bool) -> str:
        """Append a layer's ops; the name of the residual stream after it."""
        s = self.shape
        ops.append(self._norm(f"before{layer}", stream, rows))
        for part, heads, turn in (("query", s.heads, 1 / 127), ("key", s.kv_heads, 1 / (127 << self._coarser))):
            for h in range(heads):
                ops.append(self._apply(f"{part}{layer}.{h}", f"before{layer}", rows))
                ops.append(
                    QRope(
                        f"turned {part}{layer}.{h}", f"{part}{layer}.{h}", rows, "angles", RequantParams(*_ratio(turn))
                    )
                )
        for h in range(s.kv_heads):
            ops.append(self._apply(f"value{layer}.{h}", f"before{layer}", rows))
            for part, new in (("key", f"turned key{layer}.{h}"), ("value", f"value{layer}.{h}")):
                slot = f"{part}s{layer}.{h}"
                ops.append(QCache(slot, new, slot, past, s.capacity, s.cache_bits))
        share = s.heads // s.kv_heads
        sources = [
            QHead(f"turned query{layer}.{h}", f"keys{layer}.{h // share}", f"values{layer}.{h // share}")
            for h in range(s.heads)
        ]
        score = RequantParams(*_ratio((24 << self._coarser) / (32 * 32 * np.sqrt(s.head_dim))))
        gain = 1 + self._coarser
        context = QAttention(f"context{layer}", tuple(sources), rows, score, 3, gain, True, past, s.cache_bits)
        ops.append(context)
        ops.append(self._apply(f"projection{layer}", f"context{layer}", rows))
        ops.append(self._sum(f"middle{layer}", stream, f"projection{layer}", rows, layer > 0, True))
        ops.append(self._norm(f"after{layer}", f"middle{layer}", rows))
        ops.append(self._apply(f"gate{layer}", f"after{layer}", rows))
        hidden = f"gate{layer}"
        if s.gated:
            ops.append(self._apply(f"up{layer}", f"after{layer}", rows))
            ops.append(QMul(f"hidden{layer}", hidden, f"up{layer}", rows, RequantParams(*_ratio(1 / 48))))
            hidden = f"hidden{layer}"
        ops.append(self._apply(f"down{layer}", hidden, rows))
        ops.append(self._sum(f"stream{layer}", f"middle{layer}", f"down{layer}", rows, True, not last))
        return f"stream{layer}"

    def _sum(self, out: str, a: str, b: str, rows: int, wide: bool, wide_out: bool) -> QAdd:
        """A residual sum; a wide stream has WIDE_SHARE steps to one of an int8 tensor."""
        unit = 1 << 14
        first = unit // WIDE_SHARE if wide else unit
        shift = (unit // WIDE_SHARE).bit_length() - 1 if wide_out else unit.bit_length() - 1
        return QAdd(out, a, b, rows, RequantParams(first, 0, shift), RequantParams(unit // 2, 0, shift), wide, wide_out)


def _ratio(scale: float) -> tuple[int, int, int]:
    """Multiplier, bias 0 and shift of `scale`."""
    mult, shift = quantize_multiplier(scale)
    return mult, 0, shift


def rotary_angles(positions: Int, cols: int) -> Int:
    """Angles of a rotary embedding of `cols` columns, base 10000: cosines in even, sines in odd columns, of 127."""
    turns = positions[:, None] * 10000.0 ** (-np.arange(0, cols, 2) / cols)
    pairs = np.stack([np.cos(turns), np.sin(turns)], axis=2).reshape(len(positions), cols)
    angles: Int = np.rint(127 * pairs).astype(np.int64)
    return angles


def silu_table(in_scale: float, out_scale: float) -> Int:
    """The 256-entry SiLU table between two int8 scales; error at most half an output unit before saturation."""
    byte = np.arange(256)
    x = np.where(byte > 127, byte - 256, byte) * in_scale
    rounded = np.floor(x / (1 + np.exp(-x)) / out_scale + 0.5).astype(np.int64)
    table: Int = np.clip(rounded, -128, 127)
    return table


DECODERS = ("decoder-block", "decode-step")
"""How the names of decoder workloads begin."""
_DECODER_NAME = re.compile(r"(decoder-block|decode-step)-(\d+)-(\d+)-(\d+)-(\d+)-(\d+)(-gelu)?(-w4(?:kv4)?)?")


def decoder_workload(name: str, seed: int = 0) -> IntegerGraph:
    """The graph of ``decoder-block-SEQ-WIDTH-HEADS-KVHEADS-FF`` or ``decode-step-PAST-WIDTH-HEADS-KVHEADS-FF``.

    ``-gelu`` after it: one feed-forward matrix before a GELU instead of SwiGLU's two; ``-w4``: int4 weights;
    ``-w4kv4``: int4 keys and values in the caches too.
    """
    found = _DECODER_NAME.fullmatch(name)
    if found is None:
        raise InputError(
            f"no workload '{name}'", "model", "write decode-step-PAST-WIDTH-HEADS-KVHEADS-FF[-gelu][-w4|-w4kv4]"
        )
    tokens, width, heads, kv_heads, ff = (int(v) for v in found.groups()[1:6])
    bits, gated = (4 if found[8] else 8), not found[7]
    cache_bits = 4 if found[8] == "-w4kv4" else 8
    shape = DecoderShape(width, heads, kv_heads, ff, 1, 0, tokens + 1, gated, bits, cache_bits)
    decoder = Decoder(shape, seed)
    graph = decoder.prefill(tokens) if found[1] == "decoder-block" else decoder.step(tokens)
    return IntegerGraph(name, graph.ops, graph.output, graph.output_scale)


CACHED = {8: (-64, 65), 4: (-8, 8)}
"""Values of random caches by their bits: from, to below."""


def random_caches(graph: IntegerGraph, seed: int = 0) -> dict[str, Int]:
    """Contents of the caches that `graph` expects."""
    rng, shapes = np.random.default_rng(seed), {op.out: op for op in graph.ops}
    return {
        op.slot: rng.integers(*CACHED[op.bits], (op.past, shape_of(shapes[op.new], graph)[1]))
        for op in graph.ops
        if isinstance(op, QCache)
    }
