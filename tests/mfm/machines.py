"""Machine shapes and tiny graphs the tests share."""

from __future__ import annotations

from hwlib.design import Manifest
from mfm.compress.integer import IntegerGraph
from mfm.workloads import BlockShape, encoder_block


def machine(**parameters: int) -> Manifest:
    """A small machine, T=4 D=4 with 256 words, with `parameters` replaced."""
    sizes = {"T": 4, "D": 4, "WORDS": 256, "BANKS": 4, "MATRIX_PARAMS": 128, "VECTOR_PARAMS": 128, "ROW_SCALES": 16}
    return Manifest(name="tiny", parameters=sizes | parameters, clock_ns=1.0)


def block(seq: int = 6, width: int = 8, heads: int = 2, ff: int = 12, seed: int = 0) -> IntegerGraph:
    """An encoder block with random weights."""
    return encoder_block(BlockShape(seq, width, heads, ff), seed)
