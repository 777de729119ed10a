"""Random integer graphs of one layer, or of a few that a schedule joins, in shapes that divide nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

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
)
from mfm.workloads import rotary_angles, silu_table

Int = NDArray[np.int64]
Rng = np.random.Generator
EDGES = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33)
"""Sizes around those of arrays and words."""
MOST = 72


def size(rng: Rng, most: int = MOST) -> int:
    """A size from 1 to `most`, every second time one of EDGES."""
    return min(most, int(rng.choice(EDGES)) if rng.random() < 0.5 else int(rng.integers(1, most + 1)))


def _channels(rng: Rng, scale: float, count: int, most: int = 150) -> tuple[Int, Int, Int]:
    """Multipliers of either sign, biases up to `most` output units, and shifts of `count` channels around `scale`."""
    pairs = [quantize_multiplier(float(s)) for s in scale * rng.uniform(0.3, 3, count)]
    mult, shift = (np.array(v, dtype=np.int64) for v in zip(*pairs, strict=True))
    return mult * rng.choice([-1, 1], count), rng.integers(-most, most + 1, count) << shift, shift


def _one(rng: Rng, scale: float) -> RequantParams:
    mult, bias, shift = _channels(rng, scale, 1)
    return RequantParams(int(mult[0]), int(bias[0]), int(shift[0]))


class _Layer:
    """A graph in the making."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.ops: list[QOp] = []

    def add(self, op: QOp) -> str:
        self.ops.append(op)
        return op.out

    def input(self, rows: int, cols: int) -> str:
        return self.add(QInput(f"input{len(self.ops)}", rows, cols, 1.0))

    def gemm(self, a: str, rows: int, k: int, n: int, table: bool | None = None, out_bits: int = 8) -> str:
        """A linear layer whose results spread over `out_bits` bits."""
        rng, bits = self.rng, int(self.rng.choice([4, 8]))
        limit = 1 << (bits - 1)
        weight = rng.integers(-limit, limit, (n, k))
        mult, bias, shift = _channels(rng, 1.5 / (limit * np.sqrt(k)) / (1 << 8 - out_bits), n, 150 >> 8 - out_bits)
        with_table = rng.random() < 0.5 if table is None else table
        values = (gelu_table, silu_table)[int(rng.integers(2))](0.05, 0.04) if with_table else None
        return self.add(QGemm(f"gemm{len(self.ops)}", a, rows, weight, mult, bias, shift, values, bits))

    def norm(self, a: str, rows: int, cols: int, rms: bool) -> str:
        kind = QRmsNorm if rms else QLayerNorm
        mult, bias, shift = _channels(self.rng, 32 / 1024, cols)
        return self.add(kind(f"norm{len(self.ops)}", a, rows, mult, bias, shift))

    def sum(self, a: str, b: str, rows: int, wide: bool = False, wide_out: bool = False) -> str:
        scale = (1 / 256 if wide else 1.0) * (128 if wide_out else 1)
        first, second = _one(self.rng, scale / 2), _one(self.rng, 64 if wide_out else 0.5)
        shift = min(first.shift, second.shift)
        first = RequantParams(first.mult >> (first.shift - shift), first.bias >> (first.shift - shift), shift)
        second = RequantParams(second.mult >> (second.shift - shift), 0, shift)
        return self.add(QAdd(f"sum{len(self.ops)}", a, b, rows, first, second, wide, wide_out))

    def attention(
        self, heads: tuple[QHead, ...], rows: int, width: int, causal: bool, past: int = 0, bits: int = 8
    ) -> str:
        score = _one(self.rng, 24 / (64 * 64 * np.sqrt(width)))
        frac, gain = int(self.rng.integers(2, 6)), int(self.rng.integers(0, 4))
        context = self.add(QAttention(f"context{len(self.ops)}", heads, rows, score, frac, gain, causal, past, bits))
        return context if len(heads) == 1 else self.gemm(context, rows, len(heads) * width, size(self.rng, 40))

    def made(self, name: str) -> IntegerGraph:
        return IntegerGraph(name, tuple(self.ops), self.ops[-1].out, 1.0)


def _gemm(layer: _Layer, bits_table: bool | None = None) -> None:
    rows, k, n = (size(layer.rng) for _ in range(3))
    layer.gemm(layer.input(rows, k), rows, k, n, bits_table)


def _two_gemms_and_sum(layer: _Layer) -> None:
    rows, k, n = (size(layer.rng, 40) for _ in range(3))
    x = layer.input(rows, k)
    layer.sum(layer.gemm(layer.gemm(x, rows, k, n, True), rows, n, k, False), x, rows)


def _gated(layer: _Layer) -> None:
    rows, k, n = (size(layer.rng, 40) for _ in range(3))
    x = layer.input(rows, k)
    gate, up = layer.gemm(x, rows, k, n, True), layer.gemm(x, rows, k, n, False)
    hidden = layer.add(QMul("hidden", gate, up, rows, _one(layer.rng, 1 / 48)))
    layer.gemm(hidden, rows, n, k, False)


def _norm(layer: _Layer, rms: bool) -> None:
    rows, cols = size(layer.rng), size(layer.rng)
    layer.norm(layer.input(rows, cols), rows, cols, rms)


