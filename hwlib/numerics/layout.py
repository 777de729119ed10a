"""The memory layout of a matrix: tile-major words.

A local word holds T rows by D columns of bytes: byte ``r*D + d`` is row r, column d. A matrix
[M, K] is ceil(M/T) row-blocks of ceil(K/D) words; row-blocks follow each other. The same bytes
serve as either GEMM operand, because the array's tile is square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def pack(matrix: NDArray[np.int64], tile: int, dot: int) -> bytes:
    """Bytes of int8 `matrix` [m, k] in tile-major words, padded with zeros to whole words. Exact."""
    m, k = matrix.shape
    padded = np.zeros((-(-m // tile) * tile, -(-k // dot) * dot), dtype=np.int8)
    padded[:m, :k] = matrix
    return padded.reshape(padded.shape[0] // tile, tile, -1, dot).transpose(0, 2, 1, 3).tobytes()


def unpack(data: bytes, rows: int, cols: int, tile: int, dot: int) -> NDArray[np.int64]:
    """The int8 matrix [rows, cols] (as int64) held in `data`, which may include padding: :func:`pack` undone, exact."""
    blocks, words = -(-rows // tile), -(-cols // dot)
    array = np.frombuffer(data[: blocks * words * tile * dot], dtype=np.int8)
    full = array.reshape(blocks, words, tile, dot).transpose(0, 2, 1, 3).reshape(blocks * tile, words * dot)
    return full[:rows, :cols].astype(np.int64)
