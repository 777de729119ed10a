"""Normalisations, whole or written out as square, mean, root and division."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from mfm.models.builder import Builder
from mfm.models.graph import (
    LayerNorm,
    RmsNorm,
)
from mfm.models.values import Partial, Unsupported, View


def layer_norm(
    build: Builder,
    x: View,
    shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    _cudnn: bool = False,
) -> View:
    """Row-wise normalisation with gamma and beta, each 1 and 0 if not given."""
    name, rows, cols = _rows_of(build, x, shape)
    gamma = np.ones(cols) if weight is None else weight.double().numpy()
    beta = np.zeros(cols) if bias is None else bias.double().numpy()
    return build.new(LayerNorm(build.node.name, name, rows, gamma, beta, eps), rows, cols)


def rms_norm(build: Builder, x: View, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> View:
    """Row-wise division by the root mean square."""
    name, rows, cols = _rows_of(build, x, shape)
    gamma = np.ones(cols) if weight is None else weight.double().numpy()
    return build.new(RmsNorm(build.node.name, name, rows, gamma, eps or torch.finfo(torch.float32).eps), rows, cols)


def _rows_of(build: Builder, x: View, shape: Sequence[int]) -> tuple[str, int, int]:
    """(tensor, rows, columns) of what a norm over its last dimension reads."""
    rows, cols = x.index.numel() // x.index.shape[-1], x.index.shape[-1]
    if tuple(shape) != (cols,):
        raise Unsupported("normalises more than the last dimension")
    return build.whole(x), rows, cols


def power(build: Builder, x: Any, exponent: float) -> Partial:
    """Squares, of which a mean is to be taken."""
    if not isinstance(x, View) or exponent != 2:
        raise Unsupported(f"a power of {exponent}")
    return Partial("square", x)


def mean(build: Builder, x: Any, dims: Sequence[int], keepdim: bool = False, dtype: Any = None) -> Partial:
    """The mean of the squares of rows."""
    if not isinstance(x, Partial) or x.kind != "square" or not keepdim:
        raise Unsupported("a mean that is not of the squares of rows")
    if [dim % x.of.index.dim() for dim in dims] != [x.of.index.dim() - 1]:
        raise Unsupported("a mean over something other than the last dimension")
    return Partial("mean square", x.of)


def root(build: Builder, x: Any, kind: str) -> Partial:
    """The root of a row's mean square, or (`kind`) one over it."""
    if not isinstance(x, Partial) or x.kind != "mean square":
        raise Unsupported("a root that is not of a row's mean square")
    return Partial(kind, x.of, x.number)


def normed(build: Builder, x: View, root: Partial) -> View:
    """`x` divided by the root mean square of its rows."""
    if x.base != root.of.base or not torch.equal(x.index, root.of.index) or x.single() != root.of.single():
        raise Unsupported("a value divided by the root mean square of another")
    return rms_norm(build, x, x.index.shape[-1:], None, root.number)
