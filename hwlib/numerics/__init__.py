"""Bit-exact golden arithmetic: the single definition of what every block computes.

All functions take and return numpy integer arrays; each states its error against float64
and `tests/hwlib/test_numerics.py` measures it.
"""

from hwlib.numerics.eltwise import add_requantize
from hwlib.numerics.gemm import accumulate
from hwlib.numerics.layernorm import layernorm, layernorm_normalised
from hwlib.numerics.layout import pack, unpack
from hwlib.numerics.requantize import RequantParams, decode_param, encode_param, quantize_multiplier, requantize
from hwlib.numerics.softmax import EXP2_TABLE, RowScale, softmax, softmax_probabilities
from hwlib.numerics.table import apply_table, gelu_table

__all__ = [
    "EXP2_TABLE",
    "RequantParams",
    "RowScale",
    "accumulate",
    "add_requantize",
    "apply_table",
    "decode_param",
    "encode_param",
    "gelu_table",
    "layernorm",
    "layernorm_normalised",
    "pack",
    "quantize_multiplier",
    "requantize",
    "softmax",
    "softmax_probabilities",
    "unpack",
]
