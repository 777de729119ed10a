"""Activation by table: 256 entries, exact by construction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]

TABLE_ENTRIES = 256


def apply_table(x: Int, table: Int) -> Int:
    """``table[x & 0xff]`` of int8 `x`; `table` [256] int8 is indexed by the value's unsigned byte. Exact."""
    found: Int = np.asarray(table, dtype=np.int64)[x & 0xFF]
    return found


def gelu_table(in_scale: float, out_scale: float, in_zero: int = 0, out_zero: int = 0) -> Int:
    """The 256-entry GELU (exact, by erf) table between two int8 scales.

    Error at most half an output unit before saturation.
    """
    byte = np.arange(TABLE_ENTRIES)
    x = (np.where(byte > 127, byte - 256, byte) - in_zero) * in_scale
    y = 0.5 * x * (1 + np.array([math.erf(v / math.sqrt(2)) for v in x]))
    table: Int = np.clip(np.floor(y / out_scale + 0.5).astype(np.int64) + out_zero, -128, 127)
    return table
