"""Products and quotients: by constants, of two tensors, of a norm, of a gate."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mfm.models.builder import Builder
from mfm.models.graph import (
    Mul,
    RmsNorm,
)
from mfm.models.rules.norms import normed
from mfm.models.rules.pointwise import gated
from mfm.models.values import SYMBOLIC, Partial, Scores, Unsupported, View


def mul(build: Builder, x: Any, y: Any) -> Any:
    """A product, or what a product makes of half an operation."""
    if not isinstance(x, SYMBOLIC) or (isinstance(x, Partial) and isinstance(y, View)):
        x, y = y, x
    if isinstance(x, View) and isinstance(y, Partial):
        if y.kind == "inverse rms":
            return normed(build, x, y)
        if y.kind == "sigmoid":
            return gated(build, x, y)
    if isinstance(x, View) and isinstance(y, View):
        return _product(build, x, y)
    if isinstance(x, Partial) or isinstance(y, SYMBOLIC):
        raise Unsupported("a product of such values")
    factor = torch.as_tensor(y).double()
    if factor.numel() == 1:
        return scaled(build, x, float(factor))
    return _weighted(build, x, factor)


def _product(build: Builder, x: View, y: View) -> View:
    if x.index.shape != y.index.shape:
        raise Unsupported("it broadcasts a computed value")
    rows, cols = math.prod(x.index.shape[:-1]), x.index.shape[-1]
    factor = x.single() * y.single()
    first, second = (build.whole(replace(part, factor=1.0)) for part in (x, y))
    build.new(Mul(build.node.name, first, second, rows), rows, cols)
    return View(build.node.name, torch.arange(rows * cols).view(x.index.shape), factor=factor)


def _weighted(build: Builder, x: Any, factor: Tensor) -> View:
    """`x` times a constant for each element; a norm takes constants of its columns as its own."""
    if not isinstance(x, View) or tuple(x.index.shape) != tuple(build.node.meta["val"].shape):
        raise Unsupported("it broadcasts a computed value")
    made = next((op for op in build.ops if op.out == x.base), None)
    shape = x.index.shape
    if isinstance(made, RmsNorm) and factor.numel() == shape[-1] == factor.shape[-1] and x.single() == 1.0:
        build.whole(x)
        build.ops.append(replace(made, out=build.node.name, gamma=made.gamma * factor.flatten().numpy()))
        build.shapes[build.node.name] = build.shapes[made.out]
        return replace(x, base=build.node.name)
    return replace(x, factor=(factor * x.factor).expand(shape).contiguous())


def scaled(build: Builder, x: Any, by: float) -> Any:
    """`x` times one number, which travels with it."""
    if isinstance(x, View):
        return replace(x, factor=x.factor * by)
    if isinstance(x, Scores):
        return replace(x, scale=x.scale * by)
    raise Unsupported(f"the {x.kind} of a value in a product")


def div(build: Builder, x: Any, y: Any) -> Any:
    """A quotient by a constant or by a root mean square."""
    if isinstance(x, View) and isinstance(y, Partial) and y.kind == "rms":
        return normed(build, x, y)
    if isinstance(y, SYMBOLIC) or torch.as_tensor(y).numel() != 1:
        raise Unsupported("a quotient of two tensors")
    return scaled(build, x, 1 / float(torch.as_tensor(y)))
