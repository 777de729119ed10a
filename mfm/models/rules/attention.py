"""Attention, as one operator or as product, mask, softmax and product."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfm.models.builder import Builder
from mfm.models.graph import (
    Attention,
    AttentionHead,
    Columns,
    visible,
)
from mfm.models.rules.linear import linear
from mfm.models.values import SYMBOLIC, Scores, Unsupported, View

aten = torch.ops.aten
MASKED = -1e4
"""An additive mask at or below this hides an element."""


def matmul(build: Builder, x: Any, y: Any) -> Any:
    """A linear layer, the scores of attention, or its values mixed."""
    if isinstance(y, Tensor) and y.dim() == 2:
        return linear(build, x, y.t())
    if isinstance(x, View) and isinstance(y, View):
        return Scores(x, replace(y, index=y.index.transpose(-1, -2), factor=y.single()), 1.0)
    if isinstance(x, Scores) and x.normalised and isinstance(y, View):
        return _attention(build, x.q, x.k, y, x.scale, x.causal)
    raise Unsupported("a product that is neither a linear layer nor attention")


def softmax(build: Builder, x: Any, dim: int, dtype: Any = None) -> Scores:
    """The softmax of attention scores."""
    rank = len(build.node.meta["val"].shape)
    if not isinstance(x, Scores) or x.normalised or dim % rank != rank - 1:
        raise Unsupported("a softmax that is not over attention scores")
    return replace(x, normalised=True)


def scaled_dot_product(
    build: Builder, q: View, k: View, v: View, attn_mask: Any = None, dropout_p: float = 0.0, is_causal: bool = False,
    scale: float | None = None, enable_gqa: bool = False,
) -> View:  # fmt: skip
    """Attention as one operator."""
    if dropout_p or any(isinstance(part, SYMBOLIC) and not isinstance(part, View) for part in (q, k, v)):
        raise Unsupported("dropped-out attention")
    if any(isinstance(part, Tensor) for part in (q, k, v)) or isinstance(attn_mask, SYMBOLIC):
        raise Unsupported("attention whose queries, keys or values are constant, or whose mask is computed")
    rows, keys = q.index.shape[-2], k.index.shape[-2]
    if enable_gqa:
        k, v = (_shared(build, part, q.index.shape[-3]) for part in (k, v))
    mask = torch.ones(rows, keys, dtype=torch.bool).tril() if is_causal else attn_mask
    causal = mask is not None and _is_causal(mask, rows, keys)
    by = scale if scale is not None else 1 / math.sqrt(q.index.shape[-1])
    return _attention(build, q, k, v, by, causal)


def _shared(build: Builder, part: View, heads: int) -> View:
    """Keys or values repeated for groups of query heads."""
    return View(part.base, part.index.repeat_interleave(heads // part.index.shape[-3], dim=-3), None, part.single())


def _attention(build: Builder, q: View, k: View, v: View, scale: float, causal: bool) -> View:
    if v.single() != 1.0:
        raise Unsupported("attention values are scaled")
    scale *= q.single() * k.single()
    heads = tuple(
        AttentionHead(_columns(build, q, h), _columns(build, k, h, True), _columns(build, v, h, True))
        for h in range(math.prod(q.index.shape[:-2]))
    )
    rows, width = q.index.shape[-2], v.index.shape[-1]
    build.ops.append(Attention(build.node.name, heads, rows, scale, causal))
    build.shapes[build.node.name] = (rows, len(heads) * width)
    index = torch.arange(rows * len(heads) * width).view(rows, len(heads), width).transpose(0, 1)
    return View(build.node.name, index.reshape(build.node.meta["val"].shape))


def _columns(build: Builder, part: View, head: int, whole: bool = False) -> Columns:
    """Head `head` of queries, keys or values [.., heads, tokens, head_dim]; whole: of a tensor of no more rows."""
    index = part.index.flatten(0, -3)[head]
    name, rows, columns = build.matrix(replace(part, index=index))
    if whole and rows != build.shapes[name][0]:
        name, columns = build.moved(name, index.numpy()), np.arange(len(columns))
    return Columns(name, columns)


def masked(build: Builder, x: Scores, y: Any) -> Scores:
    """Scores with an additive mask."""
    if isinstance(y, SYMBOLIC) or x.normalised or x.causal:
        raise Unsupported("attention scores in a sum")
    rows, keys = build.node.meta["val"].shape[-2:]
    return replace(x, causal=_is_causal(torch.as_tensor(y), rows, keys))


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
