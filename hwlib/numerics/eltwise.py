"""Element-wise addition, multiplication and rotation of tensors, and the two byte planes of int16 tensors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics.requantize import INT8_MAX, INT8_MIN, RequantParams

Int = NDArray[np.int64]

WIDE_MAX = 32640
"""Largest magnitude of a wide result: its high plane stays within int8."""


def add_requantize(a: Int, b: Int, first: RequantParams, second: RequantParams, wide_out: bool = False) -> Int:
    """``sat((a*Ma + b*Mb + bias + 2**(shift-1)) >> shift)`` of int8 (`a` also int16); bias and shift are `first`'s.

    sat clamps to int8, or with `wide_out` to -WIDE_MAX..WIDE_MAX. Exact: the error against the real quotient is at
    most half a unit before saturation.
    """
    return _finish(a.astype(np.int64) * first.mult + b.astype(np.int64) * second.mult, first, wide_out)


def mul_requantize(a: Int, b: Int, first: RequantParams) -> Int:
    """``sat8((a*b*Ma + bias + 2**(shift-1)) >> shift)`` of int8 `a` and `b`; error at most half a unit."""
    return _finish(a.astype(np.int64) * b.astype(np.int64) * first.mult, first)


def rope(a: Int, b: Int, first: RequantParams) -> Int:
    """Rotary embedding (RoFormer, Su et al. 2021) of neighbouring columns of int8 `a` [rows, cols], cols even.

    `b` [rows, cols] int8 holds cosines in even, sines in odd columns. ``u[2j] = a[2j]*b[2j] - a[2j+1]*b[2j+1]``,
    ``u[2j+1] = a[2j+1]*b[2j] + a[2j]*b[2j+1]``, then as `mul_requantize`.
    Exact for the given `b`: error at most half a unit.
    """
    even, odd, cosine, sine = (m.astype(np.int64)[:, k::2] for m, k in ((a, 0), (a, 1), (b, 0), (b, 1)))
    turned = np.empty(a.shape, dtype=np.int64)
    turned[:, 0::2] = even * cosine - odd * sine
    turned[:, 1::2] = odd * cosine + even * sine
    return _finish(turned * first.mult, first)


def _finish(product: Int, params: RequantParams, wide: bool = False) -> Int:
    low, high = (-WIDE_MAX, WIDE_MAX - 1) if wide else (INT8_MIN, INT8_MAX)
    y: Int = np.clip((product + params.bias + (1 << (params.shift - 1))) >> params.shift, low, high)
    return y


def split_planes(x: Int) -> tuple[Int, Int]:
    """(low, high) int8 planes of wide `x`: ``x = 256*high + low``, so that high is x/256 rounded half up. Exact."""
    high = (x + 128) >> 8
    return x - 256 * high, high


def join_planes(low: Int, high: Int) -> Int:
    """The inverse of :func:`split_planes`, for any int8 planes. Exact."""
    joined: Int = 256 * high.astype(np.int64) + low.astype(np.int64)
    return joined
