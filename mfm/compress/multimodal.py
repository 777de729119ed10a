"""A vision-language model's integer graphs joined: pixels and a prompt's rows in, caches filled, in one program.

The image's embeddings stay on the accelerator: they are put among the text's rows there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from hwlib.errors import InputError
from hwlib.numerics import RequantParams, quantize_multiplier
from mfm.compress.integer import IntegerGraph, QAdd, QAttention, QConst, QHead, QHost, QInput, QMul, QOp, shape_of
from mfm.compress.selection import selection

VISION = "vision."
TEXT = "text"
UNCHANGED = RequantParams(1 << 14, 0, 14)


def joined(vision: IntegerGraph, prompt: IntegerGraph, at: int) -> IntegerGraph:
    """`prompt`, the graph of a prompt's rows, its rows from `at` on being the output rows of `vision`.

    Inputs: those of `vision` under VISION before their names, and TEXT, the prompt's rows, where the image's are zeros
    (or, if they are looked up in a table, the number of a row of zeros).
    Raises InputError where the rows or the widths do not fit.
    """
    (source,) = prompt.inputs
    image, width = shape_of(vision.op(vision.output), vision)
    if width != source.cols or not 0 <= at <= source.rows - image:
        raise InputError(
            f"{image} rows of {width} from row {at} on", prompt.name, f"it has {source.rows} of {source.cols}"
        )
    ops = [_renamed(op, lambda name: VISION + name) for op in vision.ops]
    ops += _placed(VISION + vision.output, source, image, at, vision.output_scale)
    ops += [op for op in prompt.ops if op is not source]
    return IntegerGraph(f"{vision.name}+{prompt.name}", tuple(ops), prompt.output, prompt.output_scale)


def _placed(name: str, source: QInput, image: int, at: int, scale: float) -> list[QOp]:
    """The prompt's rows: those of the text, and at their place those of the image, of the text's scale."""
    inside = (np.arange(source.rows) >= at) & (np.arange(source.rows) < at + image)
    chosen = np.where(inside, np.arange(source.rows) - at, 0)[:, None]
    ones = np.repeat(inside[:, None], source.cols, axis=1).astype(np.int64)
    ratio = scale / source.scale
    shift = quantize_multiplier(max(1.0, ratio))[1]
    first, second = (RequantParams(round(part * 2**shift), 0, shift) for part in (1.0, ratio))
    return [
        *selection("image.spread", name, chosen, image),
        QConst("image.rows", ones),
        QMul("image.embeddings", "image.spread", "image.rows", source.rows, UNCHANGED),
        replace(source, out=TEXT),
        QAdd(source.out, TEXT, "image.embeddings", source.rows, first, second),
    ]


def _renamed(op: QOp, name: Callable[[str], str]) -> QOp:
    """The op with every tensor called otherwise; caches keep their slots."""
    if isinstance(op, QAttention):
        heads = tuple(QHead(name(head.q), name(head.k), name(head.v)) for head in op.heads)
        return replace(op, out=name(op.out), heads=heads)
    if isinstance(op, QHost):
        return replace(op, out=name(op.out), reads=tuple(name(read) for read in op.reads))
    named: dict[str, Any] = {field: name(getattr(op, field)) for field in ("out", "a", "b", "angles", "new")
                             if hasattr(op, field)}  # fmt: skip
    return replace(op, **named)
