"""Requantization: the one rounding rule of the machine, round half up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

MULT_BITS = 16
BIAS_BITS = 40
SHIFT_MAX = 47
COMPACT_BIAS_BITS = 10
COMPACT_BIAS_LOW = 18
"""A compact entry's bias counts steps of 2**COMPACT_BIAS_LOW."""
INT8_MIN, INT8_MAX = -128, 127
INT4_MIN, INT4_MAX = -8, 7


@dataclass(frozen=True)
class RequantParams:
    """One output channel's parameters.

    mult: int16; bias: int40, in the product domain (added to ``acc * mult``); shift: 1 to 47.
    """

    mult: int
    bias: int
    shift: int


def requantize(acc: Int, mult: Int, bias: Int, shift: Int) -> Int:
    """``sat8((acc*mult + bias + 2**(shift-1)) >> shift)``, element-wise with broadcasting.

    acc: int32; mult: int16; bias: int40; shift: 1..47. Returns int8 values as int64. Exact:
    the error against the real quotient is at most half a unit before saturation.
    """
    product = acc.astype(np.int64) * mult + bias
    rounded = (product + (np.int64(1) << (np.asarray(shift, dtype=np.int64) - 1))) >> shift
    y: Int = np.clip(rounded, INT8_MIN, INT8_MAX)
    return y


def saturate_int4(x: Int) -> Int:
    """Int8 `x` saturated to int4: what a GEMM with O4 writes. Exact."""
    y: Int = np.clip(x, INT4_MIN, INT4_MAX)
    return y


def quantize_multiplier(scale: float, mult_bits: int = MULT_BITS - 1) -> tuple[int, int]:
    """``(mult, shift)`` with ``mult / 2**shift`` nearest to `scale` (positive), mult of `mult_bits` bits.

    Relative error at most 2**-mult_bits while ``scale >= 2**(mult_bits - 1 - 47)``; below that
    precision is lost (absolute error at most 2**-48), and a scale under 2**-48 gives mult 0.
    """
    if scale <= 0:
        return 0, 1
    exponent = math.frexp(scale)[1]
    shift = min(mult_bits - exponent, SHIFT_MAX)
    mult = round(math.ldexp(scale, shift))
    if mult == 1 << mult_bits:
        mult, shift = mult >> 1, shift - 1
    if shift < 1:
        raise ValueError(f"scale {scale} is too large for a {mult_bits}-bit multiplier")
    return mult, shift


def encode_param(params: RequantParams) -> int:
    """The 64-bit parameter entry: mult in 15:0, shift in 21:16, zero in 23:22, bias in 63:24.

    Exact; ValueError for a value that does not fit.
    """
    if not -(1 << 15) <= params.mult < 1 << 15:
        raise ValueError(f"mult {params.mult} does not fit int16")
    if not 1 <= params.shift <= SHIFT_MAX:
        raise ValueError(f"shift {params.shift} is not in 1..{SHIFT_MAX}")
    if not -(1 << 39) <= params.bias < 1 << 39:
        raise ValueError(f"bias {params.bias} does not fit int40")
    return (params.mult & 0xFFFF) | params.shift << 16 | (params.bias & (1 << BIAS_BITS) - 1) << 24


def decode_param(entry: int) -> RequantParams:
    """The inverse of :func:`encode_param`, exact; bits 23:22 are not read."""
    mult = entry & 0xFFFF
    bias = entry >> 24 & (1 << BIAS_BITS) - 1
    return RequantParams(mult - (mult >> 15 << 16), bias - (bias >> 39 << 40), entry >> 16 & 0x3F)


def compact_param(entry: int) -> int | None:
    """The 32-bit form of a 64-bit parameter entry: mult in 15:0, shift in 21:16, bias / 2**18 in 31:22.

    Exact; None where there is none: the bias is not a multiple of 2**18 from -2**27 to below 2**27.
    """
    low, bias = entry & 0x3F_FFFF, decode_param(entry).bias
    limit = 1 << (COMPACT_BIAS_BITS - 1)
    steps = bias >> COMPACT_BIAS_LOW
    if steps << COMPACT_BIAS_LOW != bias or not -limit <= steps < limit:
        return None
    return low | (steps & 2 * limit - 1) << 22


def expand_param(compact: int) -> int:
    """The inverse of :func:`compact_param`, exact: what a LOAD with COMPACT writes for a 4-byte entry."""
    steps = compact >> 22
    steps -= steps >> (COMPACT_BIAS_BITS - 1) << COMPACT_BIAS_BITS
    return compact & 0x3F_FFFF | (steps << COMPACT_BIAS_LOW & (1 << BIAS_BITS) - 1) << 24
