"""Bench of `control`: register traffic around runs, against a model of the registers and exact event counts.

The script fixes the order of writes, starts and finishes; the judge takes their cycles from the observation, so that
each read has the values the registers held while it was answered. Counters read between runs must fit one and the
same window (from start to finish, give or take a cycle at either end) in every run and counter of a scenario.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise

from hwlib import contracts
from verification.benches.scenario import (
    Accept,
    Beat,
    Drive,
    Mismatch,
    Observed,
    Payload,
    Scenario,
    Seen,
    Wave,
    compare_stream,
    show,
)  # fmt: skip

CONTROL, STATUS, PROGRAM_LOW, PROGRAM_HIGH, PC, VERSION, CONFIG = range(0, 0x1C, 4)
VERSION_WORD = 0x524C << 16 | 1
COUNTERS, COUNTER_BASE, COUNTER_BYTES = 15, 0x100, 8
WRITABLE = (CONTROL, PROGRAM_LOW, PROGRAM_HIGH)
START, CLEAR, IRQ_ENABLE = 1, 1 << 1, 1 << 8
SLVERR = 2
ADDRESS_BITS = 12
WORD = (1 << 32) - 1
MIN_ACCESSES = 60
"""Reads and writes of a scenario at least: two runs or more."""
LATENCY = 4
INTERVALS = {"aw": 3, "ar": 4}
"""Cycles a write and a read may take at full rate."""
WAVE_CYCLES = 1500
OPENING, CLOSING = (0, 1, 2), (-1, 0, 1)
"""Cycles from the starting write to the first counted one, and from finish to the last."""
EVENTS = tuple(next(i for i in contracts.load("control").interfaces if i.name == "event").fields)

After = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class _Plan:
    """How a scenario differs: bubbles, back-pressure, how long runs go on, whether there are any."""

    name: str
    gap: float = 0.3
    stall: float = 0.3
    patience: float = 0.97
    paced: bool = False
    reset: bool = False
    sweep: bool = False


_PLANS = (
    _Plan("random"),
    _Plan("quick", gap=0.0, stall=0.0, patience=0.5),
    _Plan("long-runs", gap=0.6, patience=0.995),
    _Plan("refused", stall=0.8),
    _Plan("idle", gap=0.0, stall=0.0, paced=True),
    _Plan("neighbours", gap=0.1, stall=0.1, sweep=True),
    _Plan("reset", reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Runs with random register traffic, short and long ones, none at full rate, addresses near registers, a reset."""
    count = max(MIN_ACCESSES, -(-transactions // len(_PLANS)))
    return [_scenario(plan, point, seed * len(_PLANS) + index, count) for index, plan in enumerate(_PLANS)]


def _scenario(plan: _Plan, point: Mapping[str, int], seed: int, count: int) -> Scenario:
    rng = random.Random(seed)
    script = _Script(rng)
    if plan.sweep:
        script.sweep()
    while len(script.aw) + len(script.ar) < count:
        if plan.paced:
            script.write_idle(count // 2)
            script.read_random(count // 2, ())
        else:
            script.add_run()
    waves = _waves(rng)
    case = _Case(plan, point, script, waves)
    total = len(script.aw) + len(script.ar)
    return Scenario(
        name=plan.name,
        agents=(
            Drive("aw", script.aw, plan.gap), Drive("w", script.w, plan.gap), Accept("b", plan.stall),
            Drive("ar", script.ar, plan.gap), Accept("r", plan.stall),
            Drive("finish", script.finish, plan.patience), Wave("event", waves),
        ),
        until={"b": len(script.aw), "r": len(script.ar), "finish": len(script.finish)},
        judge=case.judge,
        transactions=total,
        max_cycles=2000 + 40 * total + 2000 * len(script.finish),
        seed=seed,
        reset_after=("r", len(script.ar) // 2) if plan.reset else None,
    )  # fmt: skip


def _waves(rng: random.Random) -> list[Payload]:
    """Events cycle by cycle, each as likely as its own share."""
    shares = {name: rng.choice((0.0, 0.05, 0.5, 0.95, 1.0)) for name in EVENTS}
    return [{name: int(rng.random() < share) for name, share in shares.items()} for _ in range(WAVE_CYCLES)]


@dataclass
class _Script:
    """Beats under construction. Runs follow each other: traffic, start, traffic, finish, every counter read back."""

    rng: random.Random
    aw: list[Beat] = field(default_factory=list)
    w: list[Beat] = field(default_factory=list)
    ar: list[Beat] = field(default_factory=list)
    finish: list[Beat] = field(default_factory=list)

    def add_run(self) -> None:
        rng, run = self.rng, len(self.finish)
        begin: After = (("finish", run), ("r", len(self.ar)))
        self.read_random(rng.randint(0, 8), (("b", len(self.aw)), ("finish", run)))
        self.write_idle(rng.randint(0, 6), begin)
        self._write(CONTROL, START | self._noise(CLEAR | IRQ_ENABLE), begin)
        self.read_random(rng.randint(0, 8), (("start", run + 1),))
        for _ in range(rng.randint(0, 5)):
            address = rng.choice((CONTROL, CONTROL, PROGRAM_LOW, PROGRAM_HIGH, *_others(rng)))
            self._write(address, rng.getrandbits(32), (("start", run + 1),))
        result = {"fault": rng.choice((0, rng.randrange(8))), "pc": rng.getrandbits(32)}
        self.finish.append(Beat(result, (("start", run + 1), ("b", len(self.aw)))))
        order = rng.sample(range(COUNTERS), COUNTERS)
        self._read([STATUS, PC, *(COUNTER_BASE + COUNTER_BYTES * n for n in order)], (("finish", run + 1),))

    def write_idle(self, count: int, after: After = ()) -> None:
        """Writes that start nothing."""
        for _ in range(count):
            address = self.rng.choice((*WRITABLE, *_others(self.rng)))
            keep = ~START & WORD if address == CONTROL else WORD
            self._write(address, self.rng.getrandbits(32) & keep, after)

    def sweep(self) -> None:
        """Every address one bit from a defined one, and from the first and last counter: writes there change nothing,
        reads tell it is none, or another."""
        near = {register: [register ^ 1 << bit for bit in range(2, ADDRESS_BITS)] for register in range(0, 0x1C, 4)}
        for register in WRITABLE:
            for address in near[register]:
                if address not in WRITABLE:
                    self._write(address, self.rng.getrandbits(32) & ~START, ())
        self._read([*WRITABLE, *(address for nearby in near.values() for address in nearby)], (("b", len(self.aw)),))
        last = COUNTER_BASE + COUNTER_BYTES * (COUNTERS - 1)
        self._read([counter ^ 1 << bit for counter in (COUNTER_BASE, last) for bit in range(2, ADDRESS_BITS)], ())

    def read_random(self, count: int, after: After) -> None:
        counter = [COUNTER_BASE + 4 * self.rng.randrange(2 * COUNTERS) for _ in range(3)]
        known = [*range(0, 0x1C, 4), *counter]
        self._read([self.rng.choice((self.rng.choice(known), *_others(self.rng))) for _ in range(count)], after)

    def _write(self, address: int, data: int, after: After) -> None:
        self.aw.append(Beat({"addr": address}, after))
        self.w.append(Beat({"data": data, "strb": self.rng.randrange(16)}))

    def _read(self, addresses: Sequence[int], after: After) -> None:
        self.ar += [Beat({"addr": address}, after) for address in addresses]

    def _noise(self, bits: int) -> int:
        return self.rng.getrandbits(32) & bits


def _others(rng: random.Random) -> tuple[int, int]:
    """A read-only and an undefined address, often one bit from a defined one."""
    undefined = rng.choice((0x1C, 0x20 + 4 * rng.randrange(56), 0x178 + 4 * rng.randrange(0x3A2)))
    alias = rng.choice((*range(0, 0x1C, 4), COUNTER_BASE)) ^ 1 << rng.randrange(2, ADDRESS_BITS)
    if rng.random() < 0.5 and alias not in range(0x1C) and _counter(alias) is None:
        undefined = alias
    return rng.choice((STATUS, PC, VERSION, CONFIG, COUNTER_BASE + 4 * rng.randrange(2 * COUNTERS))), undefined


@dataclass(frozen=True)
class _State:
    """The registers from cycle `since` on; `begin` and `end`: cycles of the last starting write and finish, or -1."""

    since: int = 0
    running: bool = False
    done: bool = False
    irq_enable: bool = False
    fault: int = 0
    pc: int = 0
    program: int = 0
    begin: int = -1
    end: int = -1

    def write(self, cycle: int, address: int, data: int) -> _State:
        after = replace(self, since=cycle + 1)
        if address == PROGRAM_LOW:
            return replace(after, program=self.program & ~WORD | data)
        if address == PROGRAM_HIGH:
            return replace(after, program=self.program & WORD | (data & 0xFF) << 32)
        if address != CONTROL:
            return after
        after = replace(after, irq_enable=bool(data & IRQ_ENABLE))
        starting = data & START and not self.running
        if starting or data & CLEAR:
            after = replace(after, done=False, fault=0)
        return replace(after, running=True, begin=cycle, end=-1) if starting else after

    def finish(self, cycle: int, fault: int, pc: int) -> _State:
        return replace(self, since=cycle + 1, running=False, done=True, fault=fault, pc=pc, end=cycle)

    def register(self, address: int, point: Mapping[str, int]) -> int | None:
        """The word at `address`; None if it is no register."""
        return {
            CONTROL: self.irq_enable * IRQ_ENABLE,
            STATUS: self.running | self.done << 1 | self.fault << 4,
            PROGRAM_LOW: self.program & WORD,
            PROGRAM_HIGH: self.program >> 32,
            PC: self.pc,
            VERSION: VERSION_WORD,
            CONFIG: point["T"] | point["D"] << 8 | point["AXI_BYTES"] << 16,
        }.get(address)


@dataclass(frozen=True)
class _Case:
    """What was done, for the judge."""

    plan: _Plan
    point: Mapping[str, int]
    script: _Script
    waves: list[Payload]

    def judge(self, seen: Observed) -> list[Mismatch]:
        wrong = self._judge_writes(seen)
        if wrong:
            return wrong
        states = self._states(seen)
        wrong = self._judge_starts(seen, states) or self._judge_reads(seen, states) or _judge_irq(seen, states)
        return wrong or (_judge_pace(seen) if self.plan.paced else [])

    def _judge_writes(self, seen: Observed) -> list[Mismatch]:
        """Address and data taken together; each write answered."""
        expected = [{"resp": 0 if b.payload["addr"] in WRITABLE else SLVERR} for b in self.script.aw]
        vectors = [f"write {i} to 0x{b.payload['addr']:03x}" for i, b in enumerate(self.script.aw)]
        wrong = compare_stream("b", seen.transfers["b"], expected, vectors)
        if wrong or len(seen.transfers["aw"]) == len(seen.transfers["w"]) == len(expected):
            pairs = zip(seen.transfers["aw"], seen.transfers["w"], strict=False)
            apart = [(i, a, w) for i, (a, w) in enumerate(pairs) if a.cycle != w.cycle]
            wrong = wrong or [
                Mismatch("w", i, w.cycle, f"taken with its address in cycle {a.cycle}", "apart", vectors[i])
                for i, a, w in apart[:1]
            ]
            return wrong
        return [Mismatch("aw", len(seen.transfers["aw"]), -1, f"{len(expected)} writes taken", "others", "all writes")]

    def _states(self, seen: Observed) -> list[_State]:
        """The registers' history, oldest first."""
        writes = [(a.cycle, 0, a, w) for a, w in zip(seen.transfers["aw"], seen.transfers["w"], strict=True)]
        events = [*writes, *((f.cycle, 1, f, f) for f in seen.transfers["finish"])]
        states = [_State()]
        for cycle, kind, first, second in sorted(events, key=lambda event: event[:2]):
            if kind:
                states.append(states[-1].finish(cycle, first.payload["fault"], first.payload["pc"]))
            else:
                states.append(states[-1].write(cycle, first.payload["addr"], second.payload["data"]))
        return states

    def _judge_starts(self, seen: Observed, states: Sequence[_State]) -> list[Mismatch]:
        """One start for each effective write, with the program address, in its cycle or the next."""
        begun = [s for before, s in pairwise(states) if s.running and not before.running]
        expected = [{"addr": s.program} for s in begun]
        start = seen.transfers["start"]
        wrong = compare_stream("start", start, expected, [f"starting write in cycle {s.begin}" for s in begun])
        for index, (state, beat) in enumerate(zip(begun, start, strict=False)):
            if not wrong and beat.cycle - state.begin not in (0, 1):
                want, vector = f"in cycle {state.begin} or the next", "the starting write"
                wrong = [Mismatch("start", index, beat.cycle, want, f"cycle {beat.cycle}", vector)]
        return wrong

    def _judge_reads(self, seen: Observed, states: Sequence[_State]) -> list[Mismatch]:
        """Every answer fits the state in a cycle between its request and itself."""
        r, ar = seen.transfers["r"], seen.transfers["ar"]
        if not len(r) == len(ar) == len(self.script.ar):
            return [Mismatch("r", len(r), -1, f"{len(self.script.ar)} answers", str(len(r)), "all reads")]
        sums = self._sums(seen.cycles)
        windows = [(opening, closing) for opening in OPENING for closing in CLOSING]
        for index, (request, answer) in enumerate(zip(ar, r, strict=True)):
            held = _held(states, request.cycle, answer.cycle)
            counter = _counter(request.payload["addr"])
            if counter is None:
                words = {_word(s.register(request.payload["addr"], self.point)) for s in held}
            else:
                words, windows = _counts(sums[counter[0]], held, request, answer, windows, counter[1])
            if (answer.payload["data"], answer.payload["resp"]) not in words:
                want = " or ".join(show({"data": data, "resp": resp}) for data, resp in sorted(words)[:4])
                vector = f"read of 0x{request.payload['addr']:03x} in cycle {request.cycle}"
                return [Mismatch("r", index, answer.cycle, want, show(answer.payload), vector)]
        return []

    def _sums(self, cycles: int) -> list[list[int]]:
        """For each counter, how often its event was high before each cycle."""
        rows = [self.waves[min(cycle, WAVE_CYCLES - 1)] for cycle in range(cycles + LATENCY)]
        highs = [[1] * len(rows), *([row[name] for row in rows] for name in EVENTS[1:])]
        return [[0, *accumulate(high)] for high in highs]


Windows = list[tuple[int, int]]


def _counts(
    sums: Sequence[int], held: Sequence[_State], request: Seen, answer: Seen, windows: Windows, high: bool
) -> tuple[set[tuple[int, int]], Windows]:
    """The answers a counter read may give, and the windows still possible after this one.

    A read that meets a start or finish, or falls into a run, may see any count of its time.
    """
    state = held[-1]
    if high or state.begin < 0:
        return {(0, 0)}, windows
    settled = len(held) == 1 and not state.running and request.cycle > state.end + max(CLOSING)
    if settled:
        counts = {w: _count(sums, state.begin + w[0], state.end + w[1]) for w in windows}
        left = [w for w in windows if counts[w] == answer.payload["data"]]
        return {(count, 0) for count in counts.values()}, left or windows
    last = answer.cycle if state.running else state.end + max(CLOSING)
    least = 0 if _restarted(held) else _count(sums, state.begin + max(OPENING), min(request.cycle - 1, last) - 1)
    most = max(_count(sums, s.begin, answer.cycle if s.running else s.end + 1) for s in held if s.begin >= 0)
    return {(count, 0) for count in range(least, most + 1)}, windows


def _restarted(held: Sequence[_State]) -> bool:
    return len({s.begin for s in held}) > 1


def _count(sums: Sequence[int], first: int, last: int) -> int:
    """Events in cycles first..last."""
    return max(0, sums[min(last + 1, len(sums) - 1)] - sums[max(0, first)])


def _held(states: Sequence[_State], first: int, last: int) -> list[_State]:
    """The states the registers had in cycles first..last."""
    since = [s.since for s in states]
    return list(states[bisect_right(since, first) - 1 : bisect_right(since, last)])


def _counter(address: int) -> tuple[int, bool] | None:
    """(counter, whether its high word) at `address`."""
    number, offset = divmod(address - COUNTER_BASE, COUNTER_BYTES)
    return (number, offset >= 4) if 0 <= number < COUNTERS else None


def _word(register: int | None) -> tuple[int, int]:
    """(data, resp) of a register's read."""
    return (0, SLVERR) if register is None else (register, 0)


def _judge_irq(seen: Observed, states: Sequence[_State]) -> list[Mismatch]:
    """The line is high while DONE and IRQ_ENABLE are, give or take a cycle at each change."""
    levels = [s.done and s.irq_enable for s in states]
    ends = [*(s.since for s in states[1:]), seen.cycles]
    high = sum(end - s.since for s, level, end in zip(states, levels, ends, strict=True) if level)
    slack = sum(a != b for a, b in pairwise(levels))
    got = seen.wires["irq"]["line"]
    if abs(got - high) <= slack:
        return []
    return [Mismatch("irq", 0, -1, f"line high for {high} cycles", f"{got} cycles", "the whole scenario")]


def _judge_pace(seen: Observed) -> list[Mismatch]:
    """Without gaps and refusals: writes and reads at the contract's rate, each soon answered."""
    for asked, answered in (("aw", "b"), ("ar", "r")):
        pairs = zip(seen.transfers[asked], seen.transfers[answered], strict=True)
        for index, (request, answer) in enumerate(pairs):
            if answer.cycle - request.cycle > LATENCY:
                want, got = f"within {LATENCY} cycles", f"{answer.cycle - request.cycle} cycles"
                return [Mismatch(answered, index, answer.cycle, want, got, "no gaps, no refusals")]
        count, cycles = len(seen.transfers[asked]), seen.transfers[asked][-1].cycle + 1
        due = INTERVALS[asked] * count
        if cycles > due + LATENCY:
            want, got = f"{count} in {due} cycles", f"{cycles} cycles"
            return [Mismatch(asked, count - 1, cycles, want, got, "no gaps, no refusals")]
    return []
