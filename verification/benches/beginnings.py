"""LOADs and STOREs too long to run to their end, and others with one thing amiss: what transfers at random never meet.

Of a transfer of 2^6 to 2^15 rows, or words a row, only the beginning is run: one that is taken for shorter ends in it.
Long transfers that do end go with the larger budgets.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from verification.benches.scenario import Mismatch, Observed, Payload, compare_stream, show
from verification.benches.transfers import PAGE, Transfer

COUNT_BITS = range(6, 16)
WORDS = 24
"""Of a beginning."""
BEATS = 40
"""Of a beginning too: more than a burst has."""
LONG_BUDGET = 150
"""Transactions from which on a transfer of LONG_ROWS rows, or words a row, is run to its end: more than quick, fewer
than the gate `simulate` has for a point."""
LONG_ROWS = (1 << 12, 1 << 12 | 1 << 10)


def endless(rng: random.Random, point: Mapping[str, int], spaces: Sequence[int]) -> Iterator[tuple[str, Transfer]]:
    """(name, transfer): a count of one high bit and little more, for each bit of both counts; addresses anywhere.

    A long row begins with one beat before a page's end: what is left of it after the first burst has the high bit too.
    """
    for bit in COUNT_BITS:
        for field in ("rows", "row_words"):
            counts = {"rows": 1, "row_words": 1, field: (1 << bit) + rng.randint(1, 3)}
            transfer = _anywhere(rng, point, counts, rng.choice(spaces))
            if field == "row_words":
                end = (transfer.dram_addr // PAGE + 1) * PAGE
                transfer = replace(transfer, dram_addr=end - point["AXI_BYTES"])
            yield f"{field}-{1 << bit}", transfer


def ending(
    rng: random.Random, point: Mapping[str, int], spaces: Sequence[int], transactions: int
) -> Iterator[tuple[str, Transfer]]:
    """(name, transfer): rows that are the same; two of more than 512 beats; with a large budget as many as run."""
    again = _anywhere(rng, point, {"rows": 3, "row_words": rng.randint(1, 5)}, rng.choice(spaces))
    yield "row-again", replace(again, dram_stride=0)
    word = point["T"] * point["D"]
    many = rng.randint(520, 700) * point["AXI_BYTES"] // word
    yield "two-long-rows", _anywhere(rng, point, {"rows": 2, "row_words": many}, rng.choice(spaces))
    if transactions >= LONG_BUDGET:
        for field in ("rows", "row_words"):
            counts = {"rows": 1, "row_words": 1, field: rng.randint(*LONG_ROWS)}
            yield f"all-{field}", _anywhere(rng, point, counts, rng.choice(spaces))


def misaligned(rng: random.Random, point: Mapping[str, int]) -> Iterator[tuple[str, Transfer]]:
    """(name, transfer): one bit of the address or the stride that must be 0 is not."""
    for bit in range(point["AXI_BYTES"].bit_length() - 1):
        for field in ("dram_addr", "dram_stride"):
            plain = _anywhere(rng, point, {"rows": 2, "row_words": 2}, 0)
            yield f"{field}-bit-{bit}", Transfer(**{**vars(plain), field: getattr(plain, field) | 1 << bit})


def begun(transfer: Transfer, point: Mapping[str, int]) -> int:
    """Words of its beginning."""
    beat, size = point["AXI_BYTES"], transfer.size(point)
    each = max(beat, size) if transfer.row_words == 1 else size
    return min(transfer.count, max(WORDS, -(-BEATS * beat // each)))


def first_words(transfer: Transfer, point: Mapping[str, int], count: int) -> list[tuple[int, int]]:
    """(local word, memory address) of the first `count` words."""
    rows = -(-count // transfer.row_words)
    few = Transfer(**{**vars(transfer), "rows": min(rows, transfer.rows), "row_words": min(count, transfer.row_words)})
    return few.words(point)[:count]


def judge_beginning(seen: Observed, interface: str, expected: Sequence[Payload], vector: str) -> list[Mismatch]:
    """The first beats of `interface` are `expected`, and the instruction neither ended nor failed."""
    given = seen.transfers[interface][: len(expected)]
    wrong = compare_stream(interface, given, expected, [vector] * len(expected))
    for name in ("done", "fault"):
        for early in seen.transfers[name][:1]:
            wrong = wrong or [Mismatch(name, 0, early.cycle, "nothing yet", show(early.payload), vector)]
    return wrong


def _anywhere(rng: random.Random, point: Mapping[str, int], counts: Mapping[str, int], space: int) -> Transfer:
    """A transfer of those counts whose addresses have any bits set, in the lower half of the memory."""
    beat = point["AXI_BYTES"]
    return Transfer(
        dram_addr=rng.randrange(0, 1 << 39, beat),
        local_addr=rng.randrange(1 << 16),
        dram_stride=rng.randrange(0, 1 << 24, beat) if counts["rows"] > 1 << 12 else rng.randrange(0, 1 << 32, beat),
        local_stride=rng.randrange(1 << 16),
        rows=counts["rows"],
        row_words=counts["row_words"],
        space=space,
    )
