"""Imports a torch module through `torch.export`: ATen nodes, whatever modules made them, become the graph IR.

Data movement (view, permute, select, cat ...) is not matched but executed: a value is a base tensor and an array
saying which of its elements stands where, and a movement node runs on that array. What an operator then reads is
seen from the indices alone, so any way of splitting heads or cutting patches imports. Constant factors travel with
the elements: a sum of two views of one tensor is a rotary embedding if its factors are rotations. What does not
depend on the input (masks, angles, position embeddings) is computed while importing.
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
    Activation,
    Add,
    Attention,
    AttentionHead,
    Columns,
    Constant,
    Gemm,
    Graph,
    Input,
    LayerNorm,
    Move,
    Mul,
    Op,
    RmsNorm,
    Rope,
    pruned,
    visible,
)

aten = torch.ops.aten

MOVEMENT = {
    aten.view.default, aten.reshape.default, aten._unsafe_view.default, aten.transpose.int, aten.permute.default,
    aten.t.default, aten.expand.default, aten.select.int, aten.slice.Tensor, aten.unsqueeze.default,
    aten.squeeze.dim, aten.squeeze.default, aten.squeeze.dims, aten.flatten.using_ints, aten.unflatten.int,
    aten.chunk.default, aten.split.Tensor, aten.split_with_sizes.default, aten.unbind.int, operator.getitem,
    aten.contiguous.default, aten.clone.default, aten.alias.default, aten.detach.default,
}  # fmt: skip
IDENTITY = {
    aten.dropout.default, aten.to.dtype, aten.to.dtype_layout, aten.to.device, aten._to_copy.default,
    aten.lift_fresh_copy.default, aten.type_as.default,
}  # fmt: skip
CHECKS = {aten._assert_tensor_metadata.default, aten._assert_scalar.default}
MASKED = -1e4
"""An additive mask at or below this hides an element."""
TORCH = str(Path(torch.__file__).parent)
SAMPLE = ""
"""Base name of views of the model's input."""


class Unsupported(Exception):
    """Why a node cannot be imported; the importer adds which node and its source line."""


@dataclass(frozen=True)
class View:
    """Elements of tensor `base` times `factor` (one number, or a number for each element).

    index holds flat positions, or -1 where the value is that of `fill` (0 if None).
    """

    base: str
    index: Tensor
    fill: Tensor | None = None
    factor: float | Tensor = 1.0

    def single(self) -> float:
        """The factor of every element. Raises Unsupported if they differ."""
        if isinstance(self.factor, float):
            return self.factor
        if (self.factor != self.factor.flatten()[0]).any():
            raise Unsupported("elements of different constant factors are used other than in a rotation")
        return float(self.factor.flatten()[0])


@dataclass(frozen=True)
class Scores:
    """q . k^T * scale, whether its mask is causal, and whether its softmax has been taken."""

    q: View
    k: View
    scale: float
    causal: bool = False
    normalised: bool = False


@dataclass(frozen=True)
class Partial:
    """Half of a norm or of an activation: `kind` of `of`, with the number that comes in.

    square; mean square (epsilon); rms (epsilon); inverse rms (epsilon); sigmoid (slope).
    """

    kind: str
    of: View
    number: float = 0.0


SYMBOLIC = (View, Scores, Partial)


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


