"""Prefill and decode steps of a decoder: windows of rows of its integer graph, with keys and values in caches.

A graph of as many rows as the longest text is quantized once; its windows share weights, scales and caches, so a text
gives the same bits whether its rows are computed together or one by one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from mfm.compress.integer import (
    IntegerGraph,
    QAdd,
    QAttention,
    QCache,
    QConst,
    QGemm,
    QHead,
    QHost,
    QInput,
    QMul,
    QOp,
    QRope,
    operands,
    shape_of,
)

Int = NDArray[np.int64]


def window(graph: IntegerGraph, past: int, rows: int) -> IntegerGraph:
    """Rows past.. of a causal `graph`, `rows` of them; the rows before are in the caches.

    Its inputs are those of the rows alone. Slots are named as the tensors of keys and values in `graph`.
    Raises InputError for a graph that is not causal, one whose host makes rows of other rows, or rows beyond its end.
    """
    capacity = max(op.rows for op in graph.inputs)
    if past < 0 or rows < 1 or past + rows > capacity:
        raise InputError(f"rows {past} to {past + rows}", graph.name, f"it has {capacity}")
    sliced = {name for op in graph.ops for name in _beside(op)}
    ops: list[QOp] = []
    for op in graph.ops:
        if isinstance(op, QAttention):
            ops += _cached(graph, op, past, rows, ops, capacity)
        elif isinstance(op, QConst):
            ops.append(replace(op, values=op.values[past : past + rows]) if op.out in sliced else op)
        elif isinstance(op, QInput):
            ops.append(replace(op, rows=rows, gather=op.gather[: rows * op.cols]))
        elif isinstance(op, QHost):
            ops.append(_on_host(op, past, rows))
        else:
            ops.append(replace(op, rows=rows))  # type: ignore[arg-type,call-arg,unused-ignore]
    return IntegerGraph(f"{graph.name}-{past}+{rows}", tuple(ops), graph.output, graph.output_scale)


def prefill(graph: IntegerGraph, rows: int, table: Int | None = None) -> IntegerGraph:
    """The first `rows` rows of a causal `graph`, no further than its caches need; its output is of no use.

    table: where its input's rows are looked up, as in :func:`looked_up`.
    """
    whole = window(graph, 0, rows) if table is None else looked_up(window(graph, 0, rows), table)
    last = next((op for op in reversed(whole.ops) if isinstance(op, QAttention)), None)
    reader = next((op for op in whole.ops if isinstance(op, QGemm) and last is not None and op.a == last.out), None)
    if reader is None:
        raise InputError("no attention before a linear layer", graph.name, "use the whole graph")
    wanted, kept = {reader.out}, list[QOp]()
    for op in reversed(whole.ops):
        if op.out in wanted:
            kept.append(op)
            wanted.update(operands(op))
    return IntegerGraph(whole.name, tuple(reversed(kept)), reader.out, 1.0)


def step(graph: IntegerGraph, past: int, table: Int) -> IntegerGraph:
    """Row `past` of a causal `graph`, its input looked up in `table`."""
    return looked_up(window(graph, past, 1), table)


def looked_up(graph: IntegerGraph, table: Int) -> IntegerGraph:
    """`graph` with rows of `table` [any, cols] (int8), a token's embedding each, as its input; given are their numbers.

    In memory there is one table for all graphs that are given the same one.
    """
    ops = tuple(replace(op, table=table, gather=()) if isinstance(op, QInput) else op for op in graph.ops)
    return replace(graph, ops=ops)


def _on_host(op: QHost, past: int, rows: int) -> QHost:
    if not op.rowwise:
        raise InputError("the host computes rows of each other", op.where, "use the whole graph")
    return replace(op, window=(past, rows))


def _beside(op: QOp) -> tuple[str, ...]:
    """The operands that are read row by row beside another."""
    if isinstance(op, (QAdd, QMul)):
        return op.a, op.b
    return (op.angles,) if isinstance(op, QRope) else ()


def _cached(
    graph: IntegerGraph, op: QAttention, past: int, rows: int, before: list[QOp], capacity: int
) -> tuple[QOp, ...]:
    """The attention of a window, after the caches it reads."""
    if not op.causal or shape_of(graph.op(op.heads[0].k), graph)[0] != capacity:
        raise InputError("attention that is not causal has no decode steps", op.out, "use the whole graph")
    known = {made.out for made in before if isinstance(made, QCache)}
    names = dict.fromkeys(name for head in op.heads for name in (head.k, head.v))
    new = [name for name in names if f"{name}.cache" not in known]
    caches = [QCache(f"{name}.cache", name, name, past, capacity, op.bits) for name in new]
    heads = tuple(QHead(head.q, f"{head.k}.cache", f"{head.v}.cache") for head in op.heads)
    return *caches, replace(op, heads=heads, rows=rows, past=past)
