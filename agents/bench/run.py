"""Runs a suite: each problem answered by models, or by the suite's own reference, and graded; then the counts."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from agents.bench import Grade, Kind, Layout, Problem, Simulator
from agents.bench.files import commit_of
from agents.bench.grade import TOOLS, compiles, grade
from agents.bench.loop import VERIFIER, WRITER, Seen, Solved, solve
from agents.bench.record import Record, Result, Settings, digest, tools
from agents.bench.rtllm import Rtllm
from agents.bench.verilog_eval import VerilogEval
from agents.designers import BudgetSpent
from agents.ledger import Ledger, opened
from agents.models import Model
from agents.models.meter import Metered
from agents.models.prices import Price
from agents.models.record import Recorded
from agents.models.team import Casting, Team
from agents.records import Budget, Cost
from agents.roles import prompts
from hwlib.errors import InputError
from verification import cache, toolchain
from verification.sandbox import protection

LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in (VerilogEval(), Rtllm())}
Told = Callable[[Result, bool], None]
"""Told each result; whether it was kept from before."""


@dataclass(frozen=True)
class Order:
    """What is asked. `casting` is None for the suite's own answers; `problems` is a glob over names; `limit` 0 for all
    of them."""

    suite: str
    folder: Path
    kind: Kind
    simulators: tuple[Simulator, ...]
    casting: Casting | None = None
    repairs: int = 2
    problems: str = "*"
    limit: int = 0
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True)
class Report:
    """A run's results so far. `total` problems are in the suite, `chosen` were asked for; of these `unjudged` have no
    result, for the reason in `why`. `content` is a hash of every file used, `commit` the checkout's, if it is one."""

    settings: Settings
    folder: Path
    commit: str
    content: str
    total: int
    chosen: tuple[str, ...]
    results: tuple[Result, ...]
    unjudged: tuple[str, ...]
    why: str
    spent: Cost

    def counts(self) -> dict[str, int]:
        """How many of the chosen problems passed: on each simulator, and with two on either and on both."""
        simulators = self.settings.simulators
        found = {str(name): sum(result.on(name) for result in self.results) for name in simulators}
        if len(simulators) > 1:
            found["either"] = sum(any(map(result.on, simulators)) for result in self.results)
            found["both"] = sum(all(map(result.on, simulators)) for result in self.results)
        return found

    def causes(self) -> dict[str, dict[str, int]]:
        """By simulator, how many problems failed of what."""
        found = {str(name): dict[str, int]() for name in self.settings.simulators}
        for each in (mark for result in self.results for mark in result.grades if not mark.passed):
            found[each.simulator][each.cause] = found[each.simulator].get(each.cause, 0) + 1
        return found


def run(
    order: Order,
    client: Callable[[str], Model],
    prices: dict[str, Price],
    told: Told = lambda result, kept: None,
) -> Report:
    """Judge what has no result yet, in order of names, until done or the budget is spent.

    `client` makes a model of a word of --model. InputError for a wrong folder, a missing tool, or a model that cannot
    be asked: what was judged is kept, and the same order goes on.
    """
    layout, every = _suite(order)
    chosen = _chosen(order, every)
    toolchain.require(*(name for simulator in order.simulators for name in TOOLS[simulator]))
    protection()
    record = Record(_settings(order))
    with record.locked(), opened(record.folder / "ledger.sqlite") as ledger:
        work = _Work(order, layout, record, ledger, _team(order, client, ledger, prices, record))
        results, why = work.through(chosen, told)
        done = {result.problem for result in results}
        rest = tuple(problem.name for problem in chosen if problem.name not in done)
        content = cache.digest({problem.name: digest(problem) for problem in every})
        return Report(
            record.settings, record.folder, commit_of(order.folder), content, len(every),
            tuple(problem.name for problem in chosen), tuple(results), rest, why, ledger.spent(),
        )  # fmt: skip


