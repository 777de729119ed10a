"""Online softmax in base 2 with deferred normalisation.

The sum is taken along with the running maximum (Milakov & Gimelshein 2018), which is a whole number of octaves, so
that rescaling the sum is a shift (Softermax, Stevens et al. 2021; ITA, Islamoglu et al. 2023). Scores arrive as int8
in units of ``2**-frac`` octaves: the requantizer before it has already multiplied by ``log2(e)/sqrt(head_dim)``.
Probabilities leave unnormalised, relative to the row's maximum; the reciprocal of the sum is applied by the
requantizer after the product with V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Mask = NDArray[np.bool_]

TABLE_BITS = 5
EXP2_TABLE = tuple(round(32768 * 2 ** (-i / 32)) for i in range(1 << TABLE_BITS))
"""``EXP2_TABLE[i] = round(2**15 * 2**(-i/32))``, unsigned 16 bits."""
P_MAX = 127
P_BITS = 8
"""A probability is a power's upper bits, without its lower 8."""
DIVISOR_BITS = 15
_NONE = -(1 << 8)
"""Octaves below any score's."""


@dataclass(frozen=True)
class RowScale:
    """Per-row multiplier (int16, positive) and shift that divide by the row's sum."""

    mult: Int
    shift: Int


def _octaves(scores: Int, frac: int, counted: Mask | None) -> Int:
    """Each score's octave, rounded up; of one that is not counted, one below all."""
    octaves: Int = -(-scores >> frac)
    return octaves if counted is None else np.where(counted, octaves, _NONE)


def _powers(scores: Int, frac: int, octaves: Int, top: Int) -> Int:
    """``2**15 * 2**(scores / 2**frac - top)``, its table value cut off to an integer; `octaves` are the scores' own."""
    index = (-scores << (TABLE_BITS - frac)) & ((1 << TABLE_BITS) - 1)
    powers: Int = np.asarray(EXP2_TABLE, dtype=np.int64)[index] >> np.minimum(top - octaves, 63)
    return powers


def softmax_probabilities(scores: Int, frac: int, counted: Mask | None = None) -> Int:
    """Unnormalised probabilities, 0..127, of `scores` [rows, cols] (int8) with `frac` in 2..5.

    With the row's maximum M in whole octaves, rounded up: ``u = ((M << frac) - x) << (5 - frac)``, ``e =
    EXP2_TABLE[u & 31] >> (u >> 5)``, ``p = min(127, (e + 128) >> 8)``. Elements that are not `counted` [rows, cols] are
    left out of M and get p = 0.
    Against ``128 * 2**(x / 2**frac - M)``: error 1 where x is M octaves, at most 0.5 + 2**-8 elsewhere.
    """
    octaves = _octaves(scores, frac, counted)
    e = _powers(scores, frac, octaves, octaves.max(axis=1, keepdims=True))
    p: Int = np.minimum(P_MAX, (e + (1 << P_BITS - 1)) >> P_BITS)
    return p


def softmax_total(scores: Int, frac: int, counted: Mask | None = None) -> Int:
    """The running total of each row of `scores` [rows, cols], columns in order: 2**14..2**27 for up to 4096 columns.

    Per element that counts, with its octave m = ceil(x / 2**frac): if m is above the running maximum M, by d, then
    ``total >>= d; M = m``; in any case ``total += EXP2_TABLE[u & 31] >> (u >> 5)``, u from M as it now is.
    Error against the sum of ``2**15 * 2**(x / 2**frac - M)`` over n elements that count: less than n too small, at most
    n / 2 too large. An element falls short by less than 1, or by half if it raises M; a shift cuts off less than 1, and
    every later one halves what is missing.
    """
    octaves = _octaves(scores, frac, counted)
    top = np.maximum.accumulate(octaves, axis=1)
    e = _powers(scores, frac, octaves, top)
    # Between rises of the maximum the order of additions does not matter: one sum for each such stretch.
    rises = np.diff(top, axis=1, prepend=top[:, :1])
    stretch = np.cumsum(rises > 0, axis=1)
    stretches = int(stretch[:, -1].max(initial=0)) + 1
    place = (np.arange(len(scores))[:, None] * stretches + stretch).ravel()
    size = len(scores) * stretches
    sums = np.bincount(place, e.ravel(), size).astype(np.int64).reshape(-1, stretches)
    shifts = np.bincount(place, rises.ravel(), size).astype(np.int64).reshape(-1, stretches)
    total: Int = np.zeros(len(scores), dtype=np.int64)
    for k in range(stretches):
        total = (total >> np.minimum(shifts[:, k], 63)) + sums[:, k]
    return total


def row_scale(total: Int) -> RowScale:
    """Reciprocal of ``total / 256`` (total 2**14..2**27): p times ``mult / 2**shift`` is the probability.

    With L = floor(log2(total)) and the total's 15 highest bits ``n = total >> (L - 14)``: ``mult = min(32767,
    floor(2**29 / n)); shift = L + 7``. Relative error at most 2**-14: n is cut off and so is mult, to opposite effect.
    """
    level = np.array([int(t).bit_length() - 1 for t in total.ravel()], dtype=np.int64).reshape(total.shape)
    divisor = total >> (level - (DIVISOR_BITS - 1))
    mult = np.minimum(32767, (np.int64(1) << (2 * DIVISOR_BITS - 1)) // divisor)
    return RowScale(mult, level + DIVISOR_BITS - P_BITS)


def softmax(scores: Int, frac: int, counted: Mask | None = None) -> tuple[Int, RowScale]:
    """Probabilities [rows, cols] (0..127) and the row scales [rows], of the `counted` elements (None: all; else some).

    After normalisation, against the float64 probability q of the same int8 scores in a row of n columns that count:
    error at most ``(1 + n*q/256 + 2**-14 * p) * 256 / total``. The part in n is the error of the total: columns more
    than 15 octaves below the maximum count as 0, so one maximum over 4095 of them may get 1 where q is 0.81.
    """
    p = softmax_probabilities(scores, frac, counted)
    return p, row_scale(softmax_total(scores, frac, counted))


def causal(rows: int, cols: int, valid: int) -> Mask:
    """The mask [rows, cols] of SOFTMAX with CAUSAL: element (r, c) counts if ``c < valid + r``. Exact."""
    mask: Mask = np.arange(cols) < valid + np.arange(rows)[:, None]
    return mask
