"""Linear layers, and convolutions that are linear layers of patches."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mfm.models.builder import Builder
from mfm.models.graph import (
    Gemm,
)
from mfm.models.values import Unsupported, View


def linear(build: Builder, x: View, weight: Any, bias: Any = None) -> View:
    """`x` by constant weights [n, k], plus a bias."""
    name, rows, columns = build.matrix(x)
    if not isinstance(weight, Tensor) or not (bias is None or isinstance(bias, Tensor)):
        raise Unsupported("its weights are not constant")
    full = np.zeros((weight.shape[0], build.shapes[name][1]))
    np.add.at(full.T, columns, weight.double().numpy().T * x.single())
    offset = np.zeros(len(full)) if bias is None else bias.double().numpy()
    return build.new(Gemm(build.node.name, name, rows, full, offset), rows, len(full))


def patches(
    build: Builder, x: View, weight: Any, bias: Any = None, stride: Any = (1, 1), padding: Any = (0, 0),
    dilation: Any = (1, 1), groups: int = 1,
) -> View:  # fmt: skip
    """A convolution whose kernel equals its stride is a linear layer of patches."""
    kernel = tuple(weight.shape[-2:])
    if tuple(stride) != kernel or any(padding) or tuple(dilation) != (1, 1) or groups != 1:
        raise Unsupported("only convolutions whose stride is their kernel, without padding")
    cut = x.index.unfold(2, kernel[0], kernel[0]).unfold(3, kernel[1], kernel[1])
    patches = cut.permute(0, 2, 3, 1, 4, 5).reshape(cut.shape[2] * cut.shape[3], -1)
    name, rows, columns = build.matrix(replace(x, index=patches))
    flat = weight.flatten(1).double().numpy()
    full = np.zeros((len(flat), build.shapes[name][1]))
    np.add.at(full.T, columns, flat.T * x.single())
    offset = np.zeros(len(flat)) if bias is None else bias.double().numpy()
    made = build.new(Gemm(build.node.name, name, rows, full, offset), rows, len(full))
    return replace(made, index=torch.arange(rows * len(full)).view(rows, -1).t().reshape(made.index.shape))


def padded_patches(
    build: Builder, x: View, weight: Any, bias: Any = None, stride: Any = (1, 1), padding: str = "valid",
    dilation: Any = (1, 1), groups: int = 1,
) -> View:  # fmt: skip
    """As `patches`, its padding named by a word."""
    if padding != "valid" and tuple(weight.shape[-2:]) != (1, 1):
        raise Unsupported("only convolutions whose stride is their kernel, without padding")
    return patches(build, x, weight, bias, stride, (0, 0), dilation, groups)
