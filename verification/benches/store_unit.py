"""Bench of `store_unit`: random 2-D copies from a scratchpad, beat by beat, bus faults, alignment, rate."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hwlib.isa import Fault
from verification.benches.beginnings import begun, ending, endless, first_words, judge_beginning, misaligned
from verification.benches.scenario import (
    AxiMemory,
    Beat,
    Drive,
    Memory,
    Mismatch,
    Observed,
    Payload,
    Scenario,
    Seen,
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
    random_transfers,
)  # fmt: skip

LOCAL_WORDS = 1 << 16
RATE_SLACK = 4


@dataclass(frozen=True)
class _Plan:
    """How a scenario differs: bus stalls and latency, scratchpad stalls and latency, what fails."""

    name: str
    stall: float = 0.2
    latency: tuple[int, int] = (1, 12)
    gap: float = 0.3
    local_stall: float = 0.2
    local_latency: tuple[int, int] = (1, 4)
    fault: Fault = Fault.NONE
    misaligned: str = ""
    full_rate: bool = False
    reset: bool = False


_PLANS = (
    _Plan("random"),
    _Plan("back-pressure", stall=0.6, local_stall=0.1),
    _Plan("slow-scratchpad", stall=0.05, local_stall=0.6, local_latency=(4, 9)),
    _Plan("full-rate", stall=0.0, latency=(2, 2), gap=0.0, local_stall=0.0, local_latency=(1, 1), full_rate=True),
    _Plan("long-latency", stall=0.0, latency=(40, 80), gap=0.0),
    _Plan("bus-error", fault=Fault.AXI_WRITE),
    _Plan("unaligned", fault=Fault.UNALIGNED, misaligned="dram_addr"),
    _Plan("unaligned-stride", fault=Fault.UNALIGNED, misaligned="dram_stride"),
    _Plan("reset", reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Copies under stalls on either side and at full rate, an AXI error, unaligned instructions, a reset."""
    words = max(20, -(-transactions // sum(not plan.fault for plan in _PLANS)))
    planned = [_scenario(plan, point, seed * len(_PLANS) + index, words) for index, plan in enumerate(_PLANS)]
    return [*planned, *_single(point, seed, transactions)]


def _scenario(plan: _Plan, point: Mapping[str, int], seed: int, words: int) -> Scenario:
    return _played(_case(random.Random(seed), plan, point, words), seed)


def _played(case: _Case, seed: int) -> Scenario:
    plan, point = case.plan, case.point
    beats = [Beat({"instr": t.instruction("STORE")}) for t in case.transfers]
    scratchpad = Memory("scratchpad", LOCAL_WORDS, case.word, case.image, (("req", "rsp"),),
                        latency=plan.local_latency, stall=plan.local_stall)  # fmt: skip
    memory = AxiMemory("memory", point["AXI_BYTES"], {}, aw="aw", w="w", b="b", latency=plan.latency,
                       stall=plan.stall, error_low=case.low, error_high=case.high)  # fmt: skip
    return Scenario(
        name=plan.name,
        agents=(Drive("cmd", beats, plan.gap), scratchpad, memory),
        until={"fault": 1} if plan.fault else {"done": len(beats)},
        judge=case.judge,
        transactions=0 if plan.fault else sum(case.beats),
        max_cycles=2000 + 60 * sum(case.beats) + 200 * len(beats),
        seed=seed,
        drain=300 if plan.fault else 40,
        reset_after=("w", max(1, sum(case.beats) // 3)) if plan.reset else None,
    )


def _single(point: Mapping[str, int], seed: int, transactions: int) -> Iterator[Scenario]:
    """One transfer each: the beginning of one that hardly ends, long ones, one bit off alignment."""
    rng = random.Random(f"single {seed}")
    for name, transfer in endless(rng, point, (0,)):
        yield _beginning(rng, name, transfer, point, seed)
    for name, transfer in ending(rng, point, (0,), transactions):
        plan = _Plan(name, stall=0.02, latency=(1, 4), local_stall=0.02)
        yield _played(_Case(plan, point, [transfer], _image(rng, [transfer], point), 1, 0, 0), seed)
    for name, transfer in misaligned(rng, point):
        plan = _Plan(name, fault=Fault.UNALIGNED)
        yield _played(_Case(plan, point, [transfer], {}, 0, 0, 0), seed)


def _beginning(rng: random.Random, name: str, transfer: Transfer, point: Mapping[str, int], seed: int) -> Scenario:
    count, word, size = begun(transfer, point), point["T"] * point["D"], point["AXI_BYTES"]
    first = first_words(transfer, point, count)
    image = {local: rng.getrandbits(8 * word) for local, _ in first}
    expected = [{"addr": address + at, "data": image[local] >> 8 * at & (1 << 8 * size) - 1}
                for local, address in first for at in range(0, word, size)]  # fmt: skip
    scratchpad = Memory("scratchpad", LOCAL_WORDS, word, image, (("req", "rsp"),), latency=(1, 2), stall=0.1)
    memory = AxiMemory("memory", size, {}, aw="aw", w="w", b="b", latency=(1, 4), stall=0.1)

    def judge(seen: Observed) -> list[Mismatch]:
        written = replace(seen, transfers={**seen.transfers, "w": _written(seen, size)})
        return judge_beginning(written, "w", expected, f"STORE {transfer}")

    return Scenario(
        name=name,
        agents=(Drive("cmd", [Beat({"instr": transfer.instruction("STORE")})], 0.0), scratchpad, memory),
        until={"w": len(expected)},
        judge=judge,
        transactions=len(expected),
        max_cycles=200 + 10 * len(expected),
        seed=seed,
        drain=1,
    )


def _case(rng: random.Random, plan: _Plan, point: Mapping[str, int], words: int) -> _Case:
    if plan.full_rate:
        transfers = long_transfers(rng, words, point, (0,))
    else:
        transfers = random_transfers(rng, words, point, (0,), FAULT_TRANSFERS if plan.fault else 1)
    low, high, bad = 0, 0, len(transfers)
    if plan.misaligned:
        bad, transfers = misalign(rng, transfers, point["AXI_BYTES"], plan.misaligned)
    if plan.fault is Fault.AXI_WRITE:
        low, high, bad = error_range(rng, transfers, point)
    return _Case(plan, point, transfers, _image(rng, transfers, point), bad, low, high)


def _image(rng: random.Random, transfers: Sequence[Transfer], point: Mapping[str, int]) -> dict[int, int]:
    """A random word at every local address that is read."""
    touched = sorted({local for t in transfers for local, _ in t.words(point)})
    return {local: rng.getrandbits(8 * point["T"] * point["D"]) for local in touched}


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
    def beats(self) -> list[int]:
        """Data beats of each transfer."""
        return [t.count * self.word // self.point["AXI_BYTES"] for t in self.transfers]

    def judge(self, seen: Observed) -> list[Mismatch]:
        written = _written(seen, self.point["AXI_BYTES"])
        if self.plan.fault:
            wrong = self._judge_fault(seen, written)
        else:
            wrong = compare_stream("w", written, *self._expected(len(self.transfers)))
            wrong = wrong or compare_stream("fault", seen.transfers["fault"], [], [])
            wrong = wrong or judge_perf(seen, len(written))
        wrong = wrong or _judge_answers(seen) or judge_bursts(seen.transfers["aw"], "aw") or self._judge_done(seen)
        return wrong or (self._judge_rate(seen) if self.plan.full_rate else [])

    def _expected(self, count: int) -> tuple[list[Payload], list[str]]:
        """Address and data of every beat of the first `count` transfers, in order."""
        size = self.point["AXI_BYTES"]
        expected: list[Payload] = []
        vectors: list[str] = []
        for index, transfer in enumerate(self.transfers[:count]):
            for local, address in transfer.words(self.point):
                word = self.image[local].to_bytes(self.word, "little")
                for at in range(0, self.word, size):
                    data = int.from_bytes(word[at : at + size], "little")
                    expected.append({"addr": address + at, "data": data})
                    vectors.append(f"STORE {index} {transfer}")
        return expected, vectors

    def _judge_fault(self, seen: Observed, written: list[Seen]) -> list[Mismatch]:
        """What was written is right, all of it up to the failure is there, and the fault comes once."""
        unaligned = self.plan.fault is Fault.UNALIGNED
        expected, vectors = self._expected(self.bad if unaligned else len(self.transfers))
        least = len(expected) if unaligned else self._failing_beat(expected) + 1
        wrong = compare_stream("w", written, expected[: max(least, len(written))], vectors)
        code = int(self.plan.fault)
        return wrong or compare_stream("fault", seen.transfers["fault"], [{"code": code}], ["the failing STORE"])

    def _failing_beat(self, expected: Sequence[Payload]) -> int:
        return next(i for i, beat in enumerate(expected) if self.low <= beat["addr"] < self.high)

    def _judge_done(self, seen: Observed) -> list[Mismatch]:
        """`done` after the response of the burst that holds the transfer's last beat, and soon."""
        ends = list(accumulate(s.payload["len"] + 1 for s in seen.transfers["aw"]))
        bursts = [sum(end < total for end in ends) + 1 for total in accumulate(self.beats[: self.bad])]
        counts = [count - before for count, before in zip(bursts, [0, *bursts], strict=False)]
        return judge_done(seen.transfers["done"], counts, seen.transfers["b"], DONE_LATENCY)

    def _judge_rate(self, seen: Observed) -> list[Mismatch]:
        """Within an instruction, one beat a cycle."""
        w, first = seen.transfers["w"], 0
        for index, beats in enumerate(self.beats):
            cycles = w[first + beats - 1].cycle - w[first].cycle + 1
            if cycles > beats + RATE_SLACK:
                want, got = f"{beats} beats in {beats} cycles", f"{cycles} cycles"
                return [Mismatch("w", first, w[first].cycle, want, got, f"full rate, STORE {index}")]
            first += beats
        return []


def _written(seen: Observed, size: int) -> list[Seen]:
    """Every data beat with the address its burst gives it."""
    addresses = [s.payload["addr"] + k * size for s in seen.transfers["aw"] for k in range(s.payload["len"] + 1)]
    beats = zip(addresses, seen.transfers["w"], strict=False)
    return [Seen(beat.cycle, {"addr": address, "data": beat.payload["data"]}) for address, beat in beats]


def _judge_answers(seen: Observed) -> list[Mismatch]:
    """Every burst begun is finished and its response taken."""
    aw, w, b = (seen.transfers[name] for name in ("aw", "w", "b"))
    asked = sum(s.payload["len"] + 1 for s in aw)
    if len(w) != asked:
        return [Mismatch("w", len(w), -1, f"{asked} beats", f"{len(w)} beats", "bursts begun")]
    if len(b) != len(aw):
        return [Mismatch("b", len(b), -1, f"{len(aw)} responses taken", str(len(b)), "bursts begun")]
    return []
