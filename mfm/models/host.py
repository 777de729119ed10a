"""What no other op of the graph IR expresses and the host computes: steps with where in the model they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Source:
    """Where an operation is in the model: its name, the path of its module ("" for the outermost), ``file:line``."""

    operation: str
    module: str
    where: str

    def __str__(self) -> str:
        return f"{self.operation}, module {self.module or '(the model)'} ({self.where})"


@dataclass(frozen=True)
class Step:
    """One operation: a result [rows, cols] named `out` of tensors named `reads`."""

    out: str
    reads: tuple[str, ...]
    function: Callable[[Mapping[str, Float]], Float]
    source: Source


@dataclass(frozen=True)
class Host:
    """Steps in order, of tensors named `reads`; the last one's result [rows, cols] is `out`."""

    out: str
    reads: tuple[str, ...]
    rows: int
    cols: int
    steps: tuple[Step, ...]

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where its operations come from, each once."""
        return tuple(dict.fromkeys(step.source for step in self.steps))

    def compute(self, values: Mapping[str, Float]) -> Float:
        """The result of tensors `values`, those of `reads` with all their rows."""
        known = {name: values[name] for name in self.reads}
        for step in self.steps:
            known[step.out] = step.function(known)
        return known[self.out]


def alone(out: str, reads: tuple[str, ...], shape: tuple[int, int], step: Step) -> Host:
    """A Host of one step."""
    return Host(out, reads, *shape, (step,))


def joined(op: Host, makers: Mapping[str, Host]) -> Host:
    """`op` with the steps of those of `makers` (by the tensor they make) that it reads, so that nothing is between."""
    steps = {step.out: step for name in op.reads if name in makers for step in makers[name].steps}
    steps |= {step.out: step for step in op.steps}
    reads = dict.fromkeys(name for step in steps.values() for name in step.reads if name not in steps)
    return Host(op.out, tuple(reads), op.rows, op.cols, tuple(steps.values()))
