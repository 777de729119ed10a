"""Data movement: executed on the indices of views."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mfm.models.builder import Builder
from mfm.models.values import Partial, Scores, Unsupported, View, fill_of, filled

aten = torch.ops.aten


def move(build: Builder, target: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """The node's movement, run on the indices of what it moves."""
    subject = args[0]
    if target is operator.getitem and isinstance(subject, (list, tuple)):
        return subject[args[1]]
    if isinstance(subject, Scores):
        return _kept(build, subject)
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


def _kept(build: Builder, scores: Scores) -> Scores:
    """Scores may be reshaped only by joining or splitting unit and head dimensions."""
    before = build.node.args[0].meta["val"].shape  # type: ignore[union-attr]
    after = build.node.meta["val"].shape
    if before[-2:] != after[-2:] or math.prod(before) != math.prod(after):
        raise Unsupported("attention scores are rearranged")
    return scores


def cat(build: Builder, parts: Sequence[Any], dim: int = 0) -> View:
    """Parts of one tensor, and constants, side by side."""
    bases = {part.base for part in parts if isinstance(part, View)}
    if len(bases) != 1 or any(isinstance(part, (Scores, Partial)) for part in parts):
        raise Unsupported("it joins different tensors")
    index = [p.index if isinstance(p, View) else torch.full(p.shape, -1, dtype=torch.long) for p in parts]
    fill = torch.cat([fill_of(part) for part in parts], dim) if any(filled(part) for part in parts) else None
    factors = {part.factor if isinstance(part, View) else 1.0 for part in parts}
    if len(factors) == 1 and isinstance(one := factors.pop(), float):
        return View(bases.pop(), torch.cat(index, dim), fill, one)
    each = [torch.as_tensor(p.factor).double().expand(p.index.shape) for p in parts if isinstance(p, View)]
    if len(each) != len(parts):
        raise Unsupported("it joins constants and scaled values")
    return View(bases.pop(), torch.cat(index, dim), fill, torch.cat(each, dim))


def stack(build: Builder, parts: Sequence[Any], dim: int = 0) -> Any:
    """As `cat`, along a new dimension."""
    return cat(build, [move(build, aten.unsqueeze.default, (part, dim), {}) for part in parts], dim)
