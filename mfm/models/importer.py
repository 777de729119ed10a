"""Imports a torch module through `torch.export`: ATen nodes, whatever modules made them, become the graph IR.

Data movement (view, permute, select, cat ...) is not matched but executed: a value is a base tensor and an array
saying which of its elements stands where, and a movement node runs on that array. What an operator then reads is
seen from the indices alone, so any way of splitting heads or cutting patches imports. Constant factors travel with
the elements: a sum of two views of one tensor is a rotary embedding if its factors are rotations. What does not
depend on the input (masks, angles, position embeddings) is computed while importing.

What has no rule, or none for the way it is used, is named, or left to the host.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from hwlib.errors import InputError
from mfm.models.builder import Builder
from mfm.models.graph import Graph, hosts_merged, pruned
from mfm.models.host import Source
from mfm.models.rules.attention import matmul, scaled_dot_product, softmax
from mfm.models.rules.host import hosted, settled
from mfm.models.rules.linear import linear, padded_patches, patches
from mfm.models.rules.movement import cat, move, stack
from mfm.models.rules.norms import layer_norm, mean, power, rms_norm, root
from mfm.models.rules.pointwise import pointwise, sigmoid
from mfm.models.rules.products import div, mul, scaled
from mfm.models.rules.sums import add, subtract
from mfm.models.values import SAMPLE, SYMBOLIC, Unsupported, View

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
RULES: dict[Any, Callable[..., Any]] = {
    aten.linear.default: linear,
    aten.addmm.default: lambda build, bias, x, weight: linear(build, x, weight.t(), bias),
    aten.mm.default: lambda build, x, weight: matmul(build, x, weight),
    aten.matmul.default: matmul,
    aten.bmm.default: matmul,
    aten.conv2d.default: patches,
    aten.conv2d.padding: padded_patches,
    aten.layer_norm.default: layer_norm,
    aten.rms_norm.default: rms_norm,
    aten.gelu.default: lambda build, x, approximate="none": pointwise(
        build, x, "gelu" if approximate == "none" else "gelu_tanh"
    ),
    aten.relu.default: lambda build, x: pointwise(build, x, "relu"),
    aten.silu.default: lambda build, x: pointwise(build, x, "silu"),
    aten.tanh.default: lambda build, x: pointwise(build, x, "tanh"),
    aten.sigmoid.default: sigmoid,
    aten.pow.Tensor_Scalar: power,
    aten.square.default: lambda build, x: power(build, x, 2),
    aten.mean.dim: mean,
    aten.rsqrt.default: lambda build, x: root(build, x, "inverse rms"),
    aten.sqrt.default: lambda build, x: root(build, x, "rms"),
    aten.neg.default: lambda build, x: scaled(build, x, -1.0),
    aten.add.Tensor: add,
    aten.sub.Tensor: subtract,
    aten.mul.Tensor: mul,
    aten.div.Tensor: div,
    aten.softmax.int: softmax,
    aten._softmax.default: lambda build, x, dim, _half: softmax(build, x, dim),
    aten.scaled_dot_product_attention.default: scaled_dot_product,
    aten.cat.default: cat,
    aten.stack.default: stack,
}
"""What makes ops, or values that later nodes make ops of, of a node's operands."""
WHOLE = {
    aten.linear.default, aten.addmm.default, aten.mm.default, aten.matmul.default, aten.bmm.default,
    aten.conv2d.default, aten.conv2d.padding, aten.layer_norm.default, aten.rms_norm.default,
    aten.scaled_dot_product_attention.default,
}  # fmt: skip
"""What is tried again, where its rule fails, with operands that the host completes: better than all on the host."""
TORCH = str(Path(torch.__file__).parent)


def import_model(module: nn.Module, example: Tensor, name: str, host: bool = False) -> Graph:
    """The graph of `module` for one sample shaped like `example` [1, ...].

    host: what is not a supported transformer operation becomes Host ops, which the graph lists with their modules.
    Raises InputError naming the node, its module and source line where it is not, or where the host cannot either.
    """
    with torch.no_grad():
        exported = torch.export.export(module.eval(), (example,), strict=False)
    return _Importer(exported, name, host).run()


def _location(node: Node) -> str:
    """``file:line`` of the code that made `node`: the caller's, where torch's own module wraps the operation."""
    found = re.findall(r'File "([^"]+)", line (\d+)', node.meta.get("stack_trace") or "")
    found = [place for place in found if not place[0].startswith(TORCH)] or found
    return f"{found[-1][0]}:{found[-1][1]}" if found else node.name


def _module(node: Node) -> str:
    """The path of the submodule that `node` was made in, "" for the outermost."""
    stack = node.meta.get("nn_module_stack") or {}
    path = [str(place[0]) for place in stack.values()][-1:]
    return path[0] if path else ""


def _source(node: Node) -> Source:
    return Source(str(node.target), _module(node), _location(node))


