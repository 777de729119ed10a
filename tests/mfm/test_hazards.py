"""The waits of a program suffice: whatever order the engines then choose, the result is that of one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlib import isa
from mfm.compress.integer import execute
from mfm.program.builder import ProgramBuilder
from mfm.program.effects import Access, Store
from mfm.program.hazards import HazardTracker, encoded_waits
from mfm.run.golden import golden_machine
from mfm.run.machine import Commit, GoldenMachine
from mfm.schedule.schedule import schedule
from mfm.workloads import random_input
from tests.mfm.machines import block, machine

MANIFEST = machine(WORDS=64, MATRIX_PARAMS=64, VECTOR_PARAMS=64, ROW_SCALES=4)
MEMORY = 8192


class Adversary:
    """Runs a program on four engines that keep the waits and their own order, and are otherwise as unruly as legal.

    An instruction issues when its waits are met, reads some time later, writes later still and retires after that;
    those of an engine overlap, but their reads and their writes stay in order.
    """

    def __init__(self, machine: GoldenMachine, program: Sequence[isa.Instruction], rng: np.random.Generator) -> None:
        self.machine, self.rng = machine, rng
        self.streams = {e: [i for i in program if i.engine is e] for e in isa.Engine}
        self.done = {e: {"issue": 0, "read": 0, "write": 0, "retire": 0} for e in isa.Engine}
        self.commits: dict[isa.Engine, list[Commit]] = {e: [] for e in isa.Engine}

    def run(self) -> None:
        while ready := [(e, stage) for e in isa.Engine for stage in self.done[e] if self._may(e, stage)]:
            engine, stage = ready[self.rng.integers(len(ready))]
            index = self.done[engine][stage]
            self.done[engine][stage] += 1
            if stage == "read":
                self.commits[engine].append(self.machine.read_phase(self.streams[engine][index]))
            elif stage == "write":
                self.commits[engine][index]()
        assert all(self.done[e]["retire"] == len(stream) for e, stream in self.streams.items()), "deadlock"

    def _may(self, engine: isa.Engine, stage: str) -> bool:
        done = self.done[engine]
        before = {"read": "issue", "write": "read", "retire": "write"}
        if stage != "issue":
            return done[stage] < done[before[stage]]
        index = done["issue"]
        if index >= len(self.streams[engine]):
            return False
        waits = self.streams[engine][index].waits
        return all(self.done[e]["retire"] >= wait for e, wait in zip(isa.Engine, waits, strict=True))


READ_ONLY = 4096
"""Memory from here is only loaded: legal parameter entries, so that a random program computes something defined."""


def contents(machine: GoldenMachine) -> list[np.ndarray]:
    return [machine.memory, machine.scratchpad, machine.tables, machine.scales, *machine.params.values()]


def fresh(seed: int) -> GoldenMachine:
    rng = np.random.default_rng(seed)
    made = GoldenMachine(MANIFEST, MEMORY, rng)
    made.write(0, rng.bytes(READ_ONLY))
    made.write(READ_ONLY, b"".join(map(_entry, rng.integers(0, 1 << 16, (MEMORY - READ_ONLY) // 8))))
    return made


def _entry(mult: int) -> bytes:
    return (int(mult) | 12 << 16).to_bytes(8, "little")


words, strides, few = st.integers(0, 63), st.integers(0, 8), st.integers(1, 3)
addresses = {f"{name}_addr": words for name in "abo"} | {f"{name}_stride": strides for name in "abo"}
shared = addresses | {"p_addr": words, "r_addr": st.integers(0, 3)}


def instructions(op: str, operands: dict[str, st.SearchStrategy[int]], *flags: str) -> st.SearchStrategy:
    return st.tuples(
        st.just(op), st.fixed_dictionaries(operands), st.sets(st.sampled_from(flags or [""])) if flags else st.just(())
    )


def transfers(op: str, first: int, spaces: list[int]) -> st.SearchStrategy:
    return instructions(op, {
        "dram_addr": st.integers(0, 60).map(lambda n: first + 32 * n), "local_addr": words, "rows": few,
        "row_words": few, "dram_stride": st.sampled_from([0, 48, 64]), "local_stride": strides,
        "space": st.sampled_from(spaces),
    })  # fmt: skip


spreads = instructions("LOAD", {
    "dram_addr": st.integers(0, 60).map(lambda n: 32 * n), "local_addr": words, "rows": few, "row_words": few,
    "dram_stride": st.sampled_from([0, 24]), "local_stride": strides, "space": st.just(0), "lane": st.integers(0, 7),
}).map(lambda item: (*item[:2], {"SPREAD"}))  # fmt: skip
gemms = instructions(
    "GEMM", shared | {"m_tiles": few, "n_tiles": few, "k_words": few, "act_table": st.integers(0, 1), "gain": few},
    "ACT", "TRANSPOSE", "ROWSCALE", "W4",
)  # fmt: skip
single = instructions(
    "GEMM", shared | {"m_tiles": st.just(1), "n_tiles": few, "k_words": few, "act_table": st.just(0), "gain": few},
    "ROW", "TRANSPOSE", "W4",
)  # fmt: skip
rows = shared | {"row_blocks": few, "cols": st.integers(1, 12), "frac": st.integers(2, 5)}
spans = rows | {"span": st.integers(1, 40)}
even = rows | {"cols": st.integers(1, 6).map(lambda n: 2 * n)}
programs = st.lists(
    st.one_of(
        transfers("LOAD", 0, [0, 3]), transfers("LOAD", READ_ONLY, [0, 1, 2]), transfers("STORE", 0, [0]),
        spreads, gemms, single,
        *(instructions(op, rows) for op in ("LAYERNORM", "RMSNORM", "MUL")),
        instructions("SOFTMAX", spans, "CAUSAL"), instructions("ADD", spans, "WIDE", "WIDE_OUT"),
        instructions("ROPE", even),
    ),
    min_size=2, max_size=24,
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(programs, st.integers(0, 9))
def test_no_legal_interleaving_changes_the_result(items: list, seed: int) -> None:
    builder = ProgramBuilder(MANIFEST)
    for op, operands, flags in items:
        builder.emit(op, operands, flags)
    program = builder.finish()
    wanted = fresh(seed)
    for item in program:
        wanted.execute(item)
    for order in range(3):
        found = fresh(seed)
        Adversary(found, program, np.random.default_rng(order)).run()
        assert all(map(np.array_equal, contents(found), contents(wanted)))


def compiled(seed: int, waits: bool) -> bool:
    """Whether a compiled block, run by the adversary, gives its result."""
    graph = block(9, 8, 2, 12)
    program = schedule(graph, machine(), effort=0).program
    inputs = random_input(graph)
    found = golden_machine(program, np.random.default_rng(seed))
    for slot in program.inputs:
        found.write(slot.addr, slot.pack(inputs[slot.name], program.target))
    stream = program.instructions if waits else [replace(i, waits=(0, 0, 0, 0)) for i in program.instructions]
    Adversary(found, stream, np.random.default_rng(seed)).run()
    slot = program.outputs[0]
    result = slot.decode(found.read(slot.addr, slot.nbytes(program.target)), program.target)
    return np.array_equal(result, execute(graph, inputs))


def test_a_compiled_block_survives_the_adversary_and_needs_its_waits() -> None:
    assert all(compiled(seed, waits=True) for seed in range(4))
    assert not any(compiled(seed, waits=False) for seed in range(4))


def test_dependences_between_and_within_engines() -> None:
    tracker = HazardTracker(MANIFEST)
    read, write = (Access(Store.SCRATCHPAD, written, 8, 4) for written in (False, True))
    assert tracker.issue(isa.Engine.LOAD, [write]) == (0, 0, 0, 0)
    assert tracker.issue(isa.Engine.LOAD, [write]) == (0, 0, 0, 0)
    assert tracker.issue(isa.Engine.MATRIX, [read]) == (2, 0, 0, 0)
    assert tracker.issue(isa.Engine.LOAD, [write]) == (0, 0, 1, 0)
    assert tracker.issue(isa.Engine.LOAD, [read]) == (3, 0, 0, 0)
    assert tracker.issue(isa.Engine.VECTOR, [write]) == (4, 0, 1, 0)
    assert tracker.issue(isa.Engine.STORE, [Access(Store.SCRATCHPAD, False, 12, 4)]) == (0, 0, 0, 0)


def test_addresses_wrap_as_in_the_machine() -> None:
    tracker = HazardTracker(MANIFEST)
    tracker.issue(isa.Engine.LOAD, [Access(Store.SCRATCHPAD, True, 62, 4)])
    assert tracker.issue(isa.Engine.MATRIX, [Access(Store.SCRATCHPAD, False, 1, 1)]) == (1, 0, 0, 0)
    assert tracker.issue(isa.Engine.MATRIX, [Access(Store.SCRATCHPAD, False, 2, 60)]) == (0, 0, 0, 0)


@given(st.integers(0, 1 << 20), st.integers(0, 1 << 20))
def test_an_encoded_wait_reads_back_as_met_or_as_itself(need: int, ahead: int) -> None:
    issued = need + ahead
    code = encoded_waits((need, 0, 0, 0), (issued, 0, 0, 0))[0]
    distance = (issued - code) % (1 << 16)
    assert distance == min(ahead, isa.WAIT_HORIZON)
