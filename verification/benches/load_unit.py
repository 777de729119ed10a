"""Bench of `load_unit`: random 2-D copies against the memory image, bus faults, alignment, rate."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hwlib.isa import Fault, Space
from hwlib.numerics import expand_param
from verification.benches.beginnings import begun, ending, endless, first_words, judge_beginning, misaligned
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
COMPACT_BEATS = 4
"""Beats a word has at least where 4-byte entries come at full rate."""


@dataclass(frozen=True)
class _Plan:
    name: str
    stall: float = 0.2
    latency: tuple[int, int] = (1, 12)
    gap: float = 0.3
    fault: Fault = Fault.NONE
    misaligned: str = ""
    full_rate: bool = False
    compact: float = 0.3
    reset: bool = False

    @property
    def far(self) -> bool:
        """Memory so slow that requests must run ahead of data."""
        return self.latency[0] > 12


_PLANS = (
    _Plan("random"),
    _Plan("back-pressure", stall=0.6),
    _Plan("full-rate", stall=0.0, latency=(2, 2), gap=0.0, full_rate=True, compact=0),
    _Plan("compact-rate", stall=0.0, latency=(2, 2), gap=0.0, full_rate=True, compact=1),
    _Plan("long-latency", stall=0.0, latency=(40, 40), gap=0.0),
    _Plan("bus-error", fault=Fault.AXI_READ),
    _Plan("bus-error-far", stall=0.05, latency=(30, 60), gap=0.0, fault=Fault.AXI_READ),
    _Plan("bus-error-refused", stall=0.7, latency=(1, 4), gap=0.0, fault=Fault.AXI_READ),
    _Plan("unaligned", fault=Fault.UNALIGNED, misaligned="dram_addr"),
    _Plan("unaligned-stride", fault=Fault.UNALIGNED, misaligned="dram_stride"),
    _Plan("reset", reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Copies under stalls and at full rate, plain and compact, an AXI error, unaligned instructions, a reset."""
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
        max_cycles=2000 + 60 * case.beats + 100 * len(beats),
        seed=seed,
        drain=200 if plan.fault else 40,
        reset_after=("local", reset_after) if plan.reset else None,
    )


def _single(point: Mapping[str, int], seed: int, transactions: int) -> Iterator[Scenario]:
    """One transfer each: the beginning of one that hardly ends, long ones, one bit off alignment."""
    rng = random.Random(f"single {seed}")
    for name, transfer in endless(rng, point, SPACES):
        yield _beginning(rng, name, transfer, point, seed)
    for name, transfer in ending(rng, point, SPACES, transactions):
        plan = _Plan(name, stall=0.02, latency=(1, 4))
        yield _played(_Case(plan, point, [transfer], _image(rng, [transfer], point), 1, 0, 0), seed)
    for name, transfer in misaligned(rng, point):
        plan = _Plan(name, fault=Fault.UNALIGNED)
        yield _played(_Case(plan, point, [transfer], {}, 0, 0, 0), seed)


def _beginning(rng: random.Random, name: str, transfer: Transfer, point: Mapping[str, int], seed: int) -> Scenario:
    count, word = begun(transfer, point), point["T"] * point["D"]
    words = [(local, address, rng.randbytes(word)) for local, address in first_words(transfer, point, count)]
    image = {address + k: byte for _, address, data in words for k, byte in enumerate(data)}
    expected = [{"space": transfer.space, "addr": local, "data": int.from_bytes(data, "little")}
                for local, _, data in words]  # fmt: skip
    memory = AxiMemory("memory", point["AXI_BYTES"], image, ar="ar", r="r", latency=(1, 4), stall=0.1)
    return Scenario(
        name=name,
        agents=(Drive("cmd", [Beat({"instr": transfer.instruction("LOAD")})], 0.0), memory, Accept("local", 0.1)),
        until={"local": count},
        judge=lambda seen: judge_beginning(seen, "local", expected, f"LOAD {transfer}"),
        transactions=count,
        max_cycles=200 + 10 * count * max(1, word // point["AXI_BYTES"]),
        seed=seed,
        drain=1,
    )


def _case(rng: random.Random, plan: _Plan, point: Mapping[str, int], words: int) -> _Case:
    if plan.full_rate or plan.far:
        transfers = long_transfers(rng, words, point, SPACES)
    else:
        transfers = random_transfers(rng, words, point, SPACES, FAULT_TRANSFERS if plan.fault else 1)
    transfers = [_compacted(rng, transfer, plan.compact) for transfer in transfers]
    low, high, bad = 0, 0, len(transfers)
    if plan.misaligned:
        bad, transfers = misalign(rng, transfers, point["AXI_BYTES"], plan.misaligned)
    if plan.fault is Fault.AXI_READ:
        low, high, bad = error_range(rng, transfers, point)
    return _Case(plan, point, transfers, _image(rng, transfers, point), bad, low, high)


def _image(rng: random.Random, transfers: Sequence[Transfer], point: Mapping[str, int]) -> dict[int, int]:
    """Random bytes at every address that is read."""
    word = point["T"] * point["D"]
    touched = {address + k for t in transfers for _, address in t.words(word) for k in range(word)}
    return random_bytes(rng, sorted(touched))


def _compacted(rng: random.Random, transfer: Transfer, share: float) -> Transfer:
    """With probability `share` the transfer with 4-byte entries, which only the parameter memories take."""
    if rng.random() >= share:
        return transfer
    return replace(transfer, space=rng.choice((Space.MATRIX_PARAMS, Space.VECTOR_PARAMS)), compact=True)


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
        return sum(t.count for t in self.transfers) * self.word // self.point["AXI_BYTES"]

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
            for local, address in transfer.words(self.word):
                data = bytes(self.image[address + k] for k in range(self.word))
                each = self.word // (1 + transfer.compact)
                for k, word in enumerate(_expanded(data) if transfer.compact else (data,)):
                    begin = address + k * each
                    if self.low < begin + each and begin < self.high:
                        return expected, vectors
                    number = int.from_bytes(word, "little")
                    expected.append({"space": int(transfer.space), "addr": (local + k) % (1 << 16), "data": number})
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
        compact = bool(self.plan.compact)
        slow, soon = compact and self.word < COMPACT_BEATS * self.point["AXI_BYTES"], DONE_LATENCY * (1 + compact)
        allowed = (1 + slow) * self.beats + len(self.transfers) * GAP_CYCLES
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
        for index, total in enumerate(
            accumulate(t.count * self.word // self.point["AXI_BYTES"] for t in self.transfers)
        ):
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
