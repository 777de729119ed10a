"""Rotary embeddings, recognised as sums of two views of one tensor with constant factors."""

from __future__ import annotations

import torch

from mfm.models.builder import Builder
from mfm.models.graph import (
    Columns,
    Rope,
)
from mfm.models.values import Unsupported, View, spread


def rotated(build: Builder, x: View, y: View) -> View:
    """``x + y``, views of one tensor with constant factors, as a rotary embedding."""
    for straight, crossed in ((x, y), (y, x)):
        found = _rotation(build, straight, crossed)
        if found is not None:
            return found
    raise Unsupported("a sum of a tensor's elements that is not a rotation of pairs of its columns")


def _rotation(build: Builder, x: View, y: View) -> View | None:
    width = build.shapes[x.base][1]
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
    cos, sin = (spread(view, here).view(rows, -1) for view in (x, y))
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
    build.ops.append(Rope(build.node.name, columns_of, rows, partner[0].numpy(), cos.numpy(), sin.numpy()))
    build.shapes[build.node.name] = (rows, len(columns))
    return View(build.node.name, here.view(x.index.shape))
