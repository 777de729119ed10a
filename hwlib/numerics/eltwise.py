"""Element-wise addition of two tensors of different scales."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics.requantize import RequantParams

Int = NDArray[np.int64]


def add_requantize(a: Int, b: Int, first: RequantParams, second: RequantParams) -> Int:
    """``sat8((a*Ma + b*Mb + bias + 2**(shift-1)) >> shift)`` of int8 `a` and `b`; bias and shift are `first`'s.

    Exact: the error against the real quotient is at most half a unit before saturation.
    """
    total = a.astype(np.int64) * first.mult + b.astype(np.int64) * second.mult + first.bias
    y: Int = np.clip((total + (1 << (first.shift - 1))) >> first.shift, -128, 127)
    return y
