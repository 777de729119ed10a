"""What gates take and give: a candidate and its context in; a result with findings, metrics and replay command out."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol

from hwlib import contracts
from hwlib.design import Design, block_parameters, platform_files
from hwlib.errors import InputError, plain
from hwlib.tech import Technology
from verification import cache
from verification.simulate import SIMULATORS, Simulator
from verification.system.simulation import Simulation

TRANSACTIONS = 1000
"""Compared in each block on each simulator, over its parameter points."""
QUICK_TRANSACTIONS = 60
"""The same of a quick verdict."""
WHOLE = "design"
"""The scope of a candidate that is the whole design."""


MAX_TEXT = 4000
"""Characters of one text of a finding."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong, as an agent or a person can act on it; `vector` is the smallest stimulus that shows it."""

    message: str
    file: str = ""
    line: int = 0
    block: str = ""
    vector: str = ""
    expected: str = ""
    got: str = ""
    cycle: int = -1
    interface: str = ""

    def __post_init__(self) -> None:
        """Texts come from tools and files: one line each, of bounded length, nothing a terminal would obey."""
        for name in ("message", "file", "block", "vector", "expected", "got", "interface"):
            object.__setattr__(self, name, plain(getattr(self, name), MAX_TEXT))

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        seen = f"; expected {self.expected}, got {self.got}" if self.expected or self.got else ""
        when = f" in cycle {self.cycle}" if self.cycle >= 0 else ""
        vector = f"; input: {self.vector}" if self.vector else ""
        block = f"{self.block}: " if self.block and not where else ""
        return f"{where}{block}{self.message}{when}{seen}{vector}"


def refusal(error: InputError, block: str) -> Finding:
    """A tool's refusal of the RTL as a finding, with file and line where it said so."""
    file, line = getattr(error, "file", ""), getattr(error, "line", 0)
    return Finding(error.what if file else f"{error.where}: {error.what}", file, line, block)


@dataclass(frozen=True)
class GateResult:
    """What a gate found. `reused` results come from the evidence store; `replay` is set by whoever ran the gate."""

    gate: str
    scope: str
    passed: bool
    findings: tuple[Finding, ...] = ()
    metrics: dict[str, Any] = field(default_factory=dict)
    replay: str = ""
    seconds: float = 0.0
    reused: bool = False

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> GateResult:
        """The inverse of `to_data`; raises TypeError or KeyError on data of another shape."""
        findings = tuple(Finding(**finding) for finding in data["findings"])
        return GateResult(**{**data, "findings": findings})


@dataclass(frozen=True)
class Candidate:
    """What is judged: one block of a design with what it instantiates, or (`scope` WHOLE) the design."""

    design: Design
    scope: str = WHOLE

    @property
    def whole(self) -> bool:
        return self.scope == WHOLE

    @property
    def top(self) -> str:
        """The module judged."""
        return "top" if self.whole else self.scope

    def files(self) -> tuple[Path, ...]:
        """Everything needed to elaborate it, platform cells included."""
        if self.whole:
            return (*self.design.rtl, *platform_files())
        return self.design.closure_files(self.scope)

    def own_files(self) -> tuple[Path, ...]:
        """The files under judgement."""
        return self.design.rtl if self.whole else self.design.block_files(self.scope)

    def missing(self) -> tuple[Finding, ...]:
        """A finding for each block without the file that is named as it; no tool needs to say it in its own words."""
        have = {path.stem for path in self.own_files()}
        wanted = contracts.names() if self.whole else (self.scope,)
        return tuple(Finding(f"no file {name}.v", block=name) for name in wanted if name not in have)

    def points(self) -> list[dict[str, int]]:
        """The parameter points it is judged at, each once: the contract's bench points, and the design's own, which
        comes last for a block (a small point shows a fault more simply) and first for a design."""
        points = [dict(point) for point in contracts.load(self.top).bench_points]
        others = [point for point in points if point != self.own_point()]
        return [self.own_point(), *others] if self.whole else [*others, self.own_point()]

    def smallest_point(self) -> dict[str, int]:
        """Of these the one of the least product of parameters."""
        return min(self.points(), key=lambda point: prod(point.values()))

    def own_point(self) -> dict[str, int]:
        """The parameters it has in the design."""
        return block_parameters(self.top, self.design.manifest.parameters)

    def declared(self, name: str) -> int:
        """The first line of the block's file that has a word beginning with `name`; 0 if none."""
        path = self.design.folder / "rtl" / f"{self.scope}.v"
        code = [line.partition("//")[0] for line in path.read_text(errors="replace").splitlines()]
        word = re.compile(rf"\b{re.escape(name)}(?:_|\b)")
        return next((number for number, line in enumerate(code, 1) if word.search(line)), 0)

    def digest(self) -> str:
        """Content of everything it is made of; for a design the manifest too."""
        manifest = self.design.tree_hash if self.whole else ""
        return hashlib.sha256(f"{self.scope} {manifest} {cache.digest_files(self.files())}".encode()).hexdigest()