def _module(node: Node) -> str:
    """``, module PATH`` of the submodule that `node` was made in."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [place[0] for place in stack.values()][-1:]
    return f", module {path[0]}" if path and path[0] else ""


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
            aten.conv2d.padding: self._padded_patches,
            aten.rms_norm.default: self._rms_norm,
            aten.gelu.default: lambda x, approximate="none": self._pointwise(
                x, "gelu" if approximate == "none" else "gelu_tanh"
            ),
            aten.relu.default: lambda x: self._pointwise(x, "relu"),
            aten.silu.default: lambda x: self._pointwise(x, "silu"),
            aten.tanh.default: lambda x: self._pointwise(x, "tanh"),
            aten.sigmoid.default: self._sigmoid,
            aten.pow.Tensor_Scalar: self._power,
            aten.square.default: lambda x: self._power(x, 2),
            aten.mean.dim: self._mean,
            aten.rsqrt.default: lambda x: self._root(x, "inverse rms"),
            aten.sqrt.default: lambda x: self._root(x, "rms"),
            aten.neg.default: lambda x: self._scaled(x, -1.0),
            aten.add.Tensor: self._add,
            aten.sub.Tensor: self._subtract,
            aten.mul.Tensor: self._mul,
            aten.div.Tensor: self._div,
            aten.softmax.int: self._softmax,
            aten._softmax.default: lambda x, dim, _half: self._softmax(x, dim),
            aten.scaled_dot_product_attention.default: self._sdpa,
            aten.cat.default: self._cat,
            aten.stack.default: self._stack,
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
        return pruned(Graph(self.name, tuple(self.ops), output))

    def _call(self, node: Node) -> Any:
        self.node = node
        try:
            args, kwargs = self._resolved(node.args), self._resolved(dict(node.kwargs))
            return self._apply(node.target, args, kwargs)
        except Unsupported as reason:
            raise InputError(
                f"{node.target} (node {node.name}{_module(node)}): {reason}",
                _location(node),
                "rewrite it with supported operations",
            ) from None

    def _resolved(self, item: Any) -> Any:
        if isinstance(item, Node):
            return self.values[item]
        if isinstance(item, dict):
            return {key: self._resolved(value) for key, value in item.items()}
        return type(item)(self._resolved(v) for v in item) if isinstance(item, (list, tuple)) else item

    def _apply(self, target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        symbolic = [v for v in _flat([*args, *kwargs.values()]) if isinstance(v, SYMBOLIC)]
        if target in CHECKS:
            return None
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
        if isinstance(subject, Partial):
            raise Unsupported(f"the {subject.kind} of a value is rearranged")
        if isinstance(subject, Tensor):
            return target(*args, **kwargs)
        kept = [subject.index, subject.fill, subject.factor]
        moved = [target(part, *args[1:], **kwargs) if isinstance(part, Tensor) else part for part in kept]
        if isinstance(moved[0], Tensor):
            return View(subject.base, *moved)
        each = [part if isinstance(part, (list, tuple)) else [part] * len(moved[0]) for part in moved]
        return [View(subject.base, *parts) for parts in zip(*each, strict=True)]

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
            return self._moved(view.base, index), index.shape[0], np.arange(index.shape[1])
        return view.base, len(rows), columns[0]

    def _moved(self, base: str, index: np.ndarray[Any, np.dtype[np.int64]]) -> str:
        """A tensor of the elements `index` of `base`."""
        for op in self.ops:
            if isinstance(op, Move) and op.a == base and np.array_equal(op.gather, index):
                return op.out
        name = f"{base}_moved{len(self.ops)}"
        self.ops.append(Move(name, base, index.copy()))
        self.shapes[name] = (index.shape[0], index.shape[1])
        return name

    def _whole(self, view: Any) -> str:
        """The tensor that `view` shows row by row with every column in place."""
        name, rows, columns = self._matrix(view)
        cols = self.shapes[name][1]
        if len(columns) != cols or (columns != np.arange(cols)).any():
            if self.node.op == "output":
                raise Unsupported("only some columns are returned")
            index = np.arange(rows)[:, None] * cols + columns
            name = self._moved(name, index)
        if rows != self.shapes[name][0] and self.node.op == "output":
            raise Unsupported("only some rows are returned")
        factor = view.single()
        return name if factor == 1.0 else self._times(name, factor)

    def _times(self, name: str, factor: float) -> str:
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
        name, joined = self._gathered(View(SAMPLE, torch.tensor(gather)), gather), f"{base.out}_rows"
        self.ops.append(Gemm(joined, name, len(index), base.weight, base.bias))
        self.shapes[joined] = (len(index), width)
        return self._plus(joined, fill, f"{base.out}_joined")

    def _plus(self, name: str, values: np.ndarray[Any, np.dtype[np.float64]], out: str) -> str:
        """``name + values``; constants added one after the other become one."""
        last = next(op for op in self.ops if op.out == name)
        known = next((op for op in self.ops if isinstance(last, Add) and op.out == last.b), None)
        if isinstance(last, Add) and isinstance(known, Constant):
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
        np.add.at(full.T, columns, weight.double().numpy().T * x.single())
        offset = np.zeros(len(full)) if bias is None else bias.double().numpy()
        return self._new(Gemm(self.node.name, name, rows, full, offset), rows, len(full))

    def _matmul(self, x: Any, y: Any) -> Any:
        if isinstance(y, Tensor) and y.dim() == 2:
            return self._linear(x, y.t())
        if isinstance(x, View) and isinstance(y, View):
            return Scores(x, replace(y, index=y.index.transpose(-1, -2), factor=y.single()), 1.0)
        if isinstance(x, Scores) and x.normalised and isinstance(y, View):
            return self._attention(x.q, x.k, y, x.scale, x.causal)
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
        np.add.at(full.T, columns, flat.T * x.single())
        offset = np.zeros(len(flat)) if bias is None else bias.double().numpy()
        made = self._new(Gemm(self.node.name, name, rows, full, offset), rows, len(full))
        return replace(made, index=torch.arange(rows * len(full)).view(rows, -1).t().reshape(made.index.shape))

    def _padded_patches(
        self, x: View, weight: Any, bias: Any = None, stride: Any = (1, 1), padding: str = "valid",
        dilation: Any = (1, 1), groups: int = 1,
    ) -> View:  # fmt: skip
        if padding != "valid" and tuple(weight.shape[-2:]) != (1, 1):
            raise Unsupported("only convolutions whose stride is their kernel, without padding")
        return self._patches(x, weight, bias, stride, (0, 0), dilation, groups)

    def _layer_norm(
        self,
        x: View,
        shape: Sequence[int],
        weight: Any = None,
        bias: Any = None,
        eps: float = 1e-5,
        _cudnn: bool = False,
    ) -> View:
        name, rows, cols = self._rows_of(x, shape)
        gamma = np.ones(cols) if weight is None else weight.double().numpy()
        beta = np.zeros(cols) if bias is None else bias.double().numpy()
        return self._new(LayerNorm(self.node.name, name, rows, gamma, beta, eps), rows, cols)

    def _rms_norm(self, x: View, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> View:
        name, rows, cols = self._rows_of(x, shape)
        gamma = np.ones(cols) if weight is None else weight.double().numpy()
        return self._new(RmsNorm(self.node.name, name, rows, gamma, eps or torch.finfo(torch.float32).eps), rows, cols)

    def _rows_of(self, x: View, shape: Sequence[int]) -> tuple[str, int, int]:
        """(tensor, rows, columns) of what a norm over its last dimension reads."""
        rows, cols = x.index.numel() // x.index.shape[-1], x.index.shape[-1]
        if tuple(shape) != (cols,):
            raise Unsupported("normalises more than the last dimension")
        return self._whole(x), rows, cols

    # Norms and activations written out: square, mean, root, division; sigmoid and product

    def _power(self, x: Any, exponent: float) -> Partial:
        if not isinstance(x, View) or exponent != 2:
            raise Unsupported(f"a power of {exponent}")
        return Partial("square", x)

    def _mean(self, x: Any, dims: Sequence[int], keepdim: bool = False, dtype: Any = None) -> Partial:
        if not isinstance(x, Partial) or x.kind != "square" or not keepdim:
            raise Unsupported("a mean that is not of the squares of rows")
        if [dim % x.of.index.dim() for dim in dims] != [x.of.index.dim() - 1]:
            raise Unsupported("a mean over something other than the last dimension")
        return Partial("mean square", x.of)

    def _root(self, x: Any, kind: str) -> Partial:
        if not isinstance(x, Partial) or x.kind != "mean square":
            raise Unsupported("a root that is not of a row's mean square")
        return Partial(kind, x.of, x.number)

    def _normed(self, x: View, root: Partial) -> View:
        """`x` divided by the root mean square of its rows."""
        if x.base != root.of.base or not torch.equal(x.index, root.of.index) or x.single() != root.of.single():
            raise Unsupported("a value divided by the root mean square of another")
        return self._rms_norm(x, x.index.shape[-1:], None, root.number)

    def _pointwise(self, x: Any, function: str) -> View:
        if not isinstance(x, View):
            raise Unsupported("a function of something other than computed values")
        rows, cols = x.index.numel() // x.index.shape[-1], x.index.shape[-1]
        name = self._whole(x)
        self._new(Activation(self.node.name, name, rows, function), rows, cols)
        return View(self.node.name, torch.arange(rows * cols).view(x.index.shape))

    def _sigmoid(self, x: Any) -> Partial:
        if not isinstance(x, View):
            raise Unsupported("a sigmoid of something other than computed values")
        return Partial("sigmoid", replace(x, factor=1.0), x.single())

    def _gated(self, x: View, gate: Partial) -> View:
        """``x * sigmoid(slope * x)``."""
        same = x.base == gate.of.base and torch.equal(x.index, gate.of.index) and x.single() == 1.0
        function = {1.0: "silu", 1.702: "quick_gelu"}.get(round(gate.number, 6))
        if not same or function is None:
            raise Unsupported("a sigmoid is used other than in SiLU or the quick GELU")
        return self._pointwise(x, function)

    # Sums and products

    def _add(self, x: Any, y: Any, alpha: float = 1) -> Any:
        if alpha != 1:
            y = self._mul(y, float(alpha))
        if not isinstance(x, SYMBOLIC):
            x, y = y, x
        if isinstance(x, Partial):
            return self._with_epsilon(x, y)
        if isinstance(x, Scores):
            return self._masked(x, y)
        shape = tuple(self.node.meta["val"].shape)
        if tuple(x.index.shape) != shape or (isinstance(y, View) and tuple(y.index.shape) != shape):
            raise Unsupported("it broadcasts a computed value")
        if isinstance(y, View) and x.base == y.base != SAMPLE and isinstance(x.factor, Tensor):
            return self._rotated(x, y)
        name, rows, cols = self._whole(x), math.prod(shape[:-1]), shape[-1]
        if isinstance(y, View):
            self._new(Add(self.node.name, name, self._whole(y), rows), rows, cols)
        else:
            values = torch.as_tensor(y).double().expand(shape).reshape(rows, cols).numpy()
            self._plus(name, values, self.node.name)
        return View(self.node.name, torch.arange(rows * cols).view(shape))

    def _with_epsilon(self, x: Partial, y: Any) -> Partial:
        if x.kind != "mean square" or isinstance(y, SYMBOLIC) or torch.as_tensor(y).numel() != 1:
            raise Unsupported(f"the {x.kind} of a value in a sum")
        return replace(x, number=x.number + float(torch.as_tensor(y)))

    def _masked(self, x: Scores, y: Any) -> Scores:
        if isinstance(y, SYMBOLIC) or x.normalised or x.causal:
            raise Unsupported("attention scores in a sum")
        rows, keys = self.node.meta["val"].shape[-2:]
        return replace(x, causal=_is_causal(torch.as_tensor(y), rows, keys))

    def _subtract(self, x: Any, y: Any, alpha: float = 1) -> Any:
        if alpha != 1:
            raise Unsupported("called with options this stack does not know")
        return self._add(x, self._scaled(y, -1.0) if isinstance(y, SYMBOLIC) else -y)

    def _rotated(self, x: View, y: View) -> View:
        """``x + y``, views of one tensor with constant factors, as a rotary embedding."""
        for straight, crossed in ((x, y), (y, x)):
            found = self._rotation(straight, crossed)
            if found is not None:
                return found
        raise Unsupported("a sum of a tensor's elements that is not a rotation of pairs of its columns")

    def _rotation(self, x: View, y: View) -> View | None:
        width = self.shapes[x.base][1]
        where = x.index.flatten()
        if x.fill is not None or y.fill is not None or int(where.min()) < 0:
            return None
        columns = torch.unique(where % width)
        rows = int(where.max()) // width + 1
        if len(where) != rows * len(columns) or len(torch.unique(where)) != len(where):
            return None
        place = torch.full((width,), -1)
        place[columns] = torch.arange(len(columns))
        here = where // width * len(columns) + place[where % width]
        cos, sin = (_spread(view, here).view(rows, -1) for view in (x, y))
        source = torch.empty_like(where)
        source[here] = y.index.flatten()
        partner = place[source.view(rows, -1) % width]
        tokens = source.view(rows, -1) // width
        back = torch.arange(len(columns))
        if (partner != partner[:1]).any() or (tokens != torch.arange(rows)[:, None]).any():
            return None
        if (partner[0][partner[0]] != back).any() or not torch.allclose(sin, -sin[:, partner[0]], atol=1e-6):
            return None
        columns_of = Columns(x.base, columns.numpy())
        self.ops.append(Rope(self.node.name, columns_of, rows, partner[0].numpy(), cos.numpy(), sin.numpy()))
        self.shapes[self.node.name] = (rows, len(columns))
        return View(self.node.name, here.view(x.index.shape))

    def _mul(self, x: Any, y: Any) -> Any:
        if not isinstance(x, SYMBOLIC) or (isinstance(x, Partial) and isinstance(y, View)):
            x, y = y, x
        if isinstance(x, View) and isinstance(y, Partial):
            if y.kind == "inverse rms":
                return self._normed(x, y)
            if y.kind == "sigmoid":
                return self._gated(x, y)
        if isinstance(x, View) and isinstance(y, View):
            return self._product(x, y)
        if isinstance(x, Partial) or isinstance(y, SYMBOLIC):
            raise Unsupported("a product of such values")
        factor = torch.as_tensor(y).double()
        if factor.numel() == 1:
            return self._scaled(x, float(factor))
        return self._weighted(x, factor)

    def _product(self, x: View, y: View) -> View:
        if x.index.shape != y.index.shape:
            raise Unsupported("it broadcasts a computed value")
        rows, cols = math.prod(x.index.shape[:-1]), x.index.shape[-1]
        factor = x.single() * y.single()
        first, second = (self._whole(replace(part, factor=1.0)) for part in (x, y))
        self._new(Mul(self.node.name, first, second, rows), rows, cols)
        return View(self.node.name, torch.arange(rows * cols).view(x.index.shape), factor=factor)

    def _weighted(self, x: Any, factor: Tensor) -> View:
        """`x` times a constant for each element; a norm takes constants of its columns as its own."""
        if not isinstance(x, View) or tuple(x.index.shape) != tuple(self.node.meta["val"].shape):
            raise Unsupported("it broadcasts a computed value")
        made = next((op for op in self.ops if op.out == x.base), None)
        shape = x.index.shape
        if isinstance(made, RmsNorm) and factor.numel() == shape[-1] == factor.shape[-1] and x.single() == 1.0:
            self._whole(x)
            self.ops.append(replace(made, out=self.node.name, gamma=made.gamma * factor.flatten().numpy()))
            self.shapes[self.node.name] = self.shapes[made.out]
            return replace(x, base=self.node.name)
        return replace(x, factor=(factor * x.factor).expand(shape).contiguous())

    def _scaled(self, x: Any, by: float) -> Any:
        if isinstance(x, View):
            return replace(x, factor=x.factor * by)
        if isinstance(x, Scores):
            return replace(x, scale=x.scale * by)
        raise Unsupported(f"the {x.kind} of a value in a product")

    def _div(self, x: Any, y: Any) -> Any:
        if isinstance(x, View) and isinstance(y, Partial) and y.kind == "rms":
            return self._normed(x, y)
        if isinstance(y, SYMBOLIC) or torch.as_tensor(y).numel() != 1:
            raise Unsupported("a quotient of two tensors")
        return self._scaled(x, 1 / float(torch.as_tensor(y)))

    def _softmax(self, x: Any, dim: int, dtype: Any = None) -> Scores:
        rank = len(self.node.meta["val"].shape)
        if not isinstance(x, Scores) or x.normalised or dim % rank != rank - 1:
            raise Unsupported("a softmax that is not over attention scores")
        return replace(x, normalised=True)

    def _sdpa(
        self, q: View, k: View, v: View, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
        scale: float | None = None, enable_gqa: bool = False,
    ) -> View:  # fmt: skip
        if dropout_p or any(isinstance(part, SYMBOLIC) and not isinstance(part, View) for part in (q, k, v)):
            raise Unsupported("dropped-out attention")
        if any(isinstance(part, Tensor) for part in (q, k, v)) or isinstance(attn_mask, SYMBOLIC):
            raise Unsupported("attention whose queries, keys or values are constant, or whose mask is computed")
        rows, keys = q.index.shape[-2], k.index.shape[-2]
        if enable_gqa:
            k, v = (self._shared(part, q.index.shape[-3]) for part in (k, v))
        mask = torch.ones(rows, keys, dtype=torch.bool).tril() if is_causal else attn_mask
        causal = mask is not None and _is_causal(mask, rows, keys)
        by = scale if scale is not None else 1 / math.sqrt(q.index.shape[-1])
        return self._attention(q, k, v, by, causal)

    def _shared(self, part: View, heads: int) -> View:
        """Keys or values repeated for groups of query heads."""
        return View(part.base, part.index.repeat_interleave(heads // part.index.shape[-3], dim=-3), None, part.single())

    def _attention(self, q: View, k: View, v: View, scale: float, causal: bool) -> View:
        if v.single() != 1.0:
            raise Unsupported("attention values are scaled")
        scale *= q.single() * k.single()
        heads = tuple(
            AttentionHead(*(self._columns(part, h) for part in (q, k, v))) for h in range(math.prod(q.index.shape[:-2]))
        )
        rows, width = q.index.shape[-2], v.index.shape[-1]
        self.ops.append(Attention(self.node.name, heads, rows, scale, causal))
        self.shapes[self.node.name] = (rows, len(heads) * width)
        index = torch.arange(rows * len(heads) * width).view(rows, len(heads), width).transpose(0, 1)
        return View(self.node.name, index.reshape(self.node.meta["val"].shape))

    def _columns(self, part: View, head: int) -> Columns:
        """Head `head` of queries, keys or values [.., heads, tokens, head_dim]."""
        name, _, columns = self._matrix(replace(part, index=part.index.flatten(0, -3)[head]))
        return Columns(name, columns)

    def _cat(self, parts: Sequence[Any], dim: int = 0) -> View:
        bases = {part.base for part in parts if isinstance(part, View)}
        if len(bases) != 1 or any(isinstance(part, (Scores, Partial)) for part in parts):
            raise Unsupported("it joins different tensors")
        index = [p.index if isinstance(p, View) else torch.full(p.shape, -1, dtype=torch.long) for p in parts]
        fill = torch.cat([_fill_of(part) for part in parts], dim) if any(_filled(part) for part in parts) else None
        factors = {part.factor if isinstance(part, View) else 1.0 for part in parts}
        if len(factors) == 1 and isinstance(one := factors.pop(), float):
            return View(bases.pop(), torch.cat(index, dim), fill, one)
        each = [torch.as_tensor(p.factor).double().expand(p.index.shape) for p in parts if isinstance(p, View)]
        if len(each) != len(parts):
            raise Unsupported("it joins constants and scaled values")
        return View(bases.pop(), torch.cat(index, dim), fill, torch.cat(each, dim))

    def _stack(self, parts: Sequence[Any], dim: int = 0) -> Any:
        return self._cat([self._move(aten.unsqueeze.default, (part, dim), {}) for part in parts], dim)


def _is_causal(mask: Tensor, rows: int, keys: int) -> bool:
    """Whether a constant mask is causal; False if it hides nothing. Raises Unsupported for any other."""
    shown = mask if mask.dtype == torch.bool else mask > MASKED
    if mask.dtype != torch.bool and bool((mask[shown] != 0).any()):
        raise Unsupported("a bias is added to attention scores")
    if bool(shown.all()):
        return False
    if bool((shown == torch.from_numpy(visible(rows, keys))).all()):
        return True
    raise Unsupported("an attention mask that is neither full nor causal")


def _spread(view: View, where: Tensor) -> Tensor:
    """The factors of `view`, that of element i at position where[i]."""
    factors = torch.as_tensor(view.factor).double().expand(view.index.shape).flatten()
    spread = torch.empty_like(factors)
    spread[where] = factors
    return spread


def _filled(part: Any) -> bool:
    return isinstance(part, Tensor) or part.fill is not None


def _fill_of(part: Any) -> Tensor:
    """The constants of a joined part, zero where it is computed."""
    if isinstance(part, Tensor):
        return part
    filled: Tensor = torch.zeros(part.index.shape) if part.fill is None else part.fill
    return filled


def _flat(item: Any) -> list[Any]:
    return [v for part in item for v in _flat(part)] if isinstance(item, (list, tuple)) else [item]