class _Importer:
    def __init__(self, exported: torch.export.ExportedProgram, name: str, host: bool) -> None:
        self.exported, self.name, self.host = exported, name, host
        self.values: dict[Node, Any] = {}
        self.build = Builder(next(iter(exported.graph.nodes)))
        self.sources: dict[str, Source] = {}

    def run(self) -> Graph:
        state = dict(self.exported.state_dict) | dict(self.exported.constants)
        signature = self.exported.graph_signature
        held = (
            signature.inputs_to_parameters | signature.inputs_to_buffers | signature.inputs_to_lifted_tensor_constants
        )
        for node in self.exported.graph.nodes:
            self.build.node = node
            before = len(self.build.ops)
            if node.op == "placeholder" and node.name in held:
                self.values[node] = state[held[node.name]].detach()
            elif node.op == "placeholder":
                shape = node.meta["val"].shape
                self.values[node] = View(SAMPLE, torch.arange(math.prod(shape)).view(shape))
            elif node.op == "call_function":
                self.values[node] = self._call(node)
            elif node.op == "output":
                return self._finish(node)
            self.sources |= {op.out: _source(node) for op in self.build.ops[before:]}
        raise InputError("the exported graph has no output", self.name)

    def _finish(self, node: Node) -> Graph:
        made = node.args[0][0]  # type: ignore[index]
        try:
            output = self._output(made)  # type: ignore[arg-type]
        except Unsupported as reason:
            raise InputError(f"output: {reason}", self.name, "return a matrix the graph computes") from None
        return hosts_merged(pruned(Graph(self.name, tuple(self.build.ops), output, self.sources)))

    def _output(self, made: Node) -> str:
        """The name of the tensor that is the result."""
        try:
            return self.build.whole(self.values[made])
        except Unsupported:
            if not self.host or not isinstance(self.values[made], SYMBOLIC):
                raise
        return self.build.whole(settled(self.build, made, self.values[made], _source(made), always=True))

    def _call(self, node: Node) -> Any:
        before = len(self.build.ops)
        try:
            try:
                return self._apply(node, self.values.__getitem__)
            except Unsupported:
                if not self.host:
                    raise
                del self.build.ops[before:]
                return self._on_host(node)
        except Unsupported as reason:
            module = _module(node)
            raise InputError(
                f"{node.target} (node {node.name}{f', module {module}' if module else ''}): {reason}",
                _location(node),
                "rewrite it with supported operations",
            ) from None

    def _on_host(self, node: Node) -> Any:
        """What `node` makes of operands that the host completes, or the host of all of it."""
        before = len(self.build.ops)
        if node.target in WHOLE:
            try:
                return self._apply(node, lambda arg: settled(self.build, arg, self.values[arg], _source(arg)))
            except Unsupported:
                del self.build.ops[before:]
        return hosted(self.build, _target(node), self.values, _source(node))

    def _apply(self, node: Node, value: Callable[[Node], Any]) -> Any:
        target = _target(node)
        args, kwargs = _resolved(node.args, value), _resolved(dict(node.kwargs), value)
        symbolic = [v for v in _flat([*args, *kwargs.values()]) if isinstance(v, SYMBOLIC)]
        if target in CHECKS:
            return None
        if not symbolic:
            return target(*args, **kwargs)
        if target in IDENTITY:
            return _unchanged(node, args[0])
        if target in MOVEMENT:
            return move(self.build, target, args, kwargs)
        if target not in RULES:
            raise Unsupported("not an operation this stack knows")
        try:
            return RULES[target](self.build, *args, **kwargs)
        except (TypeError, AttributeError, IndexError):
            raise Unsupported("called with options this stack does not know") from None


def _target(node: Node) -> Any:
    """The node's operation; of one in place on a fresh result that nothing else reads, the form that is not."""
    target: Any = node.target
    name = getattr(target, "_opname", "")
    if not name.endswith("_") or name.endswith("__") or not hasattr(aten, name[:-1]):
        return target
    subject = node.args[0] if node.args else None
    fresh = isinstance(subject, Node) and subject.op == "call_function" and subject.target not in MOVEMENT | IDENTITY
    if not fresh or set(subject.users) != {node}:  # type: ignore[union-attr]
        return target
    return getattr(getattr(aten, name[:-1]), target._overloadname, target)


def _resolved(item: Any, value: Callable[[Node], Any]) -> Any:
    """An argument with the values of nodes in their place."""
    if isinstance(item, Node):
        return value(item)
    if isinstance(item, dict):
        return {key: _resolved(part, value) for key, part in item.items()}
    return type(item)(_resolved(part, value) for part in item) if isinstance(item, (list, tuple)) else item


def _unchanged(node: Node, value: Any) -> Any:
    """`value`, which another type of real number does not change. Raises Unsupported where integers are made of it."""
    before, after = node.args[0].meta["val"], node.meta["val"]  # type: ignore[union-attr]
    if before.dtype.is_floating_point and not after.dtype.is_floating_point:
        raise Unsupported("rounds to integers")
    return value


def _flat(item: Any) -> list[Any]:
    return [v for part in item for v in _flat(part)] if isinstance(item, (list, tuple)) else [item]
