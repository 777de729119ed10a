"""Base-2 softmax with deferred normalisation (Softermax, Stevens et al. 2021; ITA, Islamoglu et al. 2023).

Scores arrive as int8 in units of ``2**-frac`` octaves: the requantizer before it has already
multiplied by ``log2(e)/sqrt(head_dim)``. Probabilities leave unnormalised, relative to the row
maximum; the reciprocal of their sum is applied by the requantizer after the product with V.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

TABLE_BITS = 5
EXP2_TABLE = tuple(round(32768 * 2 ** (-i / 32)) for i in range(1 << TABLE_BITS))
"""``EXP2_TABLE[i] = round(2**15 * 2**(-i/32))``, unsigned 16 bits."""
P_MAX = 127


@dataclass(frozen=True)
class RowScale:
    """Per-row multiplier (int16, positive) and shift that divide by the row's sum."""

    mult: Int
    shift: Int


def softmax_probabilities(scores: Int, frac: int, counted: NDArray[np.bool_] | None = None) -> Int:
    """Unnormalised probabilities, 0..127, of `scores` [rows, cols] (int8) with `frac` in 2..5.

    ``t = max - x; u = t << (5 - frac); e = EXP2_TABLE[u & 31] >> (u >> 5); p = min(127, (e + 128) >> 8)``.
    Elements that are not `counted` [rows, cols] are left out of the maximum m and get p = 0.
    Against ``128 * 2**(-t / 2**frac)``: error 1 at the row's maximum, at most 0.5 + 2**-9 elsewhere.
    """
    top = np.where(counted, scores, -128) if counted is not None else scores
    u = np.maximum(top.max(axis=1, keepdims=True) - scores, 0) << (TABLE_BITS - frac)
    e = np.asarray(EXP2_TABLE, dtype=np.int64)[u & 31] >> (u >> TABLE_BITS)
    p: Int = np.minimum(P_MAX, (e + 128) >> 8)
    return p if counted is None else p * counted


def row_scale(total: Int) -> RowScale:
    """Reciprocal of `total` (row sums, 127..2**19): ``mult = min(32767, floor(2**(L+15)/total))``, ``shift = L+15``.

    L is floor(log2(total)). Relative error below 2**-14.
    """
    level = np.array([int(t).bit_length() - 1 for t in total.ravel()], dtype=np.int64).reshape(total.shape)
    return RowScale(np.minimum(32767, (np.int64(1) << (level + 15)) // total), level + 15)


def softmax(scores: Int, frac: int, counted: NDArray[np.bool_] | None = None) -> tuple[Int, RowScale]:
    """Probabilities [rows, cols] (0..127) and the row scales [rows], of the `counted` elements (None: all; else some).

    After normalisation, against the float64 probability q of the same int8 scores in a row of n columns:
    error at most ``(0.71 * (1 + (n-2)*q) + 2**-14 * p) / sum(p)``. The part in n is the error of the sum: columns
    more than 8 octaves below the maximum count as 0, so one maximum over 4095 of them may get 1 where q is 0.06.
    """
    p = softmax_probabilities(scores, frac, counted)
    return p, row_scale(p.sum(axis=1))


def causal(rows: int, cols: int, valid: int) -> NDArray[np.bool_]:
    """The mask [rows, cols] of SOFTMAX with CAUSAL: element (r, c) counts if ``c < valid + r``. Exact."""
    mask: NDArray[np.bool_] = np.arange(cols) < valid + np.arange(rows)[:, None]
    return mask
