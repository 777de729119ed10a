"""The whole design behind an AXI memory: programs end well, or in the fault they deserve, and the next run is clean."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hwlib import contracts, isa
from hwlib.design import Design, with_parameters
from hwlib.errors import InputError
from hwlib.isa import Fault, Instruction
from hwlib.numerics import RequantParams, add_requantize, pack
from hwlib.numerics.requantize import encode_param
from tests.verification.conftest import expert_text
from verification.build import BuildFailed
from verification.system import COUNTERS, MemoryModel, RunResult, Simulation, open_simulation

pytestmark = pytest.mark.xdist_group("system")

SMALLEST = {name: p.min for name, p in contracts.load("top").parameters.items()} | {"D": 4}
"""A word has at least 8 bytes."""
TILE, DOT, BEAT = SMALLEST["T"], SMALLEST["D"], SMALLEST["AXI_BYTES"]
WORD = TILE * DOT
PROGRAM, PARAMS, A, B, OUT = 0x4000, 0x10000, 0x20000 - 16, 0x30000, 0x50000 - 8
ROWS, COLS, BLOCK_WORDS = 4, 6, 2
BYTES = ROWS // TILE * BLOCK_WORDS * WORD
BUSY = 100_000
"""Cycles no program here takes."""
END = Instruction("END", {})
MEMORIES = {
    "quick": MemoryModel(latency=1),
    "usual": MemoryModel(latency=20),
    "stalling": MemoryModel(latency=7, stall=0.3, seed=5),
    "very slow": MemoryModel(latency=150, stall=0.8, seed=6),
}


def transfer(op: str, dram: int, local: int, words: int, space: int = 0, waits: Sequence[int] = (0, 0, 0, 0)) -> int:
    """A LOAD or STORE of one row."""
    operands = {"dram_addr": dram, "local_addr": local, "rows": 1, "row_words": words, "space": space}
    operands |= {"dram_stride": 0, "local_stride": 0}
    return isa.encode(Instruction(op, operands, waits=tuple(waits)))  # type: ignore[arg-type]


def addition(local_b: int = 8, waits: Sequence[int] = (3, 0, 0, 0)) -> int:
    """ADD of the matrices at words 0 and `local_b`, to word 16."""
    operands = {"a_addr": 0, "b_addr": local_b, "o_addr": 16, "row_blocks": ROWS // TILE, "cols": COLS, "p_addr": 0}
    operands |= dict.fromkeys(("a_stride", "b_stride", "o_stride"), BLOCK_WORDS) | {"r_addr": 0, "frac": 3}
    return isa.encode(Instruction("ADD", operands, waits=tuple(waits)))  # type: ignore[arg-type]


def start(simulation: Simulation, words: Sequence[int], max_cycles: int = BUSY) -> RunResult:
    """Run a program of these instruction words."""
    simulation.write(PROGRAM, b"".join(word.to_bytes(isa.INSTRUCTION_BYTES, "little") for word in words))
    return simulation.run(PROGRAM, max_cycles)


SUM = (
    transfer("LOAD", PARAMS, 0, 2 * 8 // WORD, space=2),
    transfer("LOAD", A, 0, BYTES // WORD),
    transfer("LOAD", B, 8, BYTES // WORD),
    addition(),
    transfer("STORE", OUT, 16, BYTES // WORD, waits=(0, 0, 0, 1)),
    isa.encode(END),
)
"""Loads two matrices, adds them, and stores the sum across a page's end."""


def run_sum(simulation: Simulation, seed: int) -> RunResult:
    """Run SUM on random matrices; its output must be exact, and nothing around it touched."""
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(-128, 128, (ROWS, COLS)) for _ in range(2))
    first, second = RequantParams(20_000, 1 << 12, 15), RequantParams(-9_000, 0, 15)
    simulation.write(PARAMS, b"".join(encode_param(p).to_bytes(8, "little") for p in (first, second)))
    simulation.write(A, pack(a, TILE, DOT))
    simulation.write(B, pack(b, TILE, DOT))
    simulation.write(OUT - 8, b"\xa5" * (BYTES + 16))
    result = start(simulation, SUM)
    expected = b"\xa5" * 8 + pack(add_requantize(a, b, first, second), TILE, DOT) + b"\xa5" * 8
    assert simulation.read(OUT - 8, BYTES + 16) == expected
    return result