class _Work:
    """A run in progress."""

    def __init__(self, order: Order, layout: Layout, record: Record, ledger: Ledger, team: Team | None) -> None:
        self.order, self.layout, self.record, self.ledger, self.team = order, layout, record, ledger, team
        self._fit: dict[tuple[str, Simulator], bool] = {}

    def through(self, problems: Sequence[Problem], told: Told) -> tuple[list[Result], str]:
        """The results, and why there are no more if some lack."""
        results: list[Result] = []
        why = ""
        for problem in problems:
            kept = self.record.result(problem)
            if kept is None and not why:
                try:
                    fresh = self._judge(problem)
                    told(fresh, False)
                    results.append(fresh)
                except BudgetSpent as error:
                    why = str(error)
            elif kept is not None:
                told(kept, True)
                results.append(kept)
        return results, why

    def _judge(self, problem: Problem) -> Result:
        """Answer and grade one problem; its wall time is booked whatever comes of it."""
        self._check_time()
        begin = time.monotonic()
        try:
            solved = self._solve(problem)
            graded = [self._grade(problem, solved, simulator) for simulator in self.order.simulators]
            return self.record.keep(problem, graded, solved.text, solved.texts)
        finally:
            cost = Cost(wall_s=time.monotonic() - begin)
            self.ledger.charge(f"wall/{problem.name}/{time.time_ns()}", "wall", 0, cost)

    def _check_time(self) -> None:
        most = self.order.budget.wall_s
        if most is not None and self.ledger.spent().wall_s >= most:
            raise BudgetSpent(f"budget: {most:g} s of wall time")

    def _solve(self, problem: Problem) -> Solved:
        if self.team is None:
            return Solved(problem.reference, 1 if problem.reference else 0, "the suite has none")
        return solve(self.team, problem, lambda text: self._look(problem, text), self.order.repairs)

    def _look(self, problem: Problem, text: str) -> Seen:
        """What the writer may know of its text: in the loop the bench's words, sealed only whether it compiles."""
        self._check_time()
        if self.order.kind == "in-loop":
            graded = [grade(self.layout, problem, text, simulator) for simulator in self.order.simulators]
            seen = tuple(g for g in graded if g.cause != "compile" or self._is_fit(problem, g.simulator))
            if seen:
                return Seen(seen, settled=all(each.passed for each in seen))
        return Seen(tuple(compiles(problem, text, simulator) for simulator in self.order.simulators))

    def _grade(self, problem: Problem, solved: Solved, simulator: Simulator) -> Grade:
        if not solved.text:
            cause = "no answer" if self.team else "no reference"
            return Grade(simulator, "no answer" if self.team else "no reference", solved.why or cause, 0.0)
        found = grade(self.layout, problem, solved.text, simulator, trusted=self.team is None)
        if self.team and found.cause == "compile" and not self._is_fit(problem, simulator):
            return replace(found, cause="bench", detail=f"nor does it take the suite's own reference: {found.detail}")
        return found

    def _is_fit(self, problem: Problem, simulator: Simulator) -> bool:
        """Whether the simulator takes the bench with the suite's own reference: if not, no answer can pass on it, and
        what it says is no help to a writer. A suite without reference has the benefit of the doubt."""
        key = problem.name, simulator
        if key not in self._fit:
            own = problem.reference
            self._fit[key] = not own or grade(self.layout, problem, own, simulator, trusted=True).cause != "compile"
        return self._fit[key]


def _suite(order: Order) -> tuple[Layout, tuple[Problem, ...]]:
    if not order.folder.is_dir():
        raise InputError("no such folder", str(order.folder), f"give a checkout of {order.suite} with --path")
    layout = LAYOUTS[order.suite]
    return layout, layout.problems(order.folder.resolve())


def _chosen(order: Order, every: Sequence[Problem]) -> list[Problem]:
    found = [problem for problem in every if fnmatch.fnmatchcase(problem.name, order.problems)]
    if not found:
        raise InputError(
            f"no problem is called '{order.problems}'", "--problems",
            f"give a whole name or a pattern, say '{order.problems}*'; one of {len(every)} is called {every[0].name}",
        )  # fmt: skip
    return found[: order.limit or None]


def _settings(order: Order) -> Settings:
    used = [name for simulator in order.simulators for name in TOOLS[simulator]]
    cast = order.casting
    model = "" if cast is None else f"writer={'>'.join(cast.writer)},verifier={cast.verifier}"
    versions = () if cast is None else (prompts.version(WRITER), prompts.version(VERIFIER))
    return Settings(
        suite=order.suite, kind=order.kind, simulators=order.simulators, model=model, prompts=versions,
        repairs=0 if cast is None else order.repairs, tools=tools(used),
    )  # fmt: skip


def _team(
    order: Order, client: Callable[[str], Model], ledger: Ledger, prices: dict[str, Price], record: Record
) -> Team | None:
    """The models, each recorded and on the budget; those of roles that suites do not have are not made."""
    if order.casting is None:
        return None
    casting = Casting(order.casting.verifier, order.casting.writer, order.casting.verifier)

    def make(word: str) -> Model:
        return Metered(Recorded(client(word), record.exchanges), ledger, order.budget, prices)

    return Team.of(casting, make)
