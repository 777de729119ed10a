"""Random 2-D transfers between memory and local words, and what the benches of load_unit and store_unit both judge."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from hwlib import isa
from verification.benches.scenario import Mismatch, Observed, Seen, compare_stream

PAGE = 4096
MEMORY_BYTES = 1 << 40
MAX_BURST_BEATS = 64
DONE_LATENCY = 8
FAULT_TRANSFERS = 6
"""Instructions at least in a scenario that fails in its middle."""
BUSY_SLACK = 8
LONG_ROW = 600
"""Words of the longest row at full rate: more than fit eight or nine bits."""


@dataclass(frozen=True)
class Transfer:
    """Operands of a LOAD or STORE."""

    dram_addr: int
    local_addr: int
    rows: int
    row_words: int
    dram_stride: int
    local_stride: int
    space: int = 0
    compact: bool = False
    lane: int | None = None
    """Of LOAD with SPREAD: the row of the local words that is written."""

    def instruction(self, op: str) -> int:
        operands = {name: value for name, value in vars(self).items() if name not in ("compact", "lane")}
        flags = {name for name, on in (("COMPACT", self.compact), ("SPREAD", self.lane is not None)) if on}
        operands |= {} if self.lane is None else {"lane": self.lane}
        return isa.encode(isa.Instruction(op, operands, frozenset(flags)))

    def words(self, point: Mapping[str, int]) -> list[tuple[int, int]]:
        """(first local word, memory address) of every word of memory, or with SPREAD of every D bytes, in order."""
        each, size = 2 if self.compact else 1, self.size(point)
        return [
            (
                (self.local_addr + row * self.local_stride + each * k) % (1 << 16),
                self.dram_addr + row * self.dram_stride + k * size,
            )
            for row in range(self.rows)
            for k in range(self.row_words)
        ]

    def size(self, point: Mapping[str, int]) -> int:
        """Bytes of memory in each of `words`."""
        return point["D"] * (1 if self.lane is not None else point["T"])

    def beats(self, point: Mapping[str, int]) -> list[int]:
        """The address of every beat, in order."""
        beat, row = point["AXI_BYTES"], self.row_words * self.size(point)
        starts = (self.dram_addr + q * self.dram_stride for q in range(self.rows))
        return [address for start in starts for address in range(start, start + row, beat)]

    @property
    def count(self) -> int:
        return self.rows * self.row_words


def random_transfers(
    rng: random.Random, words: int, point: Mapping[str, int], spaces: Sequence[int], least: int = 1
) -> list[Transfer]:
    """At least `least` transfers of at least `words` words in all: short and long rows, any stride, near page ends.

    The first has one row, over the end of a page; where one is enough, the second has many rows of a word.
    """
    made = [_across_pages(rng, point, rng.choice(spaces))]
    if least == 1:
        made.append(_tall(rng, point, rng.choice(spaces)))
    while len(made) < least or sum(t.count for t in made) < words:
        made.append(_random_transfer(rng, point, rng.choice(spaces)))
    return made


def long_transfers(rng: random.Random, words: int, point: Mapping[str, int], spaces: Sequence[int]) -> list[Transfer]:
    """Transfers of one page-aligned row of at least 64 beats each, for full rate; the first has LONG_ROW words."""
    size = max(64, 64 * point["AXI_BYTES"] // (point["T"] * point["D"]))
    starts = [_page(rng) for _ in range(max(2, -(-words // size)))]
    sizes = [max(size, LONG_ROW), *[size] * (len(starts) - 1)]
    pairs = zip(starts, sizes, strict=True)
    return [Transfer(start, rng.randrange(1 << 16), 1, count, 0, 0, rng.choice(spaces)) for start, count in pairs]


def _across_pages(rng: random.Random, point: Mapping[str, int], space: int) -> Transfer:
    beat, word, words = point["AXI_BYTES"], point["T"] * point["D"], rng.randint(2, 8)
    start = rng.choice((_page(rng), _carry(rng))) - beat * rng.randrange(1, words * word // beat)
    return Transfer(start, rng.randrange(1 << 16), 1, words, 0, words, space)


def _tall(rng: random.Random, point: Mapping[str, int], space: int) -> Transfer:
    beat, rows = point["AXI_BYTES"], rng.randint(64, 127)
    return Transfer(_page(rng), rng.randrange(1 << 16), rows, 1, rng.randrange(0, 1 << 24, beat),
                    rng.randrange(1 << 16), space)  # fmt: skip


def _random_transfer(rng: random.Random, point: Mapping[str, int], space: int) -> Transfer:
    beat, word = point["AXI_BYTES"], point["T"] * point["D"]
    rows = rng.choice((1, 1, 2, 3, 5))
    row_words = rng.choice((1, 1, 2, 3, rng.randint(1, 24), rng.randint(1, 80 // rows)))
    stride = rng.choice((row_words * word, PAGE, rng.randrange(0, 2 * PAGE, beat), rng.randrange(0, 1 << 32, beat), 0))
    start = _page(rng) + rng.choice((rng.randrange(0, PAGE, beat), -beat * rng.randint(0, 40)))
    last = MEMORY_BYTES - (rows - 1) * stride - row_words * word
    local = rng.choice((rng.randrange(1 << 16), (1 << 16) - rng.randint(1, 8), 0))
    local_stride = rng.choice((row_words, rng.randrange(1 << 16)))
    return Transfer(min(start, last), local, rows, row_words, stride, local_stride, space)


def _page(rng: random.Random) -> int:
    """The address of a page anywhere in 40 bits, at or before a carry into the upper half, or into any upper bits."""
    below = PAGE * rng.choice((rng.randrange(1, 1 << 28), rng.randrange(1, 8), (1 << 20) - rng.randint(0, 1)))
    return rng.choice((below, below, below, _carry(rng)))


def _carry(rng: random.Random) -> int:
    """An address whose lower half is zeros, and the upper anything: all before it carries into it."""
    return rng.randrange(1, 1 << 13) << 27


def random_bytes(rng: random.Random, addresses: Iterable[int]) -> dict[int, int]:
    """A random byte for each of `addresses`."""
    return {address: rng.randrange(256) for address in addresses}


def misalign(rng: random.Random, transfers: list[Transfer], beat: int, field: str) -> tuple[int, list[Transfer]]:
    """The index of a transfer in the middle, and the transfers with its `field`, an address or stride, off beats."""
    bad, off = len(transfers) // 2, rng.randrange(1, beat)
    broken = transfers[bad]
    aligned = getattr(broken, field) // PAGE * PAGE
    return bad, [*transfers[:bad], replace(broken, **{field: aligned + off}), *transfers[bad + 1 :]]


def error_range(rng: random.Random, transfers: Sequence[Transfer], point: Mapping[str, int]) -> tuple[int, int, int]:
    """A range of one beat in the middle transfer, and the first transfer that touches it."""
    low = rng.choice(transfers[len(transfers) // 2].beats(point))
    touching = (i for i, t in enumerate(transfers) if low in t.beats(point))
    return low, low + point["AXI_BYTES"], next(touching)


def judge_done(
    done: Sequence[Seen], counts: Sequence[int], last: Sequence[Seen], latest: int | None = None
) -> list[Mismatch]:
    """One `done` for each transfer, after the last of its `counts` events in `last`, at most `latest` cycles after."""
    vectors = [f"instruction {i}" for i in range(len(counts))]
    wrong = compare_stream("done", done, [{}] * len(counts), vectors)
    for index, end in enumerate(accumulate(counts)):
        if wrong:
            return wrong
        due = last[end - 1].cycle if end <= len(last) else done[index].cycle + 1
        if done[index].cycle <= due:
            wrong = [_mismatch("done", index, done[index], "after the last transfer", "before it", vectors[index])]
        elif latest is not None and done[index].cycle > due + latest:
            late = f"{done[index].cycle - due} cycles"
            wrong = [_mismatch("done", index, done[index], f"within {latest} cycles", late, vectors[index])]
    return wrong


def judge_bursts(bursts: Sequence[Seen], interface: str) -> list[Mismatch]:
    """No burst longer than the contract allows."""
    for index, seen in enumerate(bursts):
        beats = seen.payload["len"] + 1
        if beats > MAX_BURST_BEATS:
            return [_mismatch(interface, index, seen, f"at most {MAX_BURST_BEATS} beats", str(beats), "burst length")]
    return []


def judge_perf(seen: Observed, beats: int) -> list[Mismatch]:
    """`beat` counts every data beat; `busy` holds from an instruction's acceptance to its end and no longer."""
    perf, commands, done = seen.wires["perf"], seen.transfers["cmd"], seen.transfers["done"]
    if perf["beat"] != beats:
        return [Mismatch("perf", 0, -1, f"beat high for {beats} cycles", f"{perf['beat']} cycles", "the whole run")]
    if not done:
        return []
    intervals = _in_progress([s.cycle for s in commands], [s.cycle for s in done])
    low, high = intervals - BUSY_SLACK * len(done), intervals + BUSY_SLACK * len(done)
    if not low <= perf["busy"] <= high:
        return [Mismatch("perf", 0, -1, f"busy for {low} to {high} cycles", str(perf["busy"]), "the whole run")]
    return []


def _in_progress(begins: Sequence[int], ends: Sequence[int]) -> int:
    """Cycles in which at least one instruction had begun and not ended."""
    total, until = 0, -1
    for begin, end in zip(begins, ends, strict=False):
        total += max(0, end - max(begin, until))
        until = max(until, end)
    return total


def _mismatch(interface: str, index: int, seen: Seen, expected: str, got: str, vector: str) -> Mismatch:
    return Mismatch(interface, index, seen.cycle, expected, got, vector)