@dataclass(frozen=True)
class WorkloadReport:
    """What running a workload on RTL showed: how many values were compared with the golden executor, and counters."""

    findings: tuple[Finding, ...]
    compared: int
    counters: dict[str, int] = field(default_factory=dict)


class Workload(Protocol):
    """Something compiled that a whole design can run; the caller brings it, as the compiler is not ours to import."""

    @property
    def key(self) -> str:
        """Identifies program, inputs and expectation on any design: evidence serves only the same."""

    def run(self, design: Design, open_session: Callable[[], AbstractContextManager[Simulation]]) -> WorkloadReport:
        """Compile for `design`, run it in a session, and compare every output with the golden executor."""


@dataclass(frozen=True)
class Context:
    """How strictly and with what a candidate is judged.

    transactions: at least so many are compared for each block and simulator, over all points. stall: probability a
    cycle that the memory of `integrate` refuses. Figures of `synthesise` beyond the limits fail it; None: no limit.
    """

    transactions: int = TRANSACTIONS
    seed: int = 1
    simulators: tuple[Simulator, ...] = SIMULATORS
    jobs: int = 2
    workload: Workload | None = None
    memory_latency: int = 20
    memory_stall: float = 0.1
    technology: Technology | None = None
    clock_ns: float | None = None
    area_limit_um2: float | None = None
    power_limit_mw: float | None = None
    quick: bool = False
    """One block at its design's parameters alone, on one simulator, Yosys' lint at the smallest bench point: what an
    edit is tried with, not what accepts it."""
    replay: tuple[str, ...] = ()
    """Words a replay command needs besides: how the caller's command line names this context."""
    progress: Callable[[str, str, str], None] = lambda gate, scope, state: None
    """Called with gate, scope and `running`, `passed`, `failed` or `reused`; from several threads."""


class Gate(Protocol):
    """A gate is a module with these: its name, its version (raised when its verdicts may change), and `run`."""

    NAME: str
    VERSION: int

    @staticmethod
    def settings(candidate: Candidate, context: Context) -> str:
        """Whatever in the context (and in data of the gate's own) decides the verdict, as text for the evidence key."""

    @staticmethod
    def run(candidate: Candidate, context: Context) -> GateResult:
        """Judge."""


def replay_command(gate: str, candidate: Candidate, context: Context) -> str:
    """The command a person pastes to see it again."""
    block = [] if candidate.whole else ["--block", candidate.scope]
    stimulus = ["--transactions", str(context.transactions), "--seed", str(context.seed)] if gate == "simulate" else []
    quick = ["--quick"] if context.quick else []
    words = ["rtloom", "verify", str(candidate.design.folder), "--gate", gate, *block, *quick, *stimulus]
    words += context.replay
    return shlex.join(words)
