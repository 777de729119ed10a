"""Sums: of two tensors, with constants, with a mask, of the parts of a rotation, with an epsilon."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mfm.models.builder import Builder
from mfm.models.graph import (
    Add,
)
from mfm.models.rules.attention import masked
from mfm.models.rules.products import mul, scaled
from mfm.models.rules.rotation import rotated
from mfm.models.values import SAMPLE, SYMBOLIC, Partial, Scores, Unsupported, View


def add(build: Builder, x: Any, y: Any, alpha: float = 1) -> Any:
    """A sum, or what a sum makes of half an operation."""
    if alpha != 1:
        y = mul(build, y, float(alpha))
    if not isinstance(x, SYMBOLIC):
        x, y = y, x
    if isinstance(x, Partial):
        return _with_epsilon(build, x, y)
    if isinstance(x, Scores):
        return masked(build, x, y)
    shape = tuple(build.node.meta["val"].shape)
    if tuple(x.index.shape) != shape or (isinstance(y, View) and tuple(y.index.shape) != shape):
        raise Unsupported("it broadcasts a computed value")
    if isinstance(y, View) and x.base == y.base != SAMPLE and isinstance(x.factor, Tensor):
        return rotated(build, x, y)
    name, rows, cols = build.whole(x), math.prod(shape[:-1]), shape[-1]
    if isinstance(y, View):
        build.new(Add(build.node.name, name, build.whole(y), rows), rows, cols)
    else:
        values = torch.as_tensor(y).double().expand(shape).reshape(rows, cols).numpy()
        build.plus(name, values, build.node.name)
    return View(build.node.name, torch.arange(rows * cols).view(shape))


def _with_epsilon(build: Builder, x: Partial, y: Any) -> Partial:
    if x.kind != "mean square" or isinstance(y, SYMBOLIC) or torch.as_tensor(y).numel() != 1:
        raise Unsupported(f"the {x.kind} of a value in a sum")
    return replace(x, number=x.number + float(torch.as_tensor(y)))


def subtract(build: Builder, x: Any, y: Any, alpha: float = 1) -> Any:
    """A difference, as a sum."""
    if alpha != 1:
        raise Unsupported("called with options this stack does not know")
    return add(build, x, scaled(build, y, -1.0) if isinstance(y, SYMBOLIC) else -y)