@pytest.fixture(scope="module")
def small(expert: Design) -> Design:
    return with_parameters(expert, **SMALLEST)


@pytest.fixture(scope="module")
def session(small: Design) -> Iterator[Simulation]:
    with open_simulation(small) as simulation:
        yield simulation


@pytest.fixture
def simulation(session: Simulation) -> Simulation:
    session.set_memory(MEMORIES["usual"])
    session.reset()
    return session


def test_a_program_of_end_alone_finishes(simulation: Simulation) -> None:
    result = start(simulation, [isa.encode(END)])
    assert (result.status, result.fault, result.pc, result.violation) == ("done", 0, 0, "")
    assert 20 < result.cycles < 100
    assert tuple(result.counters) == COUNTERS
    assert result.counters["issue"] == 1
    assert sum(result.counters[name] for name in ("mac", "write_beat", "load_busy", "vector_busy")) == 0


def test_counters_count_what_was_done(simulation: Simulation) -> None:
    result = run_sum(simulation, 1)
    assert (result.status, result.pc, result.violation) == ("done", len(SUM) - 1, "")
    assert result.counters["issue"] == len(SUM)
    assert result.counters["write_beat"] == BYTES // BEAT
    assert result.counters["read_beat"] == (2 * BYTES + 16) // BEAT
    assert 0 < result.counters["vector_busy"] < result.counters["cycles"] <= result.cycles + 4


@pytest.mark.parametrize("name", MEMORIES)
def test_the_memory_does_not_change_results(name: str, simulation: Simulation) -> None:
    simulation.set_memory(MEMORIES[name])
    for seed in range(3):
        result = run_sum(simulation, seed)
        assert (result.status, result.violation) == ("done", "")


def test_the_same_memory_gives_the_same_run(simulation: Simulation) -> None:
    def cycles(seed: int) -> int:
        simulation.set_memory(replace(MEMORIES["stalling"], seed=seed))
        simulation.reset()
        return run_sum(simulation, 2).cycles

    assert cycles(1) == cycles(1)
    assert len({cycles(seed) for seed in range(4)}) > 1


@dataclass(frozen=True)
class Bad:
    """A program that fails: its words, the fault, and the pc (of an engine's fault the lowest: decode runs ahead)."""

    words: tuple[int, ...]
    fault: Fault
    pc: int
    memory: MemoryModel = MEMORIES["usual"]


def changed(word: int, **operands: int) -> int:
    """`word` with other operands."""
    was = isa.decode(word)
    return isa.encode(replace(was, operands={**was.operands, **operands}))