def _gemm_sum_norm(layer: _Layer) -> None:
    rows, k, n = (size(layer.rng, 40) for _ in range(3))
    other, x = layer.input(rows, n), layer.input(rows, k)
    layer.norm(layer.sum(layer.gemm(x, rows, k, n), other, rows), rows, n, bool(layer.rng.integers(2)))


def _sum(layer: _Layer) -> None:
    rows, cols = size(layer.rng), size(layer.rng)
    layer.sum(layer.input(rows, cols), layer.input(rows, cols), rows)


def _wide_sums(layer: _Layer) -> None:
    """An int16 stream of one or two sums; an int8 sum or a normalisation ends it."""
    rows, cols = size(layer.rng), size(layer.rng)
    stream = layer.sum(layer.input(rows, cols), layer.input(rows, cols), rows, wide_out=True)
    if layer.rng.integers(2):
        stream = layer.sum(stream, layer.input(rows, cols), rows, wide=True, wide_out=True)
    if layer.rng.integers(2):
        layer.norm(stream, rows, cols, True)
    else:
        layer.sum(stream, layer.input(rows, cols), rows, wide=True)


def _product(layer: _Layer) -> None:
    rows, cols = size(layer.rng), size(layer.rng)
    layer.add(QMul("product", layer.input(rows, cols), layer.input(rows, cols), rows, _one(layer.rng, 1 / 64)))


def _rope(layer: _Layer) -> None:
    rows, cols = size(layer.rng), 2 * size(layer.rng, MOST // 2)
    angles = layer.add(QConst("angles", rotary_angles(np.arange(rows), cols)))
    layer.add(QRope("turned", layer.input(rows, cols), rows, angles, _one(layer.rng, 1 / 100)))


def _attention(layer: _Layer, causal: bool) -> None:
    """Heads that share keys or do not, of some rows (all where causal), and a projection of several."""
    tokens, width, kv = size(layer.rng, 40), size(layer.rng, 33), int(layer.rng.integers(1, 3))
    rows = tokens if causal else size(layer.rng, tokens)
    heads = []
    for _ in range(kv):
        k, v = layer.input(tokens, width), layer.input(tokens, width)
        heads += [QHead(layer.input(rows, width), k, v) for _ in range(int(layer.rng.integers(1, 3)))]
    layer.attention(tuple(heads), rows, width, causal)


def _projected_attention(layer: _Layer) -> None:
    """Queries, keys and values of one input, grouped heads, and their projection."""
    tokens, k, width = size(layer.rng, 33), size(layer.rng, 33), size(layer.rng, 17)
    x, bits = layer.input(tokens, k), int(layer.rng.choice([4, 8]))
    keys, values = (layer.gemm(x, tokens, k, width, False, bits) for _ in range(2))
    heads = tuple(QHead(layer.gemm(x, tokens, k, width, False), keys, values) for _ in range(2))
    layer.attention(heads, tokens, width, bool(layer.rng.integers(2)), 0, bits)


def _cached_attention(layer: _Layer, past: int, bits: int = 8) -> None:
    """Prefill of empty caches, or a decode step after `past` tokens; keys of even width are rotated."""
    rows, k, width = 1 if past else size(layer.rng, 33), size(layer.rng, 33), size(layer.rng, 17)
    x = layer.input(rows, k)
    capacity, kv = past + rows + int(layer.rng.integers(0, 20)), []
    for part in ("keys", "values"):
        new, slot = layer.gemm(x, rows, k, width, False, bits), f"{part}{int(layer.rng.integers(1 << 40))}"
        if part == "keys" and width % 2 == 0:
            angles = layer.add(QConst("angles", rotary_angles(np.arange(past, past + rows), width)))
            new = layer.add(QRope("turned", new, rows, angles, _one(layer.rng, 1 / 100)))
        kv.append(layer.add(QCache(part, new, slot, past, capacity, bits)))
    heads = tuple(QHead(layer.gemm(x, rows, k, width, False), *kv) for _ in range(int(layer.rng.integers(1, 4))))
    layer.attention(heads, rows, width, True, past, bits)


KINDS: dict[str, Callable[[_Layer], None]] = {
    "gemm": _gemm,
    "gemm with table": lambda layer: _gemm(layer, True),
    "two gemms and a sum": _two_gemms_and_sum,
    "gated": _gated,
    "layernorm": lambda layer: _norm(layer, False),
    "rmsnorm": lambda layer: _norm(layer, True),
    "gemm, sum, norm": _gemm_sum_norm,
    "sum": _sum,
    "wide sums": _wide_sums,
    "product": _product,
    "rope": _rope,
    "attention": lambda layer: _attention(layer, False),
    "causal attention": lambda layer: _attention(layer, True),
    "projected attention": _projected_attention,
    "prefill of caches": lambda layer: _cached_attention(layer, 0),
    "decode step": lambda layer: _cached_attention(layer, size(layer.rng, 40)),
    "prefill of int4 caches": lambda layer: _cached_attention(layer, 0, 4),
    "decode step on int4 caches": lambda layer: _cached_attention(layer, size(layer.rng, 40), 4),
}
"""Every kind of layer, by name."""


def random_layer(seed: int) -> IntegerGraph:
    """The layer of `seed`; kinds take turns."""
    kind = list(KINDS)[seed % len(KINDS)]
    layer = _Layer(np.random.default_rng(seed))
    KINDS[kind](layer)
    return layer.made(f"{kind} ({seed})")
