"""Programs on disk, tensor slots, and the text form of instructions."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlib import isa
from hwlib.errors import InputError
from hwlib.files import write_whole
from mfm.program.assembly import assemble, disassemble
from mfm.program.program import MAGIC, Program, TensorSlot, load_program
from mfm.schedule.schedule import schedule
from tests.mfm.machines import block, machine


@lru_cache
def program() -> Program:
    return schedule(block(), machine(), effort=0).program


def test_a_program_survives_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "block.rtprog"
    program().save(path)
    loaded = load_program(path)
    assert loaded.code == program().code
    assert loaded.image == program().image
    assert (loaded.layers, loaded.inputs, loaded.outputs) == (program().layers, program().inputs, program().outputs)
    assert (loaded.target, loaded.memory_bytes) == (program().target, program().memory_bytes)


def test_saving_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "block.rtprog"
    program().save(path)
    program().save(path)
    assert [p.name for p in tmp_path.iterdir()] == ["block.rtprog"]


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    write_whole(path, b"old")
    with pytest.raises(TypeError):
        write_whole(path, "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def corrupted(path: Path, change: str) -> None:
    """Write the program to `path`, damaged."""
    program().save(path)
    data = path.read_bytes()
    start = len(MAGIC) + 8
    size = int.from_bytes(data[start - 8 : start], "little")
    header = json.loads(data[start : start + size])
    if change == "truncated":
        path.write_bytes(data[:-5])
    elif change == "text":
        path.write_text("hello")
    elif change == "header":
        path.write_bytes(data[:start] + b"{" * size + data[start + size :])
    else:
        header |= {"version": {"isa": 99}, "fields": {"segments": None}}[change]
        text = json.dumps(header).encode()
        path.write_bytes(MAGIC + len(text).to_bytes(8, "little") + text + data[start + size :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("truncated", "damaged program file"),
        ("text", "not a program file; rtloom mfm compile writes one"),
        ("header", "damaged program file"),
        ("version", f"ISA version 99, this is {isa.VERSION}; compile it again"),
        ("fields", "damaged program file"),
    ],
)
def test_a_bad_file_is_said_in_one_line(tmp_path: Path, change: str, message: str) -> None:
    path = tmp_path / "bad.rtprog"
    corrupted(path, change)
    with pytest.raises(InputError, match=message) as caught:
        load_program(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: cannot read the program: No such file"):
        load_program(tmp_path / "none")


def instructions(op: isa.Opcode) -> st.SearchStrategy[isa.Instruction]:
    return st.builds(
        isa.Instruction,
        st.just(op.name),
        st.fixed_dictionaries({f.name: st.integers(0, (1 << f.bits) - 1) for f in op.operands}),
        st.frozensets(st.sampled_from([name for name, _, _ in op.flags])) if op.flags else st.just(frozenset()),
        st.tuples(*[st.integers(0, (1 << isa.WAIT_BITS) - 1)] * 4),
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.one_of([instructions(op) for op in isa.OPCODES]), max_size=5))
def test_assembly_round_trip(items: list[isa.Instruction]) -> None:
    assert assemble(disassemble(items)) == tuple(items)
    assert assemble(disassemble(items, ["a comment"] * len(items))) == tuple(items)


def test_a_compiled_program_is_its_disassembly() -> None:
    text = disassemble(program().instructions, program().layers)
    assert assemble(text) == program().instructions
    assert text.endswith("END  # end\n")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("JUMP", "f.s:2: unknown instruction 'JUMP'"),
        ("GEMM.FAST m_tiles=1", "f.s:2: GEMM has no flag"),
        ("GEMM m_tiles=4096", "f.s:2: GEMM.m_tiles = 4096 does not fit 12 bits"),
        ("GEMM rows=1", "f.s:2: GEMM has no field 'rows'"),
        ("ADD cols=many", "f.s:2: cannot read 'ADD cols=many'; write OP.FLAG name=value"),
        ("ADD cols", "f.s:2: cannot read"),
        ("END wait=1,2", "f.s:2: cannot read"),
    ],
)
def test_bad_assembly_names_the_line(line: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        assemble(f"# first\n{line}\n", "f.s")
    assert str(caught.value).startswith(message)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from([(4, 4), (8, 1), (2, 8)]), st.integers(0, 9))
def test_a_tensor_survives_the_memory_layout(rows: int, cols: int, shape: tuple[int, int], seed: int) -> None:
    target = dict(zip(("T", "D"), shape, strict=True))
    slot = TensorSlot("x", 0, rows, cols, -(-cols // shape[1]) + 1, 0.5)
    matrix = np.random.default_rng(seed).integers(-128, 128, (rows, cols))
    data = slot.pack(matrix, target)
    assert len(data) == slot.nbytes(target)
    assert np.array_equal(slot.decode(data, target), matrix)


def test_samples_are_gathered_quantized_and_given_back() -> None:
    slot = TensorSlot("x", 0, 2, 2, 1, 0.25, zero=3, gather=(1, 0, -1, 2))
    found = slot.quantize(np.array([1.0, -2.0, 100.0]))
    assert found.tolist() == [[-5, 7], [3, 127]]
    assert slot.dequantize(found).tolist() == [[-2.0, 1.0], [0.0, 31.0]]
    with pytest.raises(InputError, match="a sample of 2 values for input 'x'; it needs 3"):
        slot.quantize(np.zeros(2))
