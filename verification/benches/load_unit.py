"""Bench of `load_unit`: random 2-D copies against the memory image, bus faults, alignment, rate."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from hwlib.isa import Fault
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
from verification.benches.transfers import Transfer, long_transfers, random_image, random_transfers

SPACES = (0, 0, 1, 2, 3)
MAX_BURST_BEATS = 64
DONE_LATENCY, GAP_CYCLES = 8, 8


@dataclass(frozen=True)
class _Plan:
    name: str
    stall: float = 0.2
    latency: tuple[int, int] = (1, 12)
    gap: float = 0.3
    fault: Fault = Fault.NONE
    full_rate: bool = False
    reset: bool = False


_PLANS = (
    _Plan("random"),
    _Plan("back-pressure", stall=0.6),
    _Plan("full-rate", stall=0.0, latency=(2, 2), gap=0.0, full_rate=True),
    _Plan("long-latency", stall=0.0, latency=(40, 40), gap=0.0),
    _Plan("bus-error", fault=Fault.AXI_READ),
    _Plan("unaligned", fault=Fault.UNALIGNED),
    _Plan("reset", reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Copies under stalls and at full rate, an AXI error, an unaligned instruction, a reset in mid-flight."""
    words = max(20, -(-transactions // (len(_PLANS) - 2)))
    return [_scenario(plan, point, seed * len(_PLANS) + index, words) for index, plan in enumerate(_PLANS)]


def _scenario(plan: _Plan, point: Mapping[str, int], seed: int, words: int) -> Scenario:
    rng = random.Random(seed)
    make = long_transfers if plan.full_rate else random_transfers
    transfers = make(rng, words, point, SPACES)
    image = random_image(rng)
    bad = len(transfers)
    low = high = 0
    if plan.fault is Fault.UNALIGNED:
        bad, transfers = _misalign(rng, transfers, point["AXI_BYTES"])
    if plan.fault is Fault.AXI_READ:
        low, high, bad = _error_range(rng, transfers, point)
    case = _Case(plan, point, transfers, image, bad, low, high)
    return Scenario(
        name=plan.name,
        agents=(
            Drive("cmd", [Beat({"instr": t.instruction("LOAD")}) for t in transfers], plan.gap),
            AxiMemory("memory", point["AXI_BYTES"], image, ar="ar", r="r", latency=plan.latency, stall=plan.stall,
                      error_low=low, error_high=high),
            Accept("local", plan.stall),
        ),
        until={"fault": 1} if plan.fault else {"done": len(transfers)},
        judge=case.judge,
        transactions=0 if plan.fault else sum(t.count for t in transfers),
        max_cycles=2000 + 60 * case.beats + 100 * len(transfers),
        seed=seed,
        drain=200 if plan.fault else 40,
        reset_after=("local", max(1, words // 3)) if plan.reset else None,
    )  # fmt: skip


def _misalign(rng: random.Random, transfers: list[Transfer], beat: int) -> tuple[int, list[Transfer]]:
    bad, off = len(transfers) // 2, rng.randrange(1, beat)
    broken = transfers[bad]
    broken = (
        replace(broken, dram_stride=broken.dram_stride + off)
        if rng.random() < 0.5
        else replace(broken, dram_addr=broken.dram_addr + off)
    )
    return bad, [*transfers[:bad], broken, *transfers[bad + 1 :]]


def _error_range(rng: random.Random, transfers: Sequence[Transfer], point: Mapping[str, int]) -> tuple[int, int, int]:
    """A range of one beat in the middle transfer, and the first transfer that touches it."""
    word = point["T"] * point["D"]
    low = rng.choice(transfers[len(transfers) // 2].words(word))[1] + rng.randrange(0, word, point["AXI_BYTES"])
    touching = (i for i, t in enumerate(transfers) if any(a <= low < a + word for _, a in t.words(word)))
    return low, low + point["AXI_BYTES"], next(touching)


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
        wrong = wrong or self._judge_done(seen, len(self.transfers)) or self._judge_bursts(seen, self.beats)
        return wrong or (self._judge_rate(seen) if self.plan.full_rate else [])

    def _writes(self) -> tuple[list[Payload], list[str]]:
        """The local writes of every transfer before the failing word."""
        expected: list[Payload] = []
        vectors: list[str] = []
        for index, transfer in enumerate(self.transfers[: self.bad + 1]):
            if index == self.bad and self.plan.fault is Fault.UNALIGNED:
                break
            for local, address in transfer.words(self.word):
                if self.low < address + self.word and address < self.high:
                    return expected, vectors
                data = int.from_bytes(bytes(self.image.get(address + k, 0) for k in range(self.word)), "little")
                expected.append({"space": transfer.space, "addr": local, "data": data})
                vectors.append(f"LOAD {index} {transfer}")
        return expected, vectors

    def _judge_fault(self, seen: Observed, expected: list[Payload], vectors: list[str]) -> list[Mismatch]:
        """Nothing past the fault is written; everything asked for is taken; the fault comes once."""
        local = seen.transfers["local"]
        wrong = compare_stream("local", local, expected[: len(local)], vectors)
        wrong = wrong or compare_stream(
            "fault", seen.transfers["fault"], [{"code": int(self.plan.fault)}], ["the failing LOAD"]
        )
        wrong = wrong or self._judge_done(seen, self.bad)
        asked = sum(s.payload["len"] + 1 for s in seen.transfers["ar"])
        return wrong or self._judge_bursts(seen, asked)

    def _judge_done(self, seen: Observed, count: int) -> list[Mismatch]:
        """One done for each transfer, after its last local write."""
        done, local = seen.transfers["done"], seen.transfers["local"]
        wrong = compare_stream("done", done, [{}] * count, [f"LOAD {i}" for i in range(count)])
        end = 0
        for index, transfer in enumerate(self.transfers[:count]):
            end += transfer.count
            if not wrong and (end > len(local) or done[index].cycle <= local[end - 1].cycle):
                wrong = [
                    Mismatch(
                        "done", index, done[index].cycle, "after the last local write", "before it", f"LOAD {index}"
                    )
                ]
        return wrong

    def _judge_bursts(self, seen: Observed, beats: int) -> list[Mismatch]:
        for index, s in enumerate(seen.transfers["ar"]):
            if s.payload["len"] >= MAX_BURST_BEATS:
                return [
                    Mismatch(
                        "ar",
                        index,
                        s.cycle,
                        f"at most {MAX_BURST_BEATS} beats",
                        str(s.payload["len"] + 1),
                        "burst length",
                    )
                ]
        asked, taken = sum(s.payload["len"] + 1 for s in seen.transfers["ar"]), len(seen.transfers["r"])
        if asked != beats or taken != beats:
            return [Mismatch("r", taken, -1, f"{beats} beats", f"{asked} asked, {taken} taken", "beats in all")]
        return []

    def _judge_rate(self, seen: Observed) -> list[Mismatch]:
        """One beat a cycle but for a few cycles between instructions; done soon after the last beat."""
        r, done = seen.transfers["r"], seen.transfers["done"]
        allowed = self.beats + len(self.transfers) * GAP_CYCLES
        taken = r[-1].cycle - r[0].cycle + 1
        if taken > allowed:
            return [Mismatch("r", len(r) - 1, r[-1].cycle, f"at most {allowed} cycles", f"{taken} cycles", "full rate")]
        late = done[-1].cycle - r[-1].cycle
        if late > DONE_LATENCY:
            return [
                Mismatch(
                    "done",
                    len(done) - 1,
                    done[-1].cycle,
                    f"{DONE_LATENCY} cycles",
                    f"{late} cycles",
                    "after the last beat",
                )
            ]
        return []
