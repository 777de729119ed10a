"""The graph that is being imported: ops so far, and how matrices are read out of views of their results."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.fx import Node

from mfm.models.graph import (
    Add,
    Constant,
    Float,
    Gemm,
    Input,
    LayerNorm,
    Move,
    Op,
    RmsNorm,
)
from mfm.models.values import SAMPLE, Unsupported, View

Index = np.ndarray[Any, np.dtype[np.int64]]


@dataclass
class Builder:
    """Ops and the shapes of their results; node: the one whose rule is running, after which a result is named."""

    node: Node
    ops: list[Op] = field(default_factory=list)
    shapes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def new(self, op: Op, rows: int, cols: int) -> View:
        """The result of `op`, [rows, cols], in the shape of the node."""
        self.ops.append(op)
        self.shapes[op.out] = (rows, cols)
        shape = tuple(self.node.meta["val"].shape)
        if math.prod(shape) != rows * cols:
            raise Unsupported("only a batch of one sample is imported")
        return View(op.out, torch.arange(rows * cols).view(shape))

    def matrix(self, view: Any) -> tuple[str, int, Index]:
        """(tensor, rows, columns): `view` as the first rows of a tensor, some of its columns."""
        if not isinstance(view, View):
            raise Unsupported("attention scores are used outside attention")
        index = view.index.reshape(-1, view.index.shape[-1]).numpy()
        if view.base == SAMPLE:
            return self.gathered(view, index), index.shape[0], np.arange(index.shape[1])
        if view.fill is not None:
            return self.with_rows(view, index), index.shape[0], np.arange(index.shape[1])
        width = self.shapes[view.base][1]
        rows, columns = index // width, index % width
        if (columns != columns[:1]).any() or (rows != np.arange(len(rows))[:, None]).any():
            return self.moved(view.base, index), index.shape[0], np.arange(index.shape[1])
        return view.base, len(rows), columns[0]

    def moved(self, base: str, index: Index) -> str:
        """A tensor of the elements `index` of `base`."""
        for op in self.ops:
            if isinstance(op, Move) and op.a == base and np.array_equal(op.gather, index):
                return op.out
        name = f"{base}_moved{len(self.ops)}"
        self.ops.append(Move(name, base, index.copy()))
        self.shapes[name] = (index.shape[0], index.shape[1])
        return name

    def whole(self, view: Any) -> str:
        """The tensor that `view` shows row by row with every column in place."""
        name, rows, columns = self.matrix(view)
        cols = self.shapes[name][1]
        if len(columns) != cols or (columns != np.arange(cols)).any():
            if self.node.op == "output":
                raise Unsupported("only some columns are returned")
            index = np.arange(rows)[:, None] * cols + columns
            name = self.moved(name, index)
        if rows != self.shapes[name][0] and self.node.op == "output":
            raise Unsupported("only some rows are returned")
        factor = view.single()
        return name if factor == 1.0 else self.times(name, factor)

    def times(self, name: str, factor: float) -> str:
        """Tensor `name` times `factor`, made where it is made."""
        made = next(op for op in self.ops if op.out == name)
        out = f"{name}_times{len(self.ops)}"
        if isinstance(made, Input):
            scaled: Op = replace(made, out=out, factor=made.factor * factor)
        elif isinstance(made, Gemm):
            scaled = replace(made, out=out, weight=made.weight * factor, bias=made.bias * factor)
        elif isinstance(made, RmsNorm):
            scaled = replace(made, out=out, gamma=made.gamma * factor)
        elif isinstance(made, LayerNorm):
            scaled = replace(made, out=out, gamma=made.gamma * factor, beta=made.beta * factor)
        else:
            raise Unsupported("a scaled value is used other than in a product")
        self.ops.append(scaled)
        self.shapes[out] = self.shapes[name]
        return out

    def gathered(self, view: View, index: Index) -> str:
        """The input whose elements are `index` of the sample."""
        if view.fill is not None and bool((view.fill.reshape(index.shape)[torch.tensor(index < 0)] != 0).any()):
            raise Unsupported("constants are joined to the input other than after a linear layer")
        for op in self.ops:
            if isinstance(op, Input) and op.gather.shape == index.shape and (op.gather == index).all():
                return op.out
        name = f"input{len([op for op in self.ops if isinstance(op, Input)])}"
        self.ops.append(Input(name, index.copy()))
        self.shapes[name] = (index.shape[0], index.shape[1])
        return name

    def with_rows(self, view: View, index: Index) -> str:
        """A linear layer of the input with constant rows between its rows.

        The layer computes them as rows of zeros, whose result is its bias; the difference is added as a constant.
        """
        base = next(op for op in self.ops if op.out == view.base)
        source = next((op for op in self.ops if isinstance(base, Gemm) and op.out == base.a), None)
        if not isinstance(base, Gemm) or not isinstance(source, Input) or view.fill is None:
            raise Unsupported("constants are joined to something other than a linear layer of the input")
        width = base.weight.shape[0]
        whole = np.asarray((index >= 0).all(axis=1))
        rows = index[whole] // width
        if (
            (index[whole] % width != np.arange(width)).any()
            or (rows != rows[:, :1]).any()
            or (index[~whole] >= 0).any()
        ):
            raise Unsupported("constants are joined within rows")
        gather = np.full((len(index), source.gather.shape[1]), -1, dtype=np.int64)
        gather[whole] = source.gather[rows[:, 0]]
        fill = np.where(whole[:, None], 0.0, view.fill.double().reshape(index.shape).numpy() - base.bias)
        name, joined = self.gathered(View(SAMPLE, torch.tensor(gather)), gather), f"{base.out}_rows"
        self.ops.append(Gemm(joined, name, len(index), base.weight, base.bias))
        self.shapes[joined] = (len(index), width)
        return self.plus(joined, fill, f"{base.out}_joined")

    def plus(self, name: str, values: Float, out: str) -> str:
        """``name + values``; constants added one after the other become one."""
        last = next(op for op in self.ops if op.out == name)
        known = next((op for op in self.ops if isinstance(last, Add) and op.out == last.b), None)
        if isinstance(last, Add) and isinstance(known, Constant):
            return self.plus(last.a, known.values + values, out)
        rows, cols = values.shape
        self.ops += [Constant(f"{out}_constant", values), Add(out, name, f"{out}_constant", rows)]
        self.shapes[out] = (rows, cols)
        return out
