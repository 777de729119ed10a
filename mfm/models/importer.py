"""Imports a torch module through `torch.export`: ATen nodes, whatever modules made them, become the graph IR.

Data movement (view, permute, select, cat ...) is not matched but executed: a value is a base tensor and an array
saying which of its elements stands where, and a movement node runs on that array. What an operator then reads is
seen from the indices alone, so any way of splitting heads or cutting patches imports.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import Node

from hwlib.errors import InputError
from mfm.models.graph import (
    Add,
    Attention,
    AttentionHead,
    Columns,
    Constant,
    Gelu,
    Gemm,
    Graph,
    Input,
    LayerNorm,
    Op,
)

aten = torch.ops.aten

MOVEMENT = {
    aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.transpose.int, aten.permute.default,
    aten.t.default, aten.expand.default, aten.select.int, aten.slice.Tensor, aten.unsqueeze.default,
    aten.squeeze.dim, aten.squeeze.default, aten.squeeze.dims, aten.flatten.using_ints, aten.unflatten.int,
    aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int, operator.getitem,
    aten.contiguous.default, aten.clone.default, aten.alias.default, aten.detach.default,
}  # fmt: skip
IDENTITY = {aten.dropout.default, aten.to.dtype, aten._to_copy.default, aten.lift_fresh_copy.default}
TORCH = str(Path(torch.__file__).parent)
SAMPLE = ""
"""Base name of views of the model's input."""


class Unsupported(Exception):
    """Why a node cannot be imported; the importer adds which node and its source line."""


@dataclass(frozen=True)
class View:
    """Elements of tensor `base`: index holds flat positions, or -1 where the value is that of `fill` (0 if None)."""

    base: str
    index: Tensor
    fill: Tensor | None = None
    factor: float = 1.0


@dataclass(frozen=True)
class Scores:
    """q . k^T * scale, and whether its softmax has been taken."""

    q: View
    k: View
    scale: float
    normalised: bool = False


def import_model(module: nn.Module, example: Tensor, name: str) -> Graph:
    """The graph of `module` for one sample shaped like `example` [1, ...].

    Raises InputError naming the node and the source line of anything that is not a supported transformer operation.
    """
    with torch.no_grad():
        exported = torch.export.export(module.eval(), (example,), strict=False)
    return _Importer(exported, name).run()


def _location(node: Node) -> str:
    """``file:line`` of the code that made `node`: the caller's, where torch's own module wraps the operation."""
    found = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    found = [place for place in found if not place[0].startswith(TORCH)] or found
    return f"{found[-1][0]}:{found[-1][1]}" if found else node.name


