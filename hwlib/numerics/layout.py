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


def pack_int4(matrix: NDArray[np.int64], tile: int, dot: int) -> bytes:
    """Bytes of int4 `matrix` [n, k] (-8..7): pairs of words along K, first in low nibbles. Exact."""
    n, k = matrix.shape
    padded = np.zeros((-(-n // tile) * tile, -(-k // (2 * dot)) * 2 * dot), dtype=np.int8)
    padded[:n, :k] = matrix
    words = padded.reshape(padded.shape[0] // tile, tile, -1, 2, dot).transpose(3, 0, 2, 1, 4) & 15
    packed: bytes = (words[0] | words[1] << 4).astype(np.uint8).tobytes()
    return packed


def unpack_matrix_int4(data: bytes, rows: int, cols: int, tile: int, dot: int) -> NDArray[np.int64]:
    """The int4 matrix [rows, cols] (as int64) in `data`, which may include padding: :func:`pack_int4` undone, exact."""
    blocks, words = -(-rows // tile), -(-cols // (2 * dot))
    packed = np.frombuffer(data[: blocks * words * tile * dot], dtype=np.uint8).astype(np.int64)
    pairs = unpack_int4(packed.reshape(blocks, words, tile, dot)).reshape(blocks, 2 * words, tile, dot)
    return pairs.transpose(0, 2, 1, 3).reshape(blocks * tile, 2 * words * dot)[:rows, :cols]


def unpack_int4(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """The pair of int8 words [..., 2, T, D] in each int4 word [..., T, D]. Exact."""
    low, high = words & 15, words >> 4 & 15
    both = np.stack([low, high], axis=-3)
    signed: NDArray[np.int64] = both - ((both & 8) << 1)
    return signed
