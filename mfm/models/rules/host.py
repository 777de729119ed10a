"""Operations without a rule: the node as it is, run by torch in float64 on the elements that its operands show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from mfm.models.builder import Builder
from mfm.models.graph import Float
from mfm.models.host import Source, Step, alone
from mfm.models.values import SAMPLE, SYMBOLIC, Partial, Scores, Unsupported, View

aten = torch.ops.aten
Values = Mapping[str, Float]
Read = Callable[[Values], Tensor]


@dataclass(frozen=True)
class Operand:
    """Something a node reads: the tensors it is made of, and what makes it of them."""

    names: tuple[str, ...]
    read: Read


@dataclass(frozen=True)
class _Call:
    """A node's operation with Operands in its arguments; pick: which of its results."""

    target: Callable[..., Any]
    args: Any
    kwargs: Any
    pick: int | None

    def __call__(self, values: Values) -> Float:
        with torch.no_grad():
            result = self.target(*_filled(self.args, values), **_filled(self.kwargs, values))
        return _matrix(result if self.pick is None else result[self.pick])


def hosted(build: Builder, target: Any, values: Mapping[Node, Any], source: Source) -> Any:
    """The results of the builder's node, whose operation is `target`, made by Host ops; `values`: those before.

    Raises Unsupported for what the host cannot stand in for: effects on operands, random numbers, no matrices.
    """
    node = build.node
    schema = getattr(target, "_schema", None)
    if schema is None or schema.is_mutable:
        raise Unsupported("changes an operand in place" if schema else "not an operation this stack knows")
    if torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()) and not _without_dropout(node):
        raise Unsupported("makes random numbers")
    args, kwargs = (_operands(build, item, values) for item in (node.args, dict(node.kwargs)))
    reads = tuple(dict.fromkeys(name for item in _leaves([args, kwargs]) for name in item.names))
    made = node.meta["val"]
    if isinstance(made, Tensor):
        return _result(build, node.name, made, reads, _Call(target, args, kwargs, None), source)
    if not isinstance(made, (list, tuple)) or not all(isinstance(part, Tensor) for part in made):
        raise Unsupported("makes something other than tensors")
    return [
        _result(build, f"{node.name}.{i}", part, reads, _Call(target, args, kwargs, i), source)
        for i, part in enumerate(made)
    ]


def _without_dropout(node: Node) -> bool:
    """Whether `node` is attention that drops nothing."""
    given = dict(zip(("q", "k", "v", "mask", "dropout_p"), node.args, strict=False)) | node.kwargs
    return node.target is aten.scaled_dot_product_attention.default and not given.get("dropout_p", 0.0)


def settled(build: Builder, node: Node, value: Any, source: Source, always: bool = False) -> Any:
    """The `value` of `node`, if it is but half of an operation or has factors of its own, as that of a Host op.

    always: also if it is not.
    """
    plain = not always and isinstance(value, View) and value.fill is None and isinstance(value.factor, float)
    if plain or not isinstance(value, SYMBOLIC):
        return value
    name = f"{node.name}.host"
    if any(op.out == name for op in build.ops):
        shape = tuple(node.meta["val"].shape)
        return View(name, torch.arange(math.prod(shape)).view(shape))
    operand = _operand(build, value, node.meta["val"])
    return _result(build, name, node.meta["val"], operand.names, lambda values: _matrix(operand.read(values)), source)


def _result(
    build: Builder, name: str, made: Tensor, reads: tuple[str, ...], function: Callable[[Values], Float], source: Source
) -> View:
    """A Host op of one step that makes a tensor like `made`."""
    if made.dtype.is_complex or not made.numel():
        raise Unsupported("makes no real numbers")
    cols = made.shape[-1] if made.dim() else 1
    shape = (made.numel() // cols, cols)
    build.ops.append(alone(name, reads, shape, Step(name, reads, function, source)))
    build.shapes[name] = shape
    return View(name, torch.arange(made.numel()).view(made.shape))


def _matrix(result: Tensor) -> Float:
    cols = result.shape[-1] if result.dim() else 1
    return np.asarray(result.double().reshape(-1, cols).numpy())


def _operands(build: Builder, item: Any, values: Mapping[Node, Any]) -> Any:
    """An argument with Operands in the place of nodes that depend on the input."""
    if isinstance(item, Node):
        value = values[item]
        if isinstance(value, SYMBOLIC):
            return _operand(build, value, item.meta["val"])
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.double()
        return value
    if isinstance(item, dict):
        return {key: _operands(build, value, values) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return type(item)(_operands(build, value, values) for value in item)
    return item


def _operand(build: Builder, value: View | Scores | Partial, like: Tensor) -> Operand:
    """What reads `value` as a tensor of the shape and kind of number of `like`."""
    if isinstance(value, View):
        name, read = _view(build, value)
        return Operand((name,), lambda values: _typed(read(values), like))
    if isinstance(value, Partial):
        name, read = _view(build, value.of)
        part = value
        return Operand((name,), lambda values: _partial(part, read(values)).expand(like.shape))
    if value.q.fill is not None or value.k.fill is not None:
        raise Unsupported("constants are joined to queries or keys")
    (queries, q), (keys, k) = (_view(build, part) for part in (value.q, value.k))
    scores = value
    return Operand((queries, keys), lambda values: _scores(scores, q(values), k(values)).reshape(like.shape))


def _view(build: Builder, view: View) -> tuple[str, Read]:
    """The tensor a view shows, and what takes its elements."""
    name, index, fill, factor = view.base, view.index, view.fill, view.factor
    if name == SAMPLE:
        flat = index.reshape(-1, index.shape[-1] if index.dim() else 1)
        name = build.gathered(View(SAMPLE, flat), flat.numpy())
        index = torch.where(index >= 0, torch.arange(index.numel()).view(index.shape), -1)

    def read(values: Values) -> Tensor:
        shown = torch.from_numpy(np.append(values[name].ravel(), 0.0))[index]
        return (shown if fill is None else torch.where(index >= 0, shown, fill.double())) * factor

    return name, read


def _typed(x: Tensor, like: Tensor) -> Tensor:
    return x if like.dtype.is_floating_point else x.round().to(like.dtype)


def _partial(part: Partial, x: Tensor) -> Tensor:
    """The half of an operation that `part` is, whole."""
    if part.kind == "sigmoid":
        return torch.sigmoid(part.number * x)
    if part.kind == "square":
        return x.square()
    energy = x.square().mean(-1, keepdim=True) + part.number
    return {"mean square": energy, "rms": energy.sqrt(), "inverse rms": energy.rsqrt()}[part.kind]


def _scores(scores: Scores, q: Tensor, k: Tensor) -> Tensor:
    """Scaled scores, masked and normalised as far as they are."""
    found = q @ k.transpose(-1, -2) * scores.scale
    if scores.causal:
        rows, keys = found.shape[-2:]
        found = found.masked_fill(~torch.ones(rows, keys, dtype=torch.bool).tril(keys - rows), -math.inf)
    return found.softmax(-1) if scores.normalised else found


def _leaves(item: Any) -> Sequence[Operand]:
    if isinstance(item, Operand):
        return [item]
    parts = item.values() if isinstance(item, dict) else item if isinstance(item, (list, tuple)) else ()
    return [leaf for part in parts for leaf in _leaves(part)]


def _filled(item: Any, values: Values) -> Any:
    """An argument with tensors in the place of Operands."""
    if isinstance(item, Operand):
        return item.read(values)
    if isinstance(item, dict):
        return {key: _filled(value, values) for key, value in item.items()}
    return type(item)(_filled(v, values) for v in item) if isinstance(item, (list, tuple)) else item
