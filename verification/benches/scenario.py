"""A scenario: what a bench does to a block's interfaces, and how what it saw is judged.

The stimulus is plain data. The driver (`driver.py`, cocotb) applies it inside the sandbox and
returns raw observations; the golden model and the verdict stay outside, so that generated RTL
cannot influence them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

Payload = dict[str, int]


@dataclass(frozen=True)
class Beat:
    """One transfer to drive: payload by field, held back until each (interface, count) in `after` was seen."""

    payload: Payload
    after: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Drive:
    """Send `beats` in order on an `in` stream or flow; before each, idle with probability `gap` a cycle.

    A beat waits `pause` cycles after its conditions hold and the one before it was taken.
    """

    interface: str
    beats: Sequence[Beat]
    gap: float = 0.3
    pause: int = 0


@dataclass(frozen=True)
class Accept:
    """Take beats from an `out` stream, refusing with probability `stall` a cycle."""

    interface: str
    stall: float = 0.3


@dataclass(frozen=True)
class Memory:
    """A word memory behind request/response read ports and write ports.

    image: initial words by address. reads: (request stream, response flow) pairs with field `addr` / `data`;
    writes: streams or flows with `addr`, `data` and, if the interface has it, `strb`. Addresses are taken modulo
    `words`. Responses come in order after `latency` (min, max) cycles; requests are refused with probability `stall`.
    """

    name: str
    words: int
    word_bytes: int
    image: Mapping[int, int]
    reads: tuple[tuple[str, str], ...] = ()
    writes: tuple[str, ...] = ()
    latency: tuple[int, int] = (1, 4)
    stall: float = 0.2


@dataclass(frozen=True)
class AxiMemory:
    """A byte memory behind AXI4 read (ar, r) and write (aw, w, b) channels; checks 4 KiB and burst rules.

    Channel names are interface names or empty. Accesses at an address in [error_low, error_high) answer SLVERR.
    """

    name: str
    data_bytes: int
    image: Mapping[int, int]
    ar: str = ""
    r: str = ""
    aw: str = ""
    w: str = ""
    b: str = ""
    latency: tuple[int, int] = (1, 12)
    stall: float = 0.2
    error_low: int = 0
    error_high: int = 0


@dataclass(frozen=True)
class Respond:
    """Pulse field `wire` of wires interface `interface` for each beat on `cause`, `delay` (min, max) cycles later.

    The pulses are observed as transfers without payload of `interface.wire`.
    """

    cause: str
    interface: str
    wire: str
    delay: tuple[int, int] = (1, 20)


@dataclass(frozen=True)
class Wave:
    """Drive an `in` wires interface: one payload a cycle, the last one held."""

    interface: str
    values: Sequence[Payload]


Agent = Drive | Accept | Memory | AxiMemory | Respond | Wave


@dataclass(frozen=True)
class Seen:
    """One observed transfer: the cycle it was accepted in (0 is the first after reset) and its payload.

    A field with X bits is -1. Where an out interface has `strb`, data bits without strobe are zero.
    """

    cycle: int
    payload: Payload


@dataclass(frozen=True)
class Observed:
    """Everything a run saw: transfers by interface (both directions), final memories, high-cycle counts of out wires.

    `violations` are protocol faults the driver noticed (payload changed while stalled, X on a valid, AXI rule).
    `finished` is false when the run ended by timeout. `waits`: by stream or flow, cycles in which a beat was offered
    and not taken. `before_reset`: transfers by interface when reset came in mid-flight; None if it did not.
    """

    transfers: Mapping[str, list[Seen]]
    memories: Mapping[str, Mapping[int, int]]
    wires: Mapping[str, Mapping[str, int]]
    violations: list[str]
    cycles: int
    finished: bool
    waits: Mapping[str, int] = field(default_factory=dict)
    before_reset: Mapping[str, int] | None = None


@dataclass(frozen=True)
class Mismatch:
    """The first thing that was wrong: where, expected and got, and the smallest stimulus that shows it."""

    interface: str
    index: int
    cycle: int
    expected: str
    got: str
    vector: str


@dataclass(frozen=True)
class Scenario:
    """A named run: agents, the interface counts that end it, and the judge.

    transactions: how many transfers `judge` compares (a run that compared fewer is a failure).
    drain: cycles to run on after the end condition, so that surplus beats are seen.
    reset_after: (interface, count): assert reset once when reached, then start all agents over; only what
    follows the reset is observed.
    may_withdraw: out streams whose offered beat the contract lets the block take back.
    """

    name: str
    agents: tuple[Agent, ...]
    until: Mapping[str, int]
    judge: Callable[[Observed], list[Mismatch]]
    transactions: int
    max_cycles: int
    seed: int
    drain: int = 40
    reset_after: tuple[str, int] | None = None
    may_withdraw: tuple[str, ...] = ()
    notes: str = field(default="", compare=False)


ScenarioFactory = Callable[[Mapping[str, int], int, int], list[Scenario]]
"""``scenarios(point, seed, transactions)``: what each bench module exports; `transactions` is a lower bound."""


def compare_stream(
    interface: str, seen: Sequence[Seen], expected: Sequence[Payload], vectors: Sequence[str]
) -> list[Mismatch]:
    """The first difference between `seen` on `interface` and `expected`; `vectors[i]` is what caused beat i."""
    for index, want in enumerate(expected):
        if index >= len(seen):
            return [Mismatch(interface, index, -1, show(want), "nothing", vectors[index])]
        if seen[index].payload != want:
            return [
                Mismatch(interface, index, seen[index].cycle, show(want), show(seen[index].payload), vectors[index])
            ]
    if len(seen) > len(expected):
        extra = seen[len(expected)]
        return [
            Mismatch(
                interface, len(expected), extra.cycle, "nothing", show(extra.payload), "after the last expected beat"
            )
        ]
    return []


def show(payload: Payload) -> str:
    """A payload as `field=hex` words."""
    return " ".join(f"{name}=0x{value:x}" for name, value in payload.items()) or "pulse"
