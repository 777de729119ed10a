"""Whole rows picked and put side by side: attention whose scores are constants and pick one row each, exactly."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hwlib.numerics import RequantParams, quantize_multiplier
from mfm.compress.integer import QAttention, QConst, QHead, QOp

Int = NDArray[np.int64]

ONE = 127
OCTAVES = 32
"""Score units between a row that agrees in every digit and one that does not in one: 8 octaves, at FRAC bits."""
FRAC = 2


def selection(out: str, source: str, chosen: Int, tokens: int) -> list[QOp]:
    """Ops that make `out`: of the `tokens` rows of `source`, row chosen[r, p] as piece p of row r.

    Rows are told apart by the signs of their number's binary digits: where those of query and key agree the score
    is 127, elsewhere at most 63, which is 16 octaves below.
    """
    digits = max(1, (tokens - 1).bit_length())
    code = np.where(np.arange(tokens)[:, None] >> np.arange(digits) & 1, ONE, -ONE).astype(np.int64)
    ops: list[QOp] = [QConst(f"{out}.keys", code)]
    heads = []
    for piece in range(chosen.shape[1]):
        ops.append(QConst(f"{out}.queries{piece}", code[chosen[:, piece]]))
        heads.append(QHead(f"{out}.queries{piece}", f"{out}.keys", source))
    mult, shift = quantize_multiplier(OCTAVES / ONE**2)
    score = RequantParams(mult, round(math.ldexp(float(ONE - OCTAVES * digits), shift)), shift)
    return [*ops, QAttention(out, tuple(heads), len(chosen), score, FRAC, 0)]
