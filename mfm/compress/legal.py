"""Makes a float graph one that integer arithmetic expresses, around what the host computes.

Identity layers go where an activation or attention needs a linear layer of its own before it: exact, and on the
accelerator. Elements that move within rows, and rotations that more than attention reads, go to the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mfm.models.graph import (
    Activation,
    Attention,
    Columns,
    Gemm,
    Graph,
    Move,
    Op,
    Rope,
    hosts_merged,
    on_host,
    operands,
    pruned,
    shapes_of,
)
from mfm.models.host import Host, joined


def legal(graph: Graph) -> Graph:
    """`graph` computing the same, without what a quantizer refuses for want of a linear layer or of a way to move."""
    for change in (_moves_on_host, _rotations_on_host, _layers_before_activations, _layers_before_attention):
        graph = pruned(change(graph))
    return hosts_merged(graph)


def _moves_on_host(graph: Graph) -> Graph:
    shapes = shapes_of(graph)
    ops = [
        on_host(op, graph, shapes) if isinstance(op, Move) and not whole_rows(op, shapes[op.a][1]) else op
        for op in graph.ops
    ]
    return replace(graph, ops=tuple(ops))


def whole_rows(op: Move, width: int) -> bool:
    """Whether the move is of whole rows of `width` elements put side by side."""
    if op.gather.shape[1] % width:
        return False
    pieces = op.gather.reshape(len(op.gather), -1, width)
    return bool((pieces == pieces[:, :, :1] // width * width + np.arange(width)).all())


def _rotations_on_host(graph: Graph) -> Graph:
    """Rotations of something other than a linear layer, and those that something other than attention reads."""
    shapes, made = shapes_of(graph), {op.out: op for op in graph.ops}
    hosts, ops = dict[str, Host](), list[Op]()
    for op in graph.ops:
        if isinstance(op, Rope) and not (isinstance(made[op.a.name], Gemm) and _only_attention_reads(op.out, graph)):
            hosts[op.out] = op = on_host(op, graph, shapes)
        elif isinstance(op, Host):
            op = joined(op, hosts)
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def _only_attention_reads(name: str, graph: Graph) -> bool:
    readers = [op for op in graph.ops if name in operands(op)]
    return name != graph.output and all(isinstance(op, Attention) for op in readers)


def _layer(graph: Graph, name: str) -> Gemm:
    """An identity layer of tensor `name`."""
    rows, cols = shapes_of(graph)[name]
    return Gemm(f"{name}.same", name, rows, np.eye(cols), np.zeros(cols))


def _layers_before_activations(graph: Graph) -> Graph:
    made = {op.out: op for op in graph.ops}
    ops: list[Op] = []
    for op in graph.ops:
        if isinstance(op, Activation):
            source = made[op.a]
            alone = sum(op.a in operands(later) for later in graph.ops) == 1 and op.a != graph.output
            if not isinstance(source, Gemm):
                ops.append(replace(_layer(graph, op.a), out=f"{op.out}.before"))
                op = replace(op, a=f"{op.out}.before")
            elif not alone:
                ops.append(replace(source, out=f"{op.out}.before"))
                op = replace(op, a=f"{op.out}.before")
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def _layers_before_attention(graph: Graph) -> Graph:
    made, known = {op.out: op for op in graph.ops}, set[str]()
    ops: list[Op] = []
    for op in graph.ops:
        if isinstance(op, Attention):
            for name in operands(op):
                if not isinstance(made[name], (Gemm, Rope)) and name not in known:
                    known.add(name)
                    ops.append(_layer(graph, name))
            op = _reading(op, lambda name: f"{name}.same" if name in known else name)
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def _reading(op: Attention, named: Callable[[str], str]) -> Attention:
    """`op` of tensors called otherwise."""

    def other(part: Columns) -> Columns:
        return replace(part, name=named(part.name))

    return replace(
        op, heads=tuple(replace(head, q=other(head.q), k=other(head.k), v=other(head.v)) for head in op.heads)
    )
