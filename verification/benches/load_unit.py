"""Bench of `load_unit`: random 2-D copies against the memory image, bus faults, alignment, rate."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hwlib import isa
from hwlib.isa import Fault, Space
from hwlib.numerics import expand_param
from verification.benches.beginnings import (
    LONG_BUDGET,
    begun,
    ending,
    endless,
    first_words,
    judge_beginning,
    misaligned,
)
from verification.benches.scenario import (
    Accept,
    AxiMemory,
    Beat,
    Drive,
    Mismatch,
    Observed,
    Payload,
    Scenario,
    compare_stream,
)  # fmt: skip
from verification.benches.transfers import (
    DONE_LATENCY,
    FAULT_TRANSFERS,
    Transfer,
    error_range,
    judge_bursts,
    judge_done,
    judge_perf,
    long_transfers,
    misalign,
    random_bytes,
    random_transfers,
)  # fmt: skip

SPACES = (0, 0, 1, 2, 3)
GAP_CYCLES = 8
LEAST_OUTSTANDING = 2
LANES = 1 << isa.BY_NAME["LOAD"].field("lane").bits
COMPACT_BEATS = 4
"""Beats a word has at least where 4-byte entries come at full rate."""
LONGEST_ROW = (1 << 15, 1 << 15 | 1 << 8)
"""Words of a row whose count has its highest bit, run to its end: only there the bits below show to be heeded too."""


@dataclass(frozen=True)
class _Plan:
    """How a scenario differs; compact, spread: shares of the forms of LOAD; least: transfers at least.

    each: cycles a word or a beat may take, of the two that are more.
    """

    name: str
    stall: float = 0.2
    latency: tuple[int, int] = (1, 12)
    gap: float = 0.3
    fault: Fault = Fault.NONE
    misaligned: str = ""
    full_rate: bool = False
    compact: float = 0.3
    spread: float = 0.3
    reset: bool = False
    least: int = 1
    each: int = 60

    @property
    def far(self) -> bool:
        """Memory so slow that requests must run ahead of data."""
        return self.latency[0] > 12


_PLANS = (
    _Plan("random"),
    _Plan("forms", stall=0.1, latency=(1, 4), gap=0.0, spread=0.6, least=12),
    _Plan("back-pressure", stall=0.6),
    _Plan("full-rate", stall=0.0, latency=(2, 2), gap=0.0, full_rate=True, compact=0, spread=0),
    _Plan("compact-rate", stall=0.0, latency=(2, 2), gap=0.0, full_rate=True, compact=1),
    _Plan("spread-rate", stall=0.0, latency=(2, 2), gap=0.0, full_rate=True, compact=0, spread=1),
    _Plan("long-latency", stall=0.0, latency=(40, 40), gap=0.0),
    _Plan("bus-error", fault=Fault.AXI_READ),
    _Plan("bus-error-far", stall=0.05, latency=(30, 60), gap=0.0, fault=Fault.AXI_READ),
    _Plan("bus-error-refused", stall=0.7, latency=(1, 4), gap=0.0, fault=Fault.AXI_READ),
    _Plan("unaligned", fault=Fault.UNALIGNED, misaligned="dram_addr"),
    _Plan("unaligned-stride", fault=Fault.UNALIGNED, misaligned="dram_stride"),
    _Plan("reset", reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Copies under stalls and at full rate, of every form, an AXI error, unaligned instructions, a reset."""
    words = max(20, -(-transactions // sum(not plan.fault for plan in _PLANS)))
    planned = [_scenario(plan, point, seed * len(_PLANS) + index, words) for index, plan in enumerate(_PLANS)]
    return [*planned, *_single(point, seed, transactions)]


def _scenario(plan: _Plan, point: Mapping[str, int], seed: int, words: int) -> Scenario:
    rng = random.Random(seed)
    return _played(_case(rng, plan, point, words), seed, max(1, words // 3))


def _played(case: _Case, seed: int, reset_after: int = 1) -> Scenario:
    plan, point = case.plan, case.point
    beats = [Beat({"instr": t.instruction("LOAD")}) for t in case.transfers]
    memory = AxiMemory("memory", point["AXI_BYTES"], case.image, ar="ar", r="r", latency=plan.latency,
                       stall=plan.stall, error_low=case.low, error_high=case.high)  # fmt: skip
    return Scenario(
        name=plan.name,
        agents=(Drive("cmd", beats, plan.gap), memory, Accept("local", plan.stall)),
        until={"fault": 1} if plan.fault else {"done": len(beats)},
        judge=case.judge,
        transactions=0 if plan.fault else sum(t.count for t in case.transfers),
        max_cycles=2000 + plan.each * max(case.beats, sum(t.count for t in case.transfers)) + 100 * len(beats),
        seed=seed,
        drain=200 if plan.fault else 40,
        reset_after=("local", reset_after) if plan.reset else None,
    )


def _single(point: Mapping[str, int], seed: int, transactions: int) -> Iterator[Scenario]:
    """One transfer each: the beginning of one that hardly ends, long ones, one bit off alignment."""
    rng = random.Random(f"single {seed}")
    for name, transfer in endless(rng, point, SPACES):
        yield _beginning(rng, name, transfer, point, seed)
        yield _beginning(rng, f"{name}-spread", _spread(rng, transfer, 1), point, seed)
    for name, plain in ending(rng, point, SPACES, transactions):
        transfer = _spread(rng, plain, _Plan.spread)
        plan = _Plan(name, stall=0.02, latency=(1, 4))
        yield _played(_Case(plan, point, [transfer], _image(rng, [transfer], point), 1, 0, 0), seed)
    for name, transfer in misaligned(rng, point):
        plan = _Plan(name, fault=Fault.UNALIGNED)
        yield _played(_Case(plan, point, [transfer], {}, 0, 0, 0), seed)
    if transactions >= LONG_BUDGET and point["D"] < point["AXI_BYTES"]:
        # Spread, as several of its words come in a beat: no other form has so few beats. With no bubbles a right unit
        # needs half the cycles it is given, and one that waits for what never comes is stopped soon.
        starts = rng.randrange(0, 1 << 39, point["AXI_BYTES"]), rng.randrange(1 << 16)
        transfer = _spread(rng, Transfer(*starts, 1, rng.randint(*LONGEST_ROW), 0, 0), 1)
        plan = _Plan("longest-row", stall=0.0, latency=(2, 2), gap=0.0, each=4)
        yield _played(_Case(plan, point, [transfer], _image(rng, [transfer], point), 1, 0, 0), seed)


def _beginning(rng: random.Random, name: str, transfer: Transfer, point: Mapping[str, int], seed: int) -> Scenario:
    count, size = begun(transfer, point), transfer.size(point)
    words = [(local, address, rng.randbytes(size)) for local, address in first_words(transfer, point, count)]
    image = {address + k: byte for _, address, data in words for k, byte in enumerate(data)}
    expected = [_write(transfer, point, local, data) for local, _, data in words]
    memory = AxiMemory("memory", point["AXI_BYTES"], image, ar="ar", r="r", latency=(1, 4), stall=0.1)
    return Scenario(
        name=name,
        agents=(Drive("cmd", [Beat({"instr": transfer.instruction("LOAD")})], 0.0), memory, Accept("local", 0.1)),
        until={"local": count},
        judge=lambda seen: judge_beginning(seen, "local", expected, f"LOAD {transfer}"),
        transactions=count,
        max_cycles=200 + 10 * count * max(1, size // point["AXI_BYTES"]),
        seed=seed,
        drain=1,
    )


def _case(rng: random.Random, plan: _Plan, point: Mapping[str, int], words: int) -> _Case:
    if plan.full_rate or plan.far:
        transfers = long_transfers(rng, words, point, SPACES)
    else:
        transfers = random_transfers(rng, words, point, SPACES, FAULT_TRANSFERS if plan.fault else plan.least)
    transfers = [_spread(rng, _compacted(rng, transfer, plan.compact), plan.spread) for transfer in transfers]
    low, high, bad = 0, 0, len(transfers)
    if plan.misaligned:
        bad, transfers = misalign(rng, transfers, point["AXI_BYTES"], plan.misaligned)
    if plan.fault is Fault.AXI_READ:
        low, high, bad = error_range(rng, transfers, point)
    return _Case(plan, point, transfers, _image(rng, transfers, point), bad, low, high)


def _image(rng: random.Random, transfers: Sequence[Transfer], point: Mapping[str, int]) -> dict[int, int]:
    """Random bytes at every address that is read."""
    touched = {address + k for t in transfers for address in t.beats(point) for k in range(point["AXI_BYTES"])}
    return random_bytes(rng, sorted(touched))


def _compacted(rng: random.Random, transfer: Transfer, share: float) -> Transfer:
    """With probability `share` the transfer with 4-byte entries, which only the parameter memories take."""
    if rng.random() >= share:
        return transfer
    return replace(transfer, space=rng.choice((Space.MATRIX_PARAMS, Space.VECTOR_PARAMS)), compact=True)


def _spread(rng: random.Random, transfer: Transfer, share: float) -> Transfer:
    """With probability `share` the transfer, if not compact, with rows of D bytes for one row of the local words."""
    if transfer.compact or rng.random() >= share:
        return transfer
    return replace(transfer, space=Space.SCRATCHPAD, lane=rng.randrange(LANES))


def _write(transfer: Transfer, point: Mapping[str, int], local: int, data: bytes) -> Payload:
    """The write of `data` to word `local`: of the word, or of the row that the transfer spreads to."""
    word, row, strb = point["T"] * point["D"], 0, (1 << point["T"] * point["D"]) - 1
    if transfer.lane is not None:
        row = transfer.lane % point["T"] * point["D"]
        strb = ((1 << point["D"]) - 1) << row
    number = int.from_bytes(bytes(row) + data, "little")
    assert number < 1 << 8 * word
    return {"space": int(transfer.space), "addr": local % (1 << 16), "data": number, "strb": strb}


@dataclass(frozen=True)
class _Case:
    """What was asked, for the judge. `bad` is the index of the transfer that fails."""

    plan: _Plan
    point: Mapping[str, int]
    transfers: list[Transfer]
    image: Mapping[int, int]
    bad: int
    low: int
    high: int

    @property
    def word(self) -> int:
        return self.point["T"] * self.point["D"]

    @property
    def beats(self) -> int:
        return sum(len(t.beats(self.point)) for t in self.transfers)

    def judge(self, seen: Observed) -> list[Mismatch]:
        expected, vectors = self._writes()
        if self.plan.fault:
            return self._judge_fault(seen, expected, vectors)
        wrong = compare_stream("local", seen.transfers["local"], expected, vectors)
        wrong = wrong or compare_stream("fault", seen.transfers["fault"], [], [])
        wrong = wrong or self._judge_done(seen) or self._judge_bus(seen, self.beats)
        wrong = wrong or judge_perf(seen, self.beats)
        if self.plan.far:
            return wrong or self._judge_ahead(seen)
        return wrong or (self._judge_rate(seen) if self.plan.full_rate else [])

    def _writes(self) -> tuple[list[Payload], list[str]]:
        """The local writes of every transfer before the failing beat; half a word of 4-byte entries may be whole."""
        expected: list[Payload] = []
        vectors: list[str] = []
        for index, transfer in enumerate(self.transfers[: self.bad + 1]):
            if index == self.bad and self.plan.fault is Fault.UNALIGNED:
                break
            size = transfer.size(self.point)
            for local, address in transfer.words(self.point):
                data = bytes(self.image[address + k] for k in range(size))
                each = size // (1 + transfer.compact)
                for k, word in enumerate(_expanded(data) if transfer.compact else (data,)):
                    begin = address + k * each
                    if self.low < begin + each and begin < self.high:
                        return expected, vectors
                    expected.append(_write(transfer, self.point, local + k, word))
                    vectors.append(f"LOAD {index} {transfer}")
        return expected, vectors

    def _judge_fault(self, seen: Observed, expected: list[Payload], vectors: list[str]) -> list[Mismatch]:
        """Nothing past the fault is written; everything asked for is taken; the fault comes once."""
        local, code = seen.transfers["local"], int(self.plan.fault)
        wrong = compare_stream("local", local, expected[: len(local)], vectors)
        wrong = wrong or compare_stream("fault", seen.transfers["fault"], [{"code": code}], ["the failing LOAD"])
        wrong = wrong or self._judge_done(seen)
        asked = sum(s.payload["len"] + 1 for s in seen.transfers["ar"])
        return wrong or self._judge_bus(seen, asked)

    def _judge_done(self, seen: Observed) -> list[Mismatch]:
        counts = [t.count * (1 + t.compact) for t in self.transfers[: self.bad]]
        return judge_done(seen.transfers["done"], counts, seen.transfers["local"])

    def _judge_bus(self, seen: Observed, beats: int) -> list[Mismatch]:
        """Bursts the contract allows, asking for exactly `beats` beats, all of them taken."""
        asked, taken = sum(s.payload["len"] + 1 for s in seen.transfers["ar"]), len(seen.transfers["r"])
        if asked != beats or taken != beats:
            return [Mismatch("r", taken, -1, f"{beats} beats", f"{asked} asked, {taken} taken", "beats in all")]
        return judge_bursts(seen.transfers["ar"], "ar")

    def _judge_rate(self, seen: Observed) -> list[Mismatch]:
        """One beat a cycle but for a few cycles between instructions; done soon after the last beat."""
        r, done = seen.transfers["r"], seen.transfers["done"]
        work, soon = self.beats, DONE_LATENCY
        dot, beat = self.point["D"], self.point["AXI_BYTES"]
        if self.plan.compact:
            work, soon = (1 + (self.word < COMPACT_BEATS * beat)) * work, 2 * soon
        elif self.plan.spread:
            work, soon = work if dot > beat else 2 * sum(t.count for t in self.transfers), soon + 2 * -(-beat // dot)
        allowed = work + len(self.transfers) * GAP_CYCLES
        taken, late = r[-1].cycle - r[0].cycle + 1, done[-1].cycle - r[-1].cycle
        if taken > allowed:
            return [Mismatch("r", len(r) - 1, r[-1].cycle, f"at most {allowed} cycles", f"{taken} cycles", "full rate")]
        if late > soon:
            want, got = f"within {soon} cycles of the last beat", f"{late} cycles"
            return [Mismatch("done", len(done) - 1, done[-1].cycle, want, got, "full rate")]
        return []

    def _judge_ahead(self, seen: Observed) -> list[Mismatch]:
        """In every transfer of several bursts, later ones are asked for while earlier data is still to come."""
        ends, first = [s.cycle for s in seen.transfers["r"] if s.payload["last"]], 0
        ahead = [i - sum(end < s.cycle for end in ends) + 1 for i, s in enumerate(seen.transfers["ar"])]
        bursts = list(accumulate(s.payload["len"] + 1 for s in seen.transfers["ar"]))
        for index, total in enumerate(accumulate(len(t.beats(self.point)) for t in self.transfers)):
            last = next(i for i, beats in enumerate(bursts) if beats >= total)
            most = max(ahead[first : last + 1])
            if last > first and most < LEAST_OUTSTANDING:
                want = f"{LEAST_OUTSTANDING} bursts outstanding"
                return [Mismatch("ar", first, -1, want, str(most), f"LOAD {index}, a slow memory")]
            first = last + 1
        return []


def _expanded(data: bytes) -> tuple[bytes, bytes]:
    """The two local words of a word of 4-byte entries."""
    entries = (int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4))
    full = b"".join(expand_param(entry).to_bytes(8, "little") for entry in entries)
    return full[: len(data)], full[len(data) :]
