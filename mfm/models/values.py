"""What an importer knows of a node's result while it imports: views of tensors, and halves of operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

SAMPLE = ""
"""Base name of views of the model's input."""


class Unsupported(Exception):
    """Why a node cannot be imported; the importer adds which node and its source line."""


@dataclass(frozen=True)
class View:
    """Elements of tensor `base` times `factor` (one number, or a number for each element).

    index holds flat positions, or -1 where the value is that of `fill` (0 if None).
    """

    base: str
    index: Tensor
    fill: Tensor | None = None
    factor: float | Tensor = 1.0

    def single(self) -> float:
        """The factor of every element. Raises Unsupported if they differ."""
        if isinstance(self.factor, float):
            return self.factor
        if (self.factor != self.factor.flatten()[0]).any():
            raise Unsupported("elements of different constant factors are used other than in a rotation")
        return float(self.factor.flatten()[0])


@dataclass(frozen=True)
class Scores:
    """q . k^T * scale, whether its mask is causal, and whether its softmax has been taken."""

    q: View
    k: View
    scale: float
    causal: bool = False
    normalised: bool = False


@dataclass(frozen=True)
class Partial:
    """Half of a norm or of an activation: `kind` of `of`, with the number that comes in.

    square; mean square (epsilon); rms (epsilon); inverse rms (epsilon); sigmoid (slope).
    """

    kind: str
    of: View
    number: float = 0.0


SYMBOLIC = (View, Scores, Partial)


def spread(view: View, where: Tensor) -> Tensor:
    """The factors of `view`, that of element i at position where[i]."""
    factors = torch.as_tensor(view.factor).double().expand(view.index.shape).flatten()
    spread = torch.empty_like(factors)
    spread[where] = factors
    return spread


def filled(part: Any) -> bool:
    return isinstance(part, Tensor) or part.fill is not None


def fill_of(part: Any) -> Tensor:
    """The constants of a joined part, zero where it is computed."""
    if isinstance(part, Tensor):
        return part
    filled: Tensor = torch.zeros(part.index.shape) if part.fill is None else part.fill
    return filled
