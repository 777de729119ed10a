"""Integer matrix product with the accumulator width of the machine."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

ACC_BITS = 32
K_MAX = 65535
"""Largest K: 65535 * 128 * 128 < 2**31, so a 32-bit accumulator cannot wrap."""


def accumulate(a: Int, b: Int) -> Int:
    """``A . B^T`` of int8 `a` [m, k] and `b` [n, k], exact in int32 (float64 matmul is exact below 2**53)."""
    if a.shape[1] > K_MAX:
        raise ValueError(f"K = {a.shape[1]} exceeds {K_MAX}")
    return (a.astype(np.float64) @ b.astype(np.float64).T).astype(np.int64)