class _Importer:
    def __init__(self, exported: torch.export.ExportedProgram, name: str) -> None:
        self.exported, self.name = exported, name
        self.ops: list[Op] = []
        self.shapes: dict[str, tuple[int, int]] = {}
        self.values: dict[Node, Any] = {}
        self.rules: dict[Any, Callable[..., Any]] = {
            aten.linear.default: self._linear,
            aten.addmm.default: lambda bias, x, weight: self._linear(x, weight.t(), bias),
            aten.mm.default: lambda x, weight: self._matmul(x, weight),
            aten.matmul.default: self._matmul,
            aten.bmm.default: self._matmul,
            aten.conv2d.default: self._patches,
            aten.layer_norm.default: self._layer_norm,
            aten.gelu.default: self._gelu,
            aten.add.Tensor: self._add,
            aten.mul.Tensor: lambda x, y: self._scaled(x, y, 1),
            aten.div.Tensor: lambda x, y: self._scaled(x, y, -1),
            aten.softmax.int: self._softmax,
            aten._softmax.default: lambda x, dim, _half: self._softmax(x, dim),
            aten.scaled_dot_product_attention.default: self._sdpa,
            aten.cat.default: self._cat,
        }

    def run(self) -> Graph:
        state = dict(self.exported.state_dict) | dict(self.exported.constants)
        signature = self.exported.graph_signature
        held = (
            signature.inputs_to_parameters | signature.inputs_to_buffers | signature.inputs_to_lifted_tensor_constants
        )
        for node in self.exported.graph.nodes:
            if node.op == "placeholder" and node.name in held:
                self.values[node] = state[held[node.name]].detach()
            elif node.op == "placeholder":
                shape = node.meta["val"].shape
                self.values[node] = View(SAMPLE, torch.arange(math.prod(shape)).view(shape))
            elif node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "output":
                return self._finish(node)
        raise InputError("the exported graph has no output", self.name)

    def _finish(self, node: Node) -> Graph:
        self.node = node
        result = self.values[node.args[0][0]]  # type: ignore[index]
        try:
            output = self._whole(result)
        except Unsupported as reason:
            raise InputError(f"output: {reason}", self.name, "return a matrix the graph computes") from None
        return Graph(self.name, tuple(self.ops), output)

    def _call(self, node: Node) -> Any:
        self.node = node
        try:
            args, kwargs = self._resolved(node.args), self._resolved(dict(node.kwargs))
            return self._apply(node.target, args, kwargs)
        except Unsupported as reason:
            raise InputError(
                f"{node.target} (node {node.name}): {reason}", _location(node), "rewrite it with supported operations"
            ) from None

    def _resolved(self, item: Any) -> Any:
        if isinstance(item, Node):
            return self.values[item]
        if isinstance(item, dict):
            return {key: self._resolved(value) for key, value in item.items()}
        return type(item)(self._resolved(v) for v in item) if isinstance(item, (list, tuple)) else item

    def _apply(self, target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        symbolic = [v for v in _flat([*args, *kwargs.values()]) if isinstance(v, (View, Scores))]
        if not symbolic:
            return target(*args, **kwargs)
        if target in IDENTITY:
            return args[0]
        if target in MOVEMENT:
            return self._move(target, args, kwargs)
        if target not in self.rules:
            raise Unsupported("not an operation this stack knows")
        try:
            return self.rules[target](*args, **kwargs)
        except TypeError:
            raise Unsupported("called with options this stack does not know") from None

    def _move(self, target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        subject = args[0]
        if target is operator.getitem and isinstance(subject, (list, tuple)):
            return subject[args[1]]
        if isinstance(subject, Scores):
            return self._kept(subject)
        moved = target(subject.index, *args[1:], **kwargs)
        fill = None if subject.fill is None else target(subject.fill, *args[1:], **kwargs)
        if isinstance(moved, Tensor):
            return replace(subject, index=moved, fill=fill)
        fills = fill if fill is not None else [None] * len(moved)
        return [replace(subject, index=i, fill=f) for i, f in zip(moved, fills, strict=True)]

    def _kept(self, scores: Scores) -> Scores:
        """Scores may be reshaped only by joining or splitting unit and head dimensions."""
        before = self.node.args[0].meta["val"].shape  # type: ignore[union-attr]
        after = self.node.meta["val"].shape
        if before[-2:] != after[-2:] or math.prod(before) != math.prod(after):
            raise Unsupported("attention scores are rearranged")
        return scores

    # Reading matrices out of views

    def _new(self, op: Op, rows: int, cols: int) -> View:
        self.ops.append(op)
        self.shapes[op.out] = (rows, cols)
        shape = tuple(self.node.meta["val"].shape)
        if math.prod(shape) != rows * cols:
            raise Unsupported("only a batch of one sample is imported")
        return View(op.out, torch.arange(rows * cols).view(shape))

    def _matrix(self, view: Any) -> tuple[str, int, np.ndarray[Any, np.dtype[np.int64]]]:
        """(tensor, rows, columns): `view` as the first rows of a tensor, some of its columns."""
        if not isinstance(view, View):
            raise Unsupported("attention scores are used outside attention")
        index = view.index.reshape(-1, view.index.shape[-1]).numpy()
        if view.base == SAMPLE:
            return self._gathered(view, index), index.shape[0], np.arange(index.shape[1])
        if view.fill is not None:
            return self._with_rows(view, index), index.shape[0], np.arange(index.shape[1])
        width = self.shapes[view.base][1]
        rows, columns = index // width, index % width
        if (columns != columns[:1]).any() or (rows != np.arange(len(rows))[:, None]).any():
            raise Unsupported("its operand is not the first rows of a tensor")
        return view.base, len(rows), columns[0]

    def _whole(self, view: Any) -> str:
        """The tensor that `view` shows row by row with every column in place."""
        name, rows, columns = self._matrix(view)
        if view.factor != 1.0:
            raise Unsupported("a scaled value is used other than in a product")
        cols = self.shapes[name][1]
        if len(columns) != cols or (columns != np.arange(cols)).any():
            raise Unsupported("its operand's columns are rearranged")
        if rows != self.shapes[name][0] and self.node.op == "output":
            raise Unsupported("only some rows are returned")
        return name

    def _gathered(self, view: View, index: np.ndarray[Any, np.dtype[np.int64]]) -> str:
        if view.fill is not None and bool((view.fill.reshape(index.shape)[torch.tensor(index < 0)] != 0).any()):
            raise Unsupported("constants are joined to the input other than after a linear layer")
        for op in self.ops:
            if isinstance(op, Input) and op.gather.shape == index.shape and (op.gather == index).all():
                return op.out
        name = f"input{len([op for op in self.ops if isinstance(op, Input)])}"
        self.ops.append(Input(name, index.copy()))
        self.shapes[name] = (index.shape[0], index.shape[1])
        return name

    def _with_rows(self, view: View, index: np.ndarray[Any, np.dtype[np.int64]]) -> str:
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
        self.ops = [op for op in self.ops if op is not base and op is not source]
        name = self._gathered(View(SAMPLE, torch.tensor(gather)), gather)
        self.ops.append(Gemm(base.out, name, len(index), base.weight, base.bias))
        self.shapes[base.out] = (len(index), width)
        return self._plus(base.out, fill, f"{base.out}_joined")

    def _plus(self, name: str, values: np.ndarray[Any, np.dtype[np.float64]], out: str) -> str:
        """``name + values``; constants added one after the other become one."""
        last = next(op for op in self.ops if op.out == name)
        known = next((op for op in self.ops if isinstance(last, Add) and op.out == last.b), None)
        if isinstance(last, Add) and isinstance(known, Constant):
            self.ops = [op for op in self.ops if op is not last and op is not known]
            return self._plus(last.a, known.values + values, out)
        rows, cols = values.shape
        self.ops += [Constant(f"{out}_constant", values), Add(out, name, f"{out}_constant", rows)]
        self.shapes[out] = (rows, cols)
        return out

    # Operators

    def _linear(self, x: View, weight: Any, bias: Any = None) -> View:
        name, rows, columns = self._matrix(x)
        if not isinstance(weight, Tensor) or not (bias is None or isinstance(bias, Tensor)):
            raise Unsupported("its weights are not constant")
        full = np.zeros((weight.shape[0], self.shapes[name][1]))
        np.add.at(full.T, columns, weight.double().numpy().T * x.factor)
        offset = np.zeros(len(full)) if bias is None else bias.double().numpy()
        return self._new(Gemm(self.node.name, name, rows, full, offset), rows, len(full))

    def _matmul(self, x: Any, y: Any) -> Any:
        if isinstance(y, Tensor) and y.dim() == 2:
            return self._linear(x, y.t())
        if isinstance(x, View) and isinstance(y, View):
            return Scores(x, replace(y, index=y.index.transpose(-1, -2)), x.factor * y.factor)
        if isinstance(x, Scores) and x.normalised and isinstance(y, View):
            return self._attention(x.q, x.k, y, x.scale)
        raise Unsupported("a product that is neither a linear layer nor attention")

    def _patches(
        self, x: View, weight: Any, bias: Any = None, stride: Any = (1, 1), padding: Any = (0, 0),
        dilation: Any = (1, 1), groups: int = 1,
    ) -> View:  # fmt: skip
        """A convolution whose kernel equals its stride is a linear layer of patches."""
        kernel = tuple(weight.shape[-2:])
        if tuple(stride) != kernel or any(padding) or tuple(dilation) != (1, 1) or groups != 1:
            raise Unsupported("only convolutions whose stride is their kernel, without padding")
        cut = x.index.unfold(2, kernel[0], kernel[0]).unfold(3, kernel[1], kernel[1])
        patches = cut.permute(0, 2, 3, 1, 4, 5).reshape(cut.shape[2] * cut.shape[3], -1)
        name, rows, columns = self._matrix(replace(x, index=patches))
        flat = weight.flatten(1).double().numpy()
        full = np.zeros((len(flat), self.shapes[name][1]))
        np.add.at(full.T, columns, flat.T * x.factor)
        offset = np.zeros(len(flat)) if bias is None else bias.double().numpy()
        made = self._new(Gemm(self.node.name, name, rows, full, offset), rows, len(full))
        return replace(made, index=torch.arange(rows * len(full)).view(rows, -1).t().reshape(made.index.shape))

    def _layer_norm(
        self,
        x: View,
        shape: Sequence[int],
        weight: Any = None,
        bias: Any = None,
        eps: float = 1e-5,
        _cudnn: bool = False,
    ) -> View:
        name = self._whole(x)
        rows, cols = x.index.numel() // x.index.shape[-1], x.index.shape[-1]
        if tuple(shape) != (cols,):
            raise Unsupported("normalises more than the last dimension")
        gamma = np.ones(cols) if weight is None else weight.double().numpy()
        beta = np.zeros(cols) if bias is None else bias.double().numpy()
        return self._new(LayerNorm(self.node.name, name, rows, gamma, beta, eps), rows, cols)

    def _gelu(self, x: View, approximate: str = "none") -> View:
        if approximate != "none":
            raise Unsupported(f"the approximation '{approximate}'")
        rows, cols = x.index.numel() // x.index.shape[-1], x.index.shape[-1]
        return self._new(Gelu(self.node.name, self._whole(x), rows), rows, cols)

    def _add(self, x: Any, y: Any) -> View:
        if not isinstance(x, View):
            x, y = y, x
        shape = tuple(self.node.meta["val"].shape)
        if not isinstance(x, View) or tuple(x.index.shape) != shape:
            raise Unsupported("it broadcasts a computed value")
        name, rows, cols = self._whole(x), math.prod(shape[:-1]), shape[-1]
        if isinstance(y, View):
            return self._new(Add(self.node.name, name, self._whole(y), rows), rows, cols)
        values = torch.as_tensor(y).double().expand(shape).reshape(rows, cols).numpy()
        self._plus(name, values, self.node.name)
        return View(self.node.name, torch.arange(rows * cols).view(shape))

    def _scaled(self, x: Any, y: Any, power: int) -> Any:
        if not isinstance(x, (View, Scores)) and power == 1:
            x, y = y, x
        if isinstance(y, (View, Scores)) or torch.as_tensor(y).numel() != 1:
            raise Unsupported("a product of two tensors")
        by = float(torch.as_tensor(y)) ** power
        return replace(x, factor=x.factor * by) if isinstance(x, View) else replace(x, scale=x.scale * by)

    def _softmax(self, x: Any, dim: int, dtype: Any = None) -> Scores:
        rank = len(self.node.meta["val"].shape)
        if not isinstance(x, Scores) or x.normalised or dim % rank != rank - 1:
            raise Unsupported("a softmax that is not over attention scores")
        return replace(x, normalised=True)

    def _sdpa(
        self, q: View, k: View, v: View, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> View:  # fmt: skip
        if attn_mask is not None or is_causal or dropout_p or enable_gqa:
            raise Unsupported("masked, causal, grouped or dropped-out attention")
        by = scale if scale is not None else 1 / math.sqrt(q.index.shape[-1])
        return self._attention(q, k, v, by * q.factor * k.factor)

    def _attention(self, q: View, k: View, v: View, scale: float) -> View:
        if v.factor != 1.0:
            raise Unsupported("attention values are scaled")
        heads = tuple(
            AttentionHead(*(self._columns(part, h) for part in (q, k, v))) for h in range(math.prod(q.index.shape[:-2]))
        )
        rows, width = q.index.shape[-2], v.index.shape[-1]
        self.ops.append(Attention(self.node.name, heads, rows, scale))
        self.shapes[self.node.name] = (rows, len(heads) * width)
        index = torch.arange(rows * len(heads) * width).view(rows, len(heads), width).transpose(0, 1)
        return View(self.node.name, index.reshape(self.node.meta["val"].shape))

    def _columns(self, part: View, head: int) -> Columns:
        """Head `head` of queries, keys or values [.., heads, tokens, head_dim]."""
        name, _, columns = self._matrix(replace(part, index=part.index.flatten(0, -3)[head]))
        return Columns(name, columns)

    def _cat(self, parts: Sequence[Any], dim: int = 0) -> View:
        bases = {part.base for part in parts if isinstance(part, View)}
        if len(bases) != 1 or any(isinstance(p, Scores) or (isinstance(p, View) and p.factor != 1) for p in parts):
            raise Unsupported("it joins different tensors")
        index = [p.index if isinstance(p, View) else torch.full(p.shape, -1, dtype=torch.long) for p in parts]
        fill = [_fill_of(part) for part in parts]
        return View(bases.pop(), torch.cat(index, dim), torch.cat(fill, dim))


def _fill_of(part: Any) -> Tensor:
    """The constants of a joined part, zero where it is computed."""
    if isinstance(part, Tensor):
        return part
    filled: Tensor = torch.zeros(part.index.shape) if part.fill is None else part.fill
    return filled


def _flat(item: Any) -> list[Any]:
    return [v for part in item for v in _flat(part)] if isinstance(item, (list, tuple)) else [item]
