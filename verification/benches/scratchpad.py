"""Bench of `scratchpad`: random reads and writes on all ports, replayed by the cycles they were accepted in."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verification.benches.scenario import Beat, Drive, Mismatch, Observed, Payload, Scenario, Seen, show

READERS, WRITERS = 4, 3
ADDRESSES = 1 << 16
LATENCY = range(1, 5)
GRAIN = (4, 8, 8)
"""Bits to a strobe of each writer."""
READ_PORTS = tuple(f"r{p}_req" for p in range(READERS))
WRITE_PORTS = tuple(f"w{p}" for p in range(WRITERS))
NO_BYTE = 0.05
"""Of writes that enable none."""


@dataclass(frozen=True)
class _Plan:
    """How a scenario differs.

    spread: ports of a kind start in different banks and step through them, so that they never meet;
    banks: random requests go to this many banks (0: all); words: to this many words of each (0: all).
    """

    name: str
    gap: float = 0.0
    spread: bool = False
    banks: int = 0
    words: int = 0
    full_strobes: bool = False
    reset: bool = False


_PLANS = (
    _Plan("random", gap=0.3),
    _Plan("full-rate", spread=True),
    _Plan("contention", banks=1),
    _Plan("all-ports"),
    _Plan("same-words", gap=0.2, words=1),
    _Plan("whole-words", gap=0.5, full_strobes=True),
    _Plan("reset", gap=0.3, reset=True),
)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Random traffic, disjoint banks at full rate, one bank for all, a few words for all, a reset in mid-flight."""
    count = max(8, -(-transactions // (len(_PLANS) * (READERS + WRITERS))))
    return [_scenario(plan, point, seed * len(_PLANS) + index, count) for index, plan in enumerate(_PLANS)]


def _scenario(plan: _Plan, point: Mapping[str, int], seed: int, count: int) -> Scenario:
    case = _case(random.Random(seed), plan, point, count)
    total = sum(map(len, case.beats.values()))
    return Scenario(
        name=plan.name,
        agents=tuple(Drive(port, beats, plan.gap) for port, beats in case.beats.items()),
        until={port: len(beats) for port, beats in case.beats.items()},
        judge=case.judge,
        transactions=total,
        max_cycles=1000 + 10 * total,
        seed=seed,
        reset_after=("r0_req", count // 2) if plan.reset else None,
    )


def _case(rng: random.Random, plan: _Plan, point: Mapping[str, int], count: int) -> _Case:
    """Every word written once, then `count` requests on each port, then every word read back."""
    ports = point["BANKS"] if plan.spread else READERS
    fills = _fills(rng, point)
    filled = tuple((port, len(payloads)) for port, payloads in fills.items() if payloads)
    beats = {
        port: [Beat(p) for p in fills[port]] + _gated(_writes(rng, plan, point, index, count), filled)
        for index, port in enumerate(WRITE_PORTS[:ports])
    }
    written = tuple((port, len(sent)) for port, sent in beats.items())
    for index, port in enumerate(READ_PORTS[:ports]):
        beats[port] = _gated(_reads(rng, plan, point, index, count), filled)
    words = rng.sample(range(point["WORDS"]), point["WORDS"])
    beats["r0_req"] += _gated([{"addr": word} for word in words], written)
    return _Case(plan, point, beats)


def _fills(rng: random.Random, point: Mapping[str, int]) -> dict[str, list[Payload]]:
    """One whole write of every word, because nothing resets the memory; dealt to the ports that never meet."""
    ports = min(WRITERS, point["BANKS"])
    fills: dict[str, list[Payload]] = {port: [] for port in WRITE_PORTS}
    for word in range(point["WORDS"]):
        port = word % point["BANKS"] % ports
        fills[WRITE_PORTS[port]].append(_write(rng, point, port, word, full=True))
    return fills


def _gated(payloads: Sequence[Payload], condition: tuple[tuple[str, int], ...]) -> list[Beat]:
    """Beats, the first held until `condition`."""
    return [Beat(payload, () if index else condition) for index, payload in enumerate(payloads)]


def _reads(rng: random.Random, plan: _Plan, point: Mapping[str, int], port: int, count: int) -> list[Payload]:
    return [{"addr": _address(rng, plan, point, port, step)} for step in range(count)]


def _writes(rng: random.Random, plan: _Plan, point: Mapping[str, int], port: int, count: int) -> list[Payload]:
    addresses = [_address(rng, plan, point, port, step) for step in range(count)]
    return [_write(rng, point, port, address, plan.full_strobes) for address in addresses]


def _address(rng: random.Random, plan: _Plan, point: Mapping[str, int], port: int, step: int) -> int:
    banks, rows = point["BANKS"], ADDRESSES // point["BANKS"]
    bank = (port + step) % banks if plan.spread else rng.randrange(plan.banks or banks)
    if plan.words:
        return rng.randrange(plan.words) * banks + bank + point["WORDS"] * rng.randrange(ADDRESSES // point["WORDS"])
    return rng.randrange(rows) * banks + bank


def _write(rng: random.Random, point: Mapping[str, int], port: int, address: int, full: bool) -> Payload:
    size = point["T"] * point["D"]
    count = 8 * size // GRAIN[port]
    strobes = (1 << count) - 1 if full else 0 if rng.random() < NO_BYTE else rng.getrandbits(count)
    return {"addr": address, "data": rng.getrandbits(8 * size), "strb": strobes}


@dataclass(frozen=True)
class _Case:
    """What is sent on each port, for the judge."""

    plan: _Plan
    point: Mapping[str, int]
    beats: Mapping[str, list[Beat]]

    def judge(self, seen: Observed) -> list[Mismatch]:
        wrong = self._judge_complete(seen) or _judge_latency(seen) or self._judge_data(seen)
        wrong = wrong or self._judge_banks(seen, READ_PORTS) or self._judge_banks(seen, WRITE_PORTS)
        if wrong or self.plan.gap or self.plan.reset:
            return wrong
        return self._judge_pace(seen, READ_PORTS) or self._judge_pace(seen, WRITE_PORTS)

    def _judge_complete(self, seen: Observed) -> list[Mismatch]:
        """Every request accepted."""
        for port, sent in self.beats.items():
            taken = len(seen.transfers[port])
            if taken != len(sent):
                return [Mismatch(port, taken, -1, f"{len(sent)} accepted", f"{taken} accepted", "all requests")]
        return []

    def _bank(self, beat: Seen) -> int:
        return beat.payload["addr"] % self.point["BANKS"]

    def _judge_data(self, seen: Observed) -> list[Mismatch]:
        """Each response against the writes accepted before its request; of writes in its own cycle, any nibble."""
        history = self._history(seen)
        for port in READ_PORTS:
            answers = seen.transfers[_response(port)]
            for index, (request, answer) in enumerate(zip(seen.transfers[port], answers, strict=True)):
                word = request.payload["addr"] % self.point["WORDS"]
                old, new = _value(history[word], request.cycle), _value(history[word], request.cycle + 1)
                got = answer.payload["data"]
                if not _mixes(got, old, new):
                    want = show({"data": old}) + (f" or {show({'data': new})}" if new != old else "")
                    vector = f"read of 0x{request.payload['addr']:x} accepted in cycle {request.cycle}"
                    return [Mismatch(_response(port), index, answer.cycle, want, show(answer.payload), vector)]
        return []

    def _history(self, seen: Observed) -> dict[int, list[tuple[int, int]]]:
        """For each word, (cycle, value after it) of its writes, by cycle."""
        ports = zip(WRITE_PORTS, GRAIN, strict=True)
        beats = sorted(((b, grain) for port, grain in ports for b in seen.transfers[port]), key=lambda b: b[0].cycle)
        history: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for beat, grain in beats:
            past = history[beat.payload["addr"] % self.point["WORDS"]]
            mask = _mask(beat.payload["strb"], grain)
            past.append((beat.cycle, (past[-1][1] if past else 0) & ~mask | beat.payload["data"] & mask))
        return history

    def _judge_banks(self, seen: Observed, ports: Sequence[str]) -> list[Mismatch]:
        """No bank serves two ports of a kind in one cycle."""
        served: dict[tuple[int, int], str] = {}
        for port in ports:
            for index, beat in enumerate(seen.transfers[port]):
                other = served.setdefault((beat.cycle, self._bank(beat)), port)
                if other != port:
                    vector = f"bank {self._bank(beat)} wanted by {other} and {port}"
                    return [Mismatch(port, index, beat.cycle, f"to wait for {other}", "accepted", vector)]
        return []

    def _judge_pace(self, seen: Observed, ports: Sequence[str]) -> list[Mismatch]:
        """Without gaps a request waits exactly while a lower-numbered port wants its bank."""
        offers = self._offers(seen, ports)
        for port in ports:
            for index, beat in enumerate(seen.transfers[port]):
                for cycle in range(offers[port][index][0], beat.cycle + 1):
                    rival = _rival(offers, ports[: ports.index(port)], cycle, self._bank(beat))
                    if (cycle == beat.cycle) == bool(rival):
                        want, got = (f"to wait for {rival}", "accepted") if rival else ("accepted", "refused")
                        vector = f"bank {self._bank(beat)}, no gaps"
                        return [Mismatch(port, index, cycle, want, got, vector)]
        return []

    def _offers(self, seen: Observed, ports: Sequence[str]) -> dict[str, list[tuple[int, int, int]]]:
        """For each beat of a port: the cycles it was first and last offered in, and its bank."""
        offers: dict[str, list[tuple[int, int, int]]] = {}
        for port in ports:
            offers[port], free = [], 0
            for sent, beat in zip(self.beats.get(port, ()), seen.transfers[port], strict=True):
                opened = max((seen.transfers[name][count - 1].cycle + 1 for name, count in sent.after), default=0)
                offers[port].append((max(free, opened), beat.cycle, self._bank(beat)))
                free = beat.cycle + 1
        return offers


def _judge_latency(seen: Observed) -> list[Mismatch]:
    """One response for each request, all with the same latency, of 1 to 4 cycles."""
    latency = None
    for port in READ_PORTS:
        requests, answers = seen.transfers[port], seen.transfers[_response(port)]
        if len(requests) != len(answers):
            want, got = f"{len(requests)} responses", str(len(answers))
            return [Mismatch(_response(port), len(answers), -1, want, got, "one response for each request")]
        for index, (request, answer) in enumerate(zip(requests, answers, strict=True)):
            cycles = answer.cycle - request.cycle
            latency = cycles if latency is None else latency
            if cycles != latency or cycles not in LATENCY:
                want = f"{latency} cycles after its request" if latency in LATENCY else "1 to 4 cycles"
                vector = f"read of 0x{request.payload['addr']:x}"
                return [Mismatch(_response(port), index, answer.cycle, want, f"{cycles} cycles", vector)]
    return []


def _response(port: str) -> str:
    return port.replace("_req", "_rsp")


def _rival(offers: Mapping[str, list[tuple[int, int, int]]], ports: Sequence[str], cycle: int, bank: int) -> str | None:
    """A port of `ports` that offered a request to `bank` in `cycle`."""
    for port in ports:
        if any(first <= cycle <= last and wanted == bank for first, last, wanted in offers[port]):
            return port
    return None


def _value(history: Sequence[tuple[int, int]], cycle: int) -> int:
    """The word as left by the writes accepted before `cycle`."""
    return next((value for written, value in reversed(history) if written < cycle), 0)


def _mixes(got: int, old: int, new: int) -> bool:
    """Whether every nibble of `got` is that of `old` or of `new`."""
    size = max(got.bit_length(), old.bit_length(), new.bit_length()) // 4 + 1
    trio = zip(*(f"{value:0{size}x}" for value in (max(got, 0), old, new)), strict=True)
    return got >= 0 and all(nibble in pair for nibble, *pair in trio)


def _mask(strobes: int, grain: int) -> int:
    return sum((1 << grain) - 1 << grain * k for k in range(strobes.bit_length()) if strobes >> k & 1)
