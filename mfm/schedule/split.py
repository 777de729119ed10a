"""Splits a graph where the host computes: graphs for the accelerator, and host operations, in the order to run them.

Every op is in the first graph that can hold it; a cache with the attention that reads it. Inputs and constants are in
each graph that reads them. What crosses a cut is an int8 output of one graph and an input of others.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from mfm.compress.integer import (
    IntegerGraph,
    QAttention,
    QCache,
    QConst,
    QGemm,
    QHost,
    QInput,
    QOp,
    given,
    operands,
    shape_of,
)

Int = NDArray[np.int64]
Execute = Callable[[IntegerGraph, Mapping[str, Int]], Mapping[str, Int]]
"""Runs a graph without host operations: its outputs by name."""

UNIT_SHIFT = 14
"""A copy multiplies by 2**UNIT_SHIFT and shifts it out again."""


@dataclass(frozen=True)
class Segment:
    """A graph without host operations; crossing: the tensors of the whole graph that its outputs are, in order."""

    graph: IntegerGraph
    crossing: tuple[str, ...]


@dataclass(frozen=True)
class Split:
    """The parts of `graph` in the order in which they run."""

    graph: IntegerGraph
    parts: tuple[Segment | QHost, ...]

    @cached_property
    def _hosts_read(self) -> frozenset[str]:
        """What the host reads."""
        return frozenset(name for part in self.parts if isinstance(part, QHost) for name in part.reads)

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(part for part in self.parts if isinstance(part, Segment))

    def run(self, inputs: Mapping[str, Int], execute: Execute) -> Int:
        """The output of the graph, its segments run by `execute`."""
        values = {op.out: given(op, inputs[op.out]) for op in self.graph.inputs if op.out in self._hosts_read}
        values |= {op.out: op.values for op in self.graph.ops if isinstance(op, QConst)}
        for part in self.parts:
            if isinstance(part, QHost):
                values[part.out] = part.run(values)
                continue
            fed = {op.out: inputs[op.out] if op.out in inputs else values[op.out] for op in part.graph.inputs}
            made = execute(part.graph, fed)
            values |= {name: made[out] for name, out in zip(part.crossing, part.graph.outputs, strict=True)}
        return values[self.graph.output]


def split(graph: IntegerGraph) -> Split:
    """The parts of `graph`; a graph without host operations is its only part.

    Raises InputError where an int16 tensor or a cache would have to cross a cut.
    """
    if not graph.hosts:
        return Split(graph, (Segment(graph, graph.outputs),))
    stages = _stages(graph)
    parts: list[Segment | QHost] = []
    for stage in range(max(stages.values()) + 1):
        parts += [op for op in graph.hosts if stages[op.out] == stage]
        own = [op for op in graph.ops if stages[op.out] == stage and not isinstance(op, (QInput, QConst, QHost))]
        if own:
            parts.append(_segment(graph, stage, own, stages))
    return Split(graph, tuple(parts))


def _stages(graph: IntegerGraph) -> dict[str, int]:
    """For each tensor, after how many rounds of host operations it is made."""
    stages: dict[str, int] = {}
    for op in graph.ops:
        stages[op.out] = max((stages[name] for name in operands(op)), default=0) + isinstance(op, QHost)
    for op in graph.ops:
        if isinstance(op, QCache):
            stages[op.out] = max((stages[o.out] for o in graph.ops if op.out in operands(o)), default=stages[op.out])
    return stages


def _segment(graph: IntegerGraph, stage: int, own: Sequence[QOp], stages: Mapping[str, int]) -> Segment:
    here = {op.out for op in own}
    read = dict.fromkeys(name for op in own for name in operands(op) if name not in here)
    ops = [_brought(graph, graph.op(name)) for name in read] + list(own)
    later = {name for op in graph.ops if op.out not in here for name in operands(op)} | set(graph.outputs)
    crossing = tuple(op.out for op in own if op.out in later)
    copies = {name: _copy(graph, name) for name in crossing if isinstance(graph.op(name), QAttention)}
    outputs = [copies[name].out if name in copies else name for name in crossing]
    scale = graph.output_scale if crossing[-1] == graph.output else 1.0
    name = f"{graph.name}.{stage}"
    made = IntegerGraph(name, (*ops, *copies.values()), outputs[-1], scale, tuple(outputs[:-1]))
    return Segment(made, (crossing[-1], *crossing[:-1]))


def _brought(graph: IntegerGraph, op: QOp) -> QOp:
    """What a segment reads of others: as it is, or an input."""
    if isinstance(op, (QInput, QConst)):
        return op
    if isinstance(op, QCache) or graph.is_wide(op.out):
        what = "a cache" if isinstance(op, QCache) else "a 16-bit sum"
        raise InputError(f"{what} is read behind an operation of the host", op.out, "quantize it to int8 before")
    return QInput(op.out, *shape_of(op, graph), 1.0)


def _copy(graph: IntegerGraph, name: str) -> QGemm:
    """A product with the identity: the heads' columns without the padding that only a linear layer can skip."""
    rows, cols = shape_of(graph.op(name), graph)
    one = np.ones(cols, dtype=np.int64)
    unit = np.eye(cols, dtype=np.int64)
    return QGemm(f"{name}.joined", name, rows, unit, one << UNIT_SHIFT, 0 * one, UNIT_SHIFT * one, None, 4)