FAILING = MemoryModel(latency=20, error_low=A + 8, error_high=A + 16)
FAR = MemoryModel(latency=300)
BAD = {
    "illegal opcode": Bad((*SUM[:3], 0x77, *SUM[3:]), Fault.ILLEGAL_INSTRUCTION, 3),
    "illegal flag": Bad((SUM[0], SUM[1] | 1 << 8, *SUM[2:]), Fault.ILLEGAL_INSTRUCTION, 1),
    "reserved bit": Bad((*SUM[:2], SUM[2] | 1 << 255, *SUM[3:]), Fault.ILLEGAL_INSTRUCTION, 2),
    "reserved bit of END": Bad((*SUM[:5], SUM[5] | 1 << isa.HEADER_BITS), Fault.ILLEGAL_INSTRUCTION, 5),
    "no rows": Bad((changed(SUM[0], rows=0), *SUM[1:]), Fault.ILLEGAL_INSTRUCTION, 0),
    "no such space": Bad((*SUM[:2], changed(SUM[2], space=4)), Fault.ILLEGAL_INSTRUCTION, 2),
    "address out of range": Bad((*SUM[:3], addition(SMALLEST["WORDS"]), *SUM[4:]), Fault.ADDRESS_RANGE, 3),
    "load past the end": Bad((SUM[0], transfer("LOAD", A, 64, 1), *SUM[2:]), Fault.ADDRESS_RANGE, 1),
    "unaligned load": Bad((SUM[0], changed(SUM[1], dram_addr=A + 1), *SUM[2:]), Fault.UNALIGNED, 1),
    "unaligned stride": Bad((SUM[0], changed(SUM[1], dram_stride=BEAT // 2), *SUM[2:]), Fault.UNALIGNED, 1),
    "unaligned store": Bad((*SUM[:4], changed(SUM[4], dram_addr=OUT + 2), SUM[5]), Fault.UNALIGNED, 4),
    "unaligned store stride": Bad((*SUM[:4], changed(SUM[4], dram_stride=BEAT // 2), SUM[5]), Fault.UNALIGNED, 4),
    "store past the end": Bad(
        (*SUM[:4], changed(SUM[4], local_addr=SMALLEST["WORDS"]), SUM[5]), Fault.ADDRESS_RANGE, 4
    ),
    "load from nowhere": Bad(SUM, Fault.AXI_READ, 1, FAILING),
    "store to nowhere": Bad(SUM, Fault.AXI_WRITE, 4, replace(FAILING, error_low=OUT + 8, error_high=OUT + 12)),
    "program from nowhere": Bad(
        SUM, Fault.AXI_READ, 2, replace(FAILING, error_low=PROGRAM + 64, error_high=PROGRAM + 68)
    ),
    "store fails while others stall": Bad(
        SUM, Fault.AXI_WRITE, 4, replace(FAILING, error_low=OUT + 8, error_high=OUT + 12, stall=0.5, seed=4)
    ),
    "illegal while loads are far away": Bad((*SUM[:3], 0x77), Fault.ILLEGAL_INSTRUCTION, 3, FAR),
    "load fails while others stall": Bad(SUM, Fault.AXI_READ, 1, replace(FAILING, latency=40, stall=0.5, seed=3)),
}
DECODED = (Fault.ILLEGAL_INSTRUCTION, Fault.ADDRESS_RANGE)
"""Faults found as the instruction is decoded, so that pc is exactly its index."""


@pytest.mark.parametrize("name", BAD)
def test_a_fault_is_reported_and_the_next_run_is_clean(name: str, simulation: Simulation) -> None:
    bad = BAD[name]
    simulation.set_memory(bad.memory)
    result = start(simulation, bad.words)
    assert (result.status, result.fault, result.violation) == ("fault", bad.fault, "")
    exact = bad.fault in DECODED or name == "program from nowhere"
    assert result.pc == bad.pc if exact else bad.pc <= result.pc < len(bad.words)
    simulation.set_memory(replace(bad.memory, error_low=0, error_high=0))
    again = run_sum(simulation, 9)
    assert (again.status, again.fault, again.violation) == ("done", 0, "")


def test_a_fault_waits_until_the_bus_is_drained(simulation: Simulation) -> None:
    """The load in front of the bad instruction is on its way: the run ends only when its data has come."""
    simulation.set_memory(FAR)
    result = start(simulation, [SUM[1], SUM[1], 0x77])
    assert result.fault == Fault.ILLEGAL_INSTRUCTION
    assert result.cycles > 2 * FAR.latency


def test_memory_up_to_a_failing_store_is_untouched_outside_it(simulation: Simulation) -> None:
    simulation.set_memory(MemoryModel(latency=20, error_low=OUT, error_high=OUT + BYTES))
    simulation.write(OUT - 8, b"\x3c" * (BYTES + 16))
    assert start(simulation, SUM).fault == Fault.AXI_WRITE
    assert simulation.read(OUT - 8, BYTES + 16) == b"\x3c" * (BYTES + 16)


def test_a_run_that_takes_too_long_is_a_timeout_and_reset_mends_it(simulation: Simulation) -> None:
    stuck = [addition(waits=(1, 0, 0, 0)), isa.encode(END)]
    result = start(simulation, stuck, 2000)
    assert (result.status, result.cycles) == ("timeout", 2000)
    simulation.reset()
    assert run_sum(simulation, 4).status == "done"


def test_reset_in_mid_flight_keeps_memory(simulation: Simulation) -> None:
    simulation.set_memory(FAR)
    simulation.write(A, bytes(range(16)))
    assert start(simulation, SUM, 350).status == "timeout"
    simulation.reset()
    assert simulation.read(A, 16) == bytes(range(16))
    assert run_sum(simulation, 5).status == "done"


@pytest.mark.parametrize("memory", ["quick", "stalling"])
def test_reset_at_any_moment_of_a_run(memory: str, simulation: Simulation) -> None:
    simulation.set_memory(MEMORIES[memory])
    whole = run_sum(simulation, 6).cycles
    for moment in range(1, whole, max(1, whole // 40)):
        assert start(simulation, SUM, moment).status in ("timeout", "done")  # stalls vary
        simulation.reset()
        again = run_sum(simulation, moment)
        assert (again.status, again.violation) == ("done", "")


def test_registers(simulation: Simulation) -> None:
    assert simulation.read_register(0x014) == (0x524C_0001, 0)
    assert simulation.read_register(0x018) == (BEAT << 16 | DOT << 8 | TILE, 0)
    assert simulation.write_register(0x008, 0x1234_5660) == 0
    assert simulation.read_register(0x008) == (0x1234_5660, 0)
    assert simulation.write_register(0x014, 1) == 2
    assert simulation.read_register(0x7FC) == (0, 2)


def test_the_interrupt_stays_until_it_is_cleared(simulation: Simulation) -> None:
    assert not simulation.step(10)
    start(simulation, [isa.encode(END)])
    assert simulation.step(10)
    simulation.write_register(0, 2)
    assert not simulation.step(1)


def test_memory_keeps_bytes_across_pages(simulation: Simulation) -> None:
    data = bytes(range(256)) * 600
    simulation.write((1 << 39) - 300, data)
    assert simulation.read((1 << 39) - 300, len(data)) == data
    assert simulation.read(0x7000_0000, 64) == bytes(64)


@pytest.mark.parametrize("wrong", [{"latency": 0}, {"stall": 1.0}, {"stall": -0.1}])
def test_an_impossible_memory_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="memory model"):
        MemoryModel(**wrong)  # type: ignore[arg-type]


def test_a_call_that_takes_too_long_ends_the_process(small: Design) -> None:
    with open_simulation(small, call_timeout_s=1) as simulation:
        with pytest.raises(InputError, match="no answer within 1 s"):
            start(simulation, [addition(waits=(1, 0, 0, 0)), isa.encode(END)], 1 << 40)
        with pytest.raises(InputError, match="the simulator ended"):
            simulation.read(0, 1)


def read_on(simulation: Simulation) -> None:
    """Read again and again: what is killed may take a moment to die."""
    for _ in range(200):
        simulation.read(0, 1)
        time.sleep(0.01)


def test_a_killed_simulator_is_one_line(small: Design) -> None:
    with open_simulation(small) as simulation:
        os.killpg(simulation._child.pid, signal.SIGKILL)
        with pytest.raises(InputError, match="the simulator ended with status"):
            read_on(simulation)


def test_rtl_that_does_not_compile_is_refused_at_its_line(spoiled: Callable[[dict[str, str]], Design]) -> None:
    text = expert_text("eltwise.v", ("assign x_ready = step;", "assign x_ready = stepp[0];"))
    line = next(n for n, text in enumerate(text.splitlines(), 1) if "stepp" in text)
    with pytest.raises(BuildFailed) as caught, open_simulation(spoiled({"eltwise.v": text})):
        pass
    assert (caught.value.file, caught.value.line) == ("eltwise.v", line)
    assert "\n" not in str(caught.value)


SPOILED = {
    "fault without draining": ("top.v", ".bus_busy(read_busy || write_held || writes != 10'd0)", ".bus_busy(1'b0)"),
    "bursts across pages": ("load_unit_addresses.v", "more[4:0] <= room", "more[4:0] >= 5'd0"),
    "a burst one beat short": ("store_unit.v", "w_last = more == 5'd0", "w_last = more == 5'd1"),
}


def drains_and_keeps_the_rules(simulation: Simulation) -> None:
    """A fault behind loads that are far away, then a run that works."""
    assert start(simulation, [SUM[1], SUM[1], 0x77]).cycles > 2 * FAR.latency
    assert run_sum(simulation, 3).violation == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", SPOILED)
def test_a_broken_design_shows(name: str, spoiled: Callable[[dict[str, str]], Design]) -> None:
    """What the tests above say of the expert they do not say of a design that does otherwise."""
    file, old, new = SPOILED[name]
    design = with_parameters(spoiled({file: expert_text(file, (old, new))}), **SMALLEST)
    with open_simulation(design, FAR) as simulation, pytest.raises(AssertionError):
        drains_and_keeps_the_rules(simulation)
