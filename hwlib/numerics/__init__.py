"""Bit-exact golden arithmetic: the single definition of what every block computes.

All functions take and return numpy integer arrays; each states its error against float64
and `tests/hwlib/test_numerics.py` measures it.
"""

from hwlib.numerics.eltwise import add_requantize, join_planes, mul_requantize, rope, split_planes
from hwlib.numerics.gemm import accumulate
from hwlib.numerics.layernorm import layernorm, layernorm_normalised, rmsnorm
from hwlib.numerics.layout import pack, pack_int4, unpack, unpack_int4, unpack_matrix_int4
from hwlib.numerics.requantize import (
    RequantParams,
    compact_param,
    decode_param,
    encode_param,
    expand_param,
    quantize_multiplier,
    requantize,
    saturate_int4,
)
from hwlib.numerics.softmax import EXP2_TABLE, RowScale, causal, softmax, softmax_probabilities, softmax_total
from hwlib.numerics.table import apply_table, gelu_table

__all__ = [
    "EXP2_TABLE",
    "RequantParams",
    "RowScale",
    "accumulate",
    "add_requantize",
    "apply_table",
    "causal",
    "compact_param",
    "decode_param",
    "encode_param",
    "expand_param",
    "gelu_table",
    "join_planes",
    "layernorm",
    "layernorm_normalised",
    "mul_requantize",
    "pack",
    "pack_int4",
    "quantize_multiplier",
    "requantize",
    "rmsnorm",
    "rope",
    "saturate_int4",
    "softmax",
    "softmax_probabilities",
    "softmax_total",
    "split_planes",
    "unpack",
    "unpack_int4",
    "unpack_matrix_int4",
]
