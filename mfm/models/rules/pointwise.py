"""Activations, and gates that a sigmoid and a product make."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from mfm.models.builder import Builder
from mfm.models.graph import (
    Activation,
)
from mfm.models.values import Partial, Unsupported, View


def pointwise(build: Builder, x: Any, function: str) -> View:
    """A function of FUNCTIONS of every element."""
    if not isinstance(x, View):
        raise Unsupported("a function of something other than computed values")
    rows, cols = x.index.numel() // x.index.shape[-1], x.index.shape[-1]
    name = build.whole(x)
    build.new(Activation(build.node.name, name, rows, function), rows, cols)
    return View(build.node.name, torch.arange(rows * cols).view(x.index.shape))


def sigmoid(build: Builder, x: Any) -> Partial:
    """The first half of a gate."""
    if not isinstance(x, View):
        raise Unsupported("a sigmoid of something other than computed values")
    return Partial("sigmoid", replace(x, factor=1.0), x.single())


def gated(build: Builder, x: View, gate: Partial) -> View:
    """``x * sigmoid(slope * x)``."""
    same = x.base == gate.of.base and torch.equal(x.index, gate.of.index) and x.single() == 1.0
    function = {1.0: "silu", 1.702: "quick_gelu"}.get(round(gate.number, 6))
    if not same or function is None:
        raise Unsupported("a sigmoid is used other than in SiLU or the quick GELU")
    return pointwise(build, x, function)
