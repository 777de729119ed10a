"""Integer layer and root-mean-square normalisation from ``n*x - sum`` and ``n*sum(x^2) - sum^2`` (I-BERT, Kim 2021)."""

from __future__ import annotations

from math import isqrt

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics.requantize import requantize

Int = NDArray[np.int64]

NORM_FRAC_BITS = 10
"""The normalised value is int16 with 10 fraction bits (range -32 to 32)."""


def inverse_sqrt(variance: int) -> tuple[int, int]:
    """``(r, h)`` with ``1/sqrt(variance) ~ r * 2**(h/2 - 31)``; `variance` >= 1, below 2**40.

    h is the even shift that brings ``u = variance * 2**h`` (floor when h < 0) into
    [2**30, 2**32); ``q = isqrt(u)``; ``r = min(65535, floor(2**31 / q))``. Relative error below 2**-15.
    """
    h = 31 - (variance.bit_length() - 1)
    h -= h & 1
    u = variance << h if h >= 0 else variance >> -h
    return min(65535, (1 << 31) // isqrt(u)), h


def layernorm_normalised(x: Int, rms: bool = False) -> Int:
    """Normalised rows (int16, 10 fraction bits) of `x` [rows, cols] (int8), cols in 1..4096.

    ``S = sum x; V = max(1, n*sum(x^2) - S^2); (r, h) = inverse_sqrt(V);``
    ``y = sat16(((n*x - S)*r + 2**(20 - h/2)) >> (21 - h/2))``. There is no epsilon. With `rms` S is 0;
    a row of equal values gives 0. Against float64: error at most 2**-11 + 2**-15 * |y| before saturation,
    which rows of more than 1024 columns can reach (|y| goes up to sqrt(n - 1)).
    """
    n = x.shape[1]
    total = np.zeros(len(x), dtype=np.int64) if rms else x.sum(axis=1, dtype=np.int64)
    variance = n * (x.astype(np.int64) ** 2).sum(axis=1) - total**2
    out = np.empty(x.shape, dtype=np.int64)
    for row in range(x.shape[0]):
        r, h = inverse_sqrt(max(1, int(variance[row])))
        shift = 21 - h // 2
        out[row] = ((n * x[row].astype(np.int64) - total[row]) * r + (1 << (shift - 1))) >> shift
    return np.clip(out, -32768, 32767)


def layernorm(x: Int, mult: Int, bias: Int, shift: Int) -> Int:
    """LayerNorm of `x` [rows, cols] (int8) to int8 with per-column (gamma, beta) as requantize parameters [cols].

    Against float64 ``(y * 2**10 * mult + bias) / 2**shift``, y the normalised value: error at most
    ``0.5 + (0.5 + |y|/32) * |mult| / 2**shift`` units before saturation (of y, and of the result).
    """
    return requantize(layernorm_normalised(x), mult, bias, shift)


def rmsnorm(x: Int, mult: Int, bias: Int, shift: Int) -> Int:
    """RMSNorm (Zhang & Sennrich 2019) of `x` [rows, cols] (int8) to int8, gamma as requantize parameters [cols].

    Errors as of :func:`layernorm`.
    """
    return requantize(layernorm_normalised(x, rms=True), mult, bias, shift)
