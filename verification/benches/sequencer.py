"""Bench of `sequencer`: random programs, their issue order, waits, ends and faults.

The judge works from cycle stamps: what each engine was given, in which order, which retire pulses had come by then,
and when and how each run finished.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

from hwlib import isa
from hwlib.isa import HEADER, INSTRUCTION_BYTES, WAIT_BITS, Engine, Fault
from verification.benches.programs import (
    COUNTS,
    END_WORD,
    Machine,
    Program,
    crossed_body,
    defects,
    gathered_body,
    legal_word,
    program,
    random_body,
    reserved,
)
from verification.benches.scenario import (
    Accept,
    AxiMemory,
    Beat,
    Drive,
    Mismatch,
    Observed,
    Respond,
    Scenario,
    Seen,
    compare_stream,
    show,
)  # fmt: skip

PAGE = 4096
REGION, REGIONS = 1 << 20, 1 << 10
ISSUE_LATENCY = 6
STOP_CYCLES = 2
READ_AHEAD = 4
SETTLE = 40
"""Cycles after a faulty run in which its engines still retire."""
PERF_SLACK = 3
NAMES = {engine: engine.name.lower() for engine in Engine}
WAITS = dict(zip(Engine, HEADER[2:], strict=True))
PC_NONE = (1 << 32) - 1


@dataclass(frozen=True)
class _Plan:
    """How a scenario differs; `retire`: cycles from issue to retirement; `engine_fault`: the vector engine fails;
    `even`: every engine gets as many instructions; `behind`: one engine gets all, so the failing fetch is far ahead;
    `reserved`: programs of one instruction with a reserved bit, so many.
    """

    name: str
    body: tuple[int, int] = (0, 40)
    waiting: float = 0.3
    stall: float = 0.3
    retire: tuple[int, int] = (1, 20)
    latency: tuple[int, int] = (1, 12)
    bus_stall: float = 0.2
    fault: Fault = Fault.NONE
    engine_fault: bool = False
    reset: bool = False
    even: bool = False
    behind: bool = False
    reserved: int = 0

    @property
    def fails(self) -> bool:
        return self.engine_fault or self.fault is not Fault.NONE

    @property
    def full_rate(self) -> bool:
        return self.stall == 0 and self.bus_stall == 0 and self.waiting == 0


BEHIND = range(14, 22)
"""Instructions before one whose fetch fails, more than queues take: it waits in each of eight places of a buffer."""
_PLANS = (
    _Plan("random"),
    _Plan("full-rate", (20, 40), waiting=0, stall=0, retire=(1, 3), latency=(1, 1), bus_stall=0),
    _Plan("waits", waiting=0.9, stall=0.1, retire=(5, 30)),
    _Plan("refused", (30, 50), waiting=0.1, stall=0.98, bus_stall=0.1),
    _Plan("slow-memory", latency=(20, 60), bus_stall=0.5),
    _Plan("many", (136, 150), waiting=0.9, stall=0.05, retire=(1, 6), latency=(1, 4), bus_stall=0.05, even=True),
    _Plan("late", (40, 60), waiting=0, stall=0.02, retire=(250, 400), latency=(1, 4), bus_stall=0.02, even=True),
    _Plan("together", (40, 60), stall=0, retire=(100, 100), latency=(1, 2), bus_stall=0),
    _Plan("reset", (20, 40), reset=True),
    _Plan("illegal", (0, 6), fault=Fault.ILLEGAL_INSTRUCTION),
    _Plan("reserved", stall=0, latency=(1, 1), bus_stall=0, fault=Fault.ILLEGAL_INSTRUCTION, reserved=12),
    _Plan("address-range", (0, 6), fault=Fault.ADDRESS_RANGE),
    _Plan("bus-error", (0, 12), fault=Fault.AXI_READ),
    *(
        _Plan(
            f"bus-error-behind-{n}",
            (n, n),
            stall=0.95,
            retire=(1, 5),
            latency=(1, 2),
            bus_stall=0,
            fault=Fault.AXI_READ,
            behind=True,
        )
        for n in BEHIND
    ),
    _Plan("engine-fault", (8, 30), engine_fault=True),
)
FAULTY_RUNS = 8
GOOD_SHARE = 0.4
LONG_BUDGET, LONG_BODY = 300, (500, 600)
"""Instructions of the plan `many` with so many transactions asked for and more; then every reserved bit is tried."""
ALL_RESERVED = len(isa.BY_NAME) * isa.INSTRUCTION_BITS


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Programs one after another: busy and slow engines, slow memory, a reset, and every kind of fault."""
    plans = [p for p in _PLANS if p.fault is not Fault.ADDRESS_RANGE or point["WORDS"] < 1 << 16]
    if transactions >= LONG_BUDGET:
        longer: dict[str, dict[str, Any]] = {"many": {"body": LONG_BODY}, "reserved": {"reserved": ALL_RESERVED}}
        plans = [replace(p, **longer.get(p.name, {})) for p in plans]
    count = max(10, -(-transactions // sum(not p.fails for p in plans)))
    return [_scenario(plan, point, seed * len(plans) + index, count) for index, plan in enumerate(plans)]


def _scenario(plan: _Plan, point: Mapping[str, int], seed: int, count: int) -> Scenario:
    rng = random.Random(seed)
    programs = _programs(rng, plan, point, count)
    case = _Case(plan, point, programs, [rng.randint(1, 7) for _ in programs])
    issued = sum(len(p.words) - 1 for p in case.programs)
    low, high = case.error_range
    retiring = [e for e in Engine if not (plan.engine_fault and e is Engine.VECTOR)]
    agents = (
        Drive("start", case.starts(), 0.2, SETTLE if plan.fails and not plan.reserved else 0),
        AxiMemory("memory", point["AXI_BYTES"], case.image(), ar="ar", r="r", latency=plan.latency,
                  stall=plan.bus_stall, error_low=low, error_high=high),
        *(Accept(name, plan.stall) for name in NAMES.values()),
        *(Respond(NAMES[e], "retire", NAMES[e], plan.retire) for e in retiring),
        *((Drive("fault", case.faults(), 0.97),) if plan.engine_fault else ()),
    )  # fmt: skip
    return Scenario(
        name=plan.name,
        agents=agents,
        until={"finish": len(case.programs)},
        judge=case.judge,
        transactions=0 if plan.fails else issued,
        max_cycles=4000 + 200 * issued + 600 * len(case.programs),
        seed=seed,
        drain=SETTLE,
        reset_after=_half_way(case.programs) if plan.reset else None,
        may_withdraw=tuple(NAMES.values()) if plan.fails else (),
    )


def _half_way(programs: Sequence[Program]) -> tuple[str, int]:
    """The engine that is given most, and half of what it is given."""
    given = {name: sum(len(p.engine_words(engine)) for p in programs) for engine, name in NAMES.items()}
    busiest = max(given, key=lambda name: given[name])
    return busiest, max(1, given[busiest] // 2)


def _programs(rng: random.Random, plan: _Plan, point: Mapping[str, int], count: int) -> list[Program]:
    """Programs of at least `count` instructions; where the plan fails, every kind of failure and good ones between."""
    machine = Machine.at(point)
    if plan.fails:
        return _failing_programs(rng, plan, machine)
    made: list[Program] = []
    while sum(len(p.words) - 1 for p in made) < count:
        size = rng.randint(*plan.body)
        if plan.name == "waits" and not made:
            body = crossed_body(rng, point["QUEUE"], machine)
        elif plan.name == "together":  # so that all engines retire in one cycle
            body = gathered_body(rng, size // len(Engine), machine)
        else:
            body = random_body(rng, size, plan.waiting, machine, plan.even)
        made.append(program(rng, _address(rng, len(made)), body, Fault.NONE))
    return made


def _failing_programs(rng: random.Random, plan: _Plan, machine: Machine) -> list[Program]:
    if plan.behind:
        op = rng.choice(list(COUNTS))
        words = [legal_word(rng, op, machine) for _ in range(plan.body[0] + 1)]
        return [program(rng, REGION // 2 - 2 * INSTRUCTION_BYTES, words[:-1], plan.fault, words[-1])]
    if plan.reserved:
        words = reserved(rng, machine)[: plan.reserved]
        return [program(rng, _address(rng, index), [], plan.fault, word) for index, word in enumerate(words)]
    last = defects(rng, plan.fault, machine) or [END_WORD] * FAULTY_RUNS
    made: list[Program] = []
    for word in last:
        body = random_body(rng, rng.randint(*plan.body), plan.waiting, machine)
        if plan.engine_fault:
            body.append(legal_word(rng, "SOFTMAX", machine))
        made.append(program(rng, _address(rng, len(made)), body, plan.fault, word))
        if not plan.engine_fault and rng.random() < GOOD_SHARE:
            good = random_body(rng, rng.randint(*plan.body), plan.waiting, machine)
            made.append(program(rng, _address(rng, len(made)), good, Fault.NONE))
    return _with_bus_error(rng, made) if plan.fault is Fault.AXI_READ else made


def _with_bus_error(rng: random.Random, made: list[Program]) -> list[Program]:
    """The failing programs replaced by one and the same, cut at the instruction whose fetch will fail."""
    whole = made[0]
    cut = replace(whole, words=whole.words[: rng.randrange(len(whole.words)) + 1])
    return [cut if p.fault is Fault.AXI_READ else p for p in made]


def _address(rng: random.Random, index: int) -> int:
    """A multiple of 32 anywhere in 40 bits, often just before a page's end; programs do not meet."""
    middle = REGION * (REGIONS * rng.randrange(REGIONS) + index % REGIONS) + REGION // 2
    return middle - INSTRUCTION_BYTES * rng.choice((0, 1, 2, 3, rng.randrange(128)))


@dataclass(frozen=True)
class _Case:
    """What is run, for the judge. `codes`: the fault the vector engine reports in each run."""

    plan: _Plan
    point: Mapping[str, int]
    programs: list[Program]
    codes: list[int]

    def starts(self) -> list[Beat]:
        return [Beat({"addr": p.address}, (("finish", index),)) for index, p in enumerate(self.programs)]

    def faults(self) -> list[Beat]:
        return [Beat({"code": code}, (("start", index + 1),)) for index, code in enumerate(self.codes)]

    def image(self) -> dict[int, int]:
        return {address: byte for p in self.programs for address, byte in p.image().items()}

    @property
    def error_range(self) -> tuple[int, int]:
        """The beats whose read fails: one of the failing instruction, or what follows the last program's END."""
        if self.plan.fault is not Fault.AXI_READ:
            last = self.programs[-1]
            low = last.address + INSTRUCTION_BYTES * len(last.words)
            return low, low + PAGE
        cut, size = self.programs[0], self.point["AXI_BYTES"]
        low = (
            cut.address + INSTRUCTION_BYTES * len(cut.words) - size * (1 + cut.words[-1] % (INSTRUCTION_BYTES // size))
        )
        return low, low + size

    def judge(self, seen: Observed) -> list[Mismatch]:
        finish = seen.transfers["finish"]
        if len(finish) != len(self.programs):
            return [
                Mismatch("finish", len(finish), -1, f"{len(self.programs)} runs ended", str(len(finish)), "all runs")
            ]
        for run in self._runs(seen):
            wrong = run.judge_issue() or run.judge_finish() or run.judge_fetch()
            wrong = wrong or (run.judge_pace() if self.plan.full_rate else [])
            if wrong:
                return wrong
        if self.plan.fails:
            return []
        wrong = self._judge_perf(seen)
        return wrong or (self._judge_read_ahead(seen) if self.plan.name == "refused" else [])

    def _runs(self, seen: Observed) -> list[_Run]:
        """Each run with the transfers between its start and the next."""
        begins = [s.cycle for s in seen.transfers["start"]]
        ends = [*begins[1:], seen.cycles]
        return [
            _Run(index, p, {name: _between(t, *span) for name, t in seen.transfers.items()}, self.point)
            for index, (p, span) in enumerate(zip(self.programs, zip(begins, ends, strict=True), strict=True))
        ]

    def _judge_perf(self, seen: Observed) -> list[Mismatch]:
        """The counted wires: exact for decoded instructions, bounded for running and waiting."""
        runs, perf = self._runs(seen), seen.wires["perf"]
        running = sum(run.end - run.begin for run in runs)
        bounds = {"issue": (sum(len(p.words) for p in self.programs),) * 2}
        bounds["running"] = (running - len(runs), running + len(runs))
        for engine, name in NAMES.items():
            bounds[f"wait_{name}"] = (sum(r.least_waiting(engine) for r in runs), sum(r.waiting(engine) for r in runs))
        for name, (low, high) in bounds.items():
            if not low <= perf[name] <= high:
                want, got = f"{name} high for {low} to {high} cycles", f"{perf[name]} cycles"
                return [Mismatch("perf", 0, -1, want, got, "the whole scenario")]
        return []

    def _judge_read_ahead(self, seen: Observed) -> list[Mismatch]:
        """While engines refuse, fetching goes on."""
        ahead = max(run.most_ahead() for run in self._runs(seen))
        if ahead >= READ_AHEAD:
            return []
        return [Mismatch("r", 0, -1, f"{READ_AHEAD} instructions ahead", str(ahead), "engines that refuse")]


def _between(transfers: Sequence[Seen], begin: int, end: int) -> list[Seen]:
    """Those of these cycles; `transfers` are in their order."""
    first, last = (bisect_left(transfers, cycle, key=attrgetter("cycle")) for cycle in (begin, end))
    return list(transfers[first:last])


@dataclass(frozen=True)
class _Run:
    """One run: its program and the transfers from its start to the next one's."""

    index: int
    program: Program
    transfers: Mapping[str, list[Seen]]
    point: Mapping[str, int]

    @property
    def begin(self) -> int:
        return self.transfers["start"][0].cycle

    @property
    def end(self) -> int:
        return self.transfers["finish"][0].cycle

    @property
    def failed(self) -> bool:
        return self.program.fault is not Fault.NONE or bool(self.transfers["fault"])

    @property
    def name(self) -> str:
        return f"run {self.index} of {len(self.program.words)} instructions at 0x{self.program.address:x}"

    def judge_issue(self) -> list[Mismatch]:
        """Each engine got its instructions, in order, once, and none before its waits were met."""
        for engine, name in NAMES.items():
            given, due = self.transfers[name], self.program.engine_words(engine)
            if self.failed:
                due = due[: len(given)]
            expected = [{"instr": word} for _, word in due]
            wrong = compare_stream(name, given, expected, [f"{self.name}: {index}" for index, _ in due])
            wrong = wrong or self._judge_waits(name, given) or self._judge_stopped(name, given)
            if wrong:
                return wrong
        return []

    def _judge_waits(self, name: str, given: Sequence[Seen]) -> list[Mismatch]:
        for index, seen in enumerate(given):
            for engine, field in WAITS.items():
                wait = field.extract(seen.payload["instr"])
                retired = sum(pulse.cycle <= seen.cycle for pulse in self._pulses(engine))
                if (retired - wait) % (1 << WAIT_BITS) >> WAIT_BITS - 1:
                    want, got = f"{wait} of {NAMES[engine]} retired first", f"{retired} retired"
                    return [Mismatch(name, index, seen.cycle, want, got, f"{self.name}: 0x{seen.payload['instr']:x}")]
        return []

    def _judge_stopped(self, name: str, given: Sequence[Seen]) -> list[Mismatch]:
        """Nothing is issued after the run's end, nor once an engine has failed."""
        faults = self.transfers["fault"]
        stop = min([self.end] + [f.cycle + STOP_CYCLES for f in faults])
        late = [(index, s) for index, s in enumerate(given) if s.cycle > stop]
        return [
            Mismatch(name, i, s.cycle, f"nothing after cycle {stop}", show(s.payload), self.name) for i, s in late[:1]
        ]

    def judge_finish(self) -> list[Mismatch]:
        """The right fault and pc; after END not before everything issued has retired."""
        finish = self.transfers["finish"][0]
        faults = self.transfers["fault"]
        fault = faults[0].payload["code"] if faults else int(self.program.fault)
        last = len(self.program.words) - 1
        pcs = [*range(max((i for i, _ in self._issued()), default=-1), last + 1)] if faults else [last]
        if finish.payload["fault"] != fault or finish.payload["pc"] not in [pc & PC_NONE for pc in pcs]:
            want = show({"fault": fault, "pc": pcs[0] & PC_NONE})
            return [Mismatch("finish", self.index, finish.cycle, want, show(finish.payload), self.name)]
        issued = sum(len(self.transfers[name]) for name in NAMES.values())
        retired = sum(pulse.cycle <= finish.cycle for engine in Engine for pulse in self._pulses(engine))
        if not self.failed and retired != issued:
            want, got = f"after {issued} instructions retired", f"after {retired}"
            return [Mismatch("finish", self.index, finish.cycle, want, got, self.name)]
        return []

    def _issued(self) -> Iterator[tuple[int, Seen]]:
        """(index in the program, transfer) of every instruction issued."""
        for engine, name in NAMES.items():
            for (index, _), seen in zip(self.program.engine_words(engine), self.transfers[name], strict=False):
                yield index, seen

    def judge_fetch(self) -> list[Mismatch]:
        """All that was asked for has come when the run ends."""
        asked = sum(s.payload["len"] + 1 for s in self.transfers["ar"])
        taken = sum(s.cycle <= self.end for s in self.transfers["r"])
        if asked == taken:
            return []
        return [Mismatch("r", taken, self.end, f"{asked} beats before finish", f"{taken} beats", self.name)]

    def judge_pace(self) -> list[Mismatch]:
        """With free engines and no waits: instructions leave as fast as they come, soon after they came."""
        bound = 0
        pace = self._beats + 1
        for index, seen in sorted(self._issued(), key=lambda item: item[0]):
            bound = max(self._arrival(index) + ISSUE_LATENCY, bound + pace)
            if seen.cycle > bound:
                want, got = f"issued by cycle {bound}", f"in cycle {seen.cycle}"
                return [Mismatch("issue", index, seen.cycle, want, got, f"{self.name}, free engines")]
        return []

    @property
    def _beats(self) -> int:
        return INSTRUCTION_BYTES // self.point["AXI_BYTES"]

    def _arrival(self, index: int) -> int:
        """The cycle of the last beat of instruction `index`."""
        return self.transfers["r"][(index + 1) * self._beats - 1].cycle

    def _pulses(self, engine: Engine) -> list[Seen]:
        return self.transfers.get(f"retire.{NAMES[engine]}", [])

    def _met(self, word: int) -> int:
        """The cycle in which the last wait of `word` was met; the start if it waits for nothing."""
        met = self.begin
        for engine, field in WAITS.items():
            wait, pulses = field.extract(word), self._pulses(engine)
            if 0 < wait <= len(pulses):
                met = max(met, pulses[wait - 1].cycle)
        return met

    def waiting(self, engine: Engine) -> int:
        """Cycles at most in which an instruction at the head of `engine`'s queue can have been held by a wait."""
        total, before = 0, self.begin
        for (index, word), seen in zip(self.program.engine_words(engine), self.transfers[NAMES[engine]], strict=True):
            held = self._met(word) - max(before, self._arrival(index))
            total += held + PERF_SLACK if held > -PERF_SLACK and self._met(word) > self.begin else 0
            before = seen.cycle
        return total

    def least_waiting(self, engine: Engine) -> int:
        """Cycles at least in which the program's first instruction, if for `engine`, was held at the queue's head."""
        due = self.program.engine_words(engine)
        if not due or due[0][0] != 0:
            return 0
        return max(0, self._met(due[0][1]) - self._arrival(0) - ISSUE_LATENCY)

    def most_ahead(self) -> int:
        """Instructions fetched and not yet issued, at most."""
        issued = sorted(seen.cycle for _, seen in self._issued())
        return max((self._fetched(cycle) - index for index, cycle in enumerate(issued)), default=0)

    def _fetched(self, cycle: int) -> int:
        return sum(s.cycle < cycle for s in self.transfers["r"]) // self._beats
