"""Public benchmark suites of RTL generation, run on checkouts that the user has: what a problem, a grade and a layout
are. The suites' files are read, run and never copied into results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from verification.simulate import SIMULATORS, Simulator

Kind = Literal["sealed", "in-loop", "reference"]
"""Whose answers were graded and what their writer saw. sealed: a model's, from the specification alone; in-loop: a
model's that was told what the suite's bench printed; reference: the suite's own. Figures of two kinds never meet."""

Cause = Literal[
    "passed", "wrong", "compile", "bench", "time", "limit", "silent", "refused", "no answer", "no reference"
]
"""Why a grade is what it is. wrong: the bench says so; compile: the simulator refuses the sources; bench: it refuses
them with the suite's own reference, too, so that no answer can pass; time: the limit on it, or the bench's own; limit:
memory, files or output; silent: the bench gave no verdict; refused: the answer's text could forge a verdict."""


@dataclass(frozen=True)
class Problem:
    """One problem. `module` is what the answer must define, `top` the bench's own top module.

    `before` and `bench` are files by name, compiled before and after the answer; `data` lie beside the run.
    `reference` is the suite's own answer, empty if there is none.
    """

    name: str
    specification: str
    module: str
    top: str
    before: Mapping[str, str]
    bench: Mapping[str, str]
    data: Mapping[str, bytes]
    reference: str
    answer_file: str


@dataclass(frozen=True)
class Verdict:
    """What a bench's printed words mean; `detail` is one line."""

    cause: Cause
    detail: str


class Layout(Protocol):
    """How one suite lays out its problems, and how its benches speak."""

    name: str

    def problems(self, folder: Path) -> tuple[Problem, ...]:
        """Every problem below `folder`, by name; InputError if that is not such a checkout."""

    def verdict(self, problem: Problem, output: str) -> Verdict:
        """The meaning of what the bench printed."""


@dataclass(frozen=True)
class Grade:
    """What the suite's bench says of an answer on one simulator. `output`: the last it printed, for a writer in the
    loop; it is not kept with results."""

    simulator: Simulator
    cause: Cause
    detail: str
    seconds: float
    output: str = field(default="", repr=False, compare=False)

    @property
    def passed(self) -> bool:
        return self.cause == "passed"


__all__ = ["SIMULATORS", "Cause", "Grade", "Kind", "Layout", "Problem", "Simulator", "Verdict"]
