"""The instruction set: words and instructions are each other's inverse, in Python and in the Verilog decoder."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hwlib import isa
from hwlib.design import PLATFORM
from hwlib.errors import InputError
from hwlib.isa import HEADER, OPCODES, Field, Instruction, Opcode, decode, encode
from verification import sandbox
from verification.sandbox import Limits

PREFIX = {None: "", isa.Engine.LOAD: "x_", isa.Engine.STORE: "x_", isa.Engine.MATRIX: "g_", isa.Engine.VECTOR: "v_"}
SAME = settings(derandomize=True, deadline=None, max_examples=200)

words = st.integers(0, (1 << isa.INSTRUCTION_BITS) - 1)
opcodes = st.sampled_from(OPCODES)


def mask(field: Field) -> int:
    return ((1 << field.bits) - 1) << field.low


def flag_mask(op: Opcode) -> int:
    return sum(1 << bit for _, bit, _ in op.flags)


def legal(word: int, op: Opcode) -> int:
    """`word` with the opcode of `op`, without flags it does not have and without reserved bits."""
    word &= (1 << op.reserved_low) - 1
    return (word & ~0xFFFF) | (word & flag_mask(op) << 8) | op.code


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    op = draw(opcodes)
    operands = {f.name: draw(st.integers(0, (1 << f.bits) - 1)) for f in op.operands}
    flags = draw(st.frozensets(st.sampled_from([name for name, _, _ in op.flags]))) if op.flags else frozenset()
    wait = st.integers(0, (1 << isa.WAIT_BITS) - 1)
    return Instruction(op.name, operands, flags, draw(st.tuples(wait, wait, wait, wait)))


@SAME
@given(instructions())
def test_an_instruction_survives_its_word(instruction: Instruction) -> None:
    word = encode(instruction)
    assert 0 <= word < 1 << isa.INSTRUCTION_BITS
    assert decode(word) == instruction
    assert decode(word).engine is isa.BY_NAME[instruction.op].engine


@SAME
@given(opcodes, words)
def test_a_word_survives_its_instruction(op: Opcode, word: int) -> None:
    word = legal(word, op)
    assert encode(decode(word)) == word


@pytest.mark.parametrize("op", OPCODES, ids=lambda op: op.name)
def test_each_value_goes_to_its_own_bits(op: Opcode) -> None:
    for field in op.operands:
        largest = (1 << field.bits) - 1
        assert encode(Instruction(op.name, {field.name: largest})) == op.code | mask(field)
        assert op.field(field.name) is field
    for name, bit, _ in op.flags:
        assert encode(Instruction(op.name, {}, frozenset({name}))) == op.code | 1 << 8 + bit
    for engine in isa.Engine:
        waits = tuple(0xFFFF if e is engine else 0 for e in isa.Engine)
        assert encode(Instruction(op.name, {}, waits=waits)) == op.code | 0xFFFF << 16 + 16 * engine


@pytest.mark.parametrize("op", OPCODES, ids=lambda op: op.name)
def test_fields_of_an_instruction_do_not_overlap(op: Opcode) -> None:
    fields = sorted((*HEADER, *op.operands), key=lambda f: f.low)
    assert all(a.low + a.bits == b.low for a, b in pairwise(fields))
    assert fields[0].low == 0
    assert fields[-1].low + fields[-1].bits <= isa.INSTRUCTION_BITS
    assert len({f.name for f in fields}) == len(fields)
    assert all(f.low >= isa.HEADER_BITS for f in op.operands)


def test_the_header_and_the_codes_are_unambiguous() -> None:
    assert sum(map(mask, HEADER)) == (1 << isa.HEADER_BITS) - 1
    assert [f.name for f in HEADER[2:]] == [f"wait_{engine.name.lower()}" for engine in isa.Engine]
    assert all(f.bits == isa.WAIT_BITS for f in HEADER[2:])
    assert len(isa.BY_CODE) == len(isa.BY_NAME) == len(OPCODES)
    for op in OPCODES:
        assert flag_mask(op) == sum({1 << bit for _, bit, _ in op.flags}) < 256


def test_waits_within_the_horizon_compare_as_signed_distances() -> None:
    assert 2 * isa.WAIT_HORIZON < 1 << (isa.WAIT_BITS - 1)


@pytest.mark.parametrize(
    ("instruction", "line"),
    [
        (
            Instruction("JUMP", {}),
            "isa: unknown instruction 'JUMP'; "
            "use one of ['ADD', 'END', 'GEMM', 'LAYERNORM', 'LOAD', 'MUL', 'RMSNORM', 'ROPE', 'SOFTMAX', 'STORE']",
        ),
        (
            Instruction("LOAD", {}, frozenset({"ACT"})),
            "isa: LOAD has no flag ['ACT']; use some of ['COMPACT', 'SPREAD']",
        ),
        (
            Instruction("GEMM", {}, frozenset({"ACT", "FAST"})),
            "isa: GEMM has no flag ['FAST']; "
            "use some of ['ACT', 'HOLD', 'KEEP', 'O4', 'ROW', 'ROWSCALE', 'TRANSPOSE', 'W4']",
        ),
        (
            Instruction("GEMM", {"m_tiles": 4096}),
            "isa: GEMM.m_tiles = 4096 does not fit 12 bits; split the operation",
        ),
        (Instruction("ADD", {"cols": -1}), "isa: ADD.cols = -1 does not fit 16 bits; split the operation"),
        (
            Instruction("END", {}, waits=(0, 65536, 0, 0)),
            "isa: END.wait_store = 65536 does not fit 16 bits; split the operation",
        ),
        (Instruction("END", {"rows": 1}), "isa: END has no field 'rows'; use one of []"),
        (
            Instruction("STORE", {"cols": 1}),
            "isa: STORE has no field 'cols'; use one of ['dram_addr', 'local_addr', 'rows', 'row_words', "
            "'dram_stride', 'local_stride', 'space']",
        ),
    ],
)
def test_what_cannot_be_encoded_gets_one_line(instruction: Instruction, line: str) -> None:
    with pytest.raises(InputError) as caught:
        encode(instruction)
    assert str(caught.value) == line


@SAME
@given(instructions(), st.data())
def test_a_value_just_too_large_is_refused(instruction: Instruction, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from((*isa.BY_NAME[instruction.op].operands, *HEADER[2:])))
    large = 1 << field.bits
    if field in HEADER:
        waits = tuple(large if f is field else wait for f, wait in zip(HEADER[2:], instruction.waits, strict=True))
        changed = replace(instruction, waits=waits)
    else:
        changed = replace(instruction, operands=dict(instruction.operands) | {field.name: large})
    with pytest.raises(InputError, match=rf"\.{field.name} = {large} does not fit {field.bits} bits"):
        encode(changed)


def test_every_other_opcode_is_illegal() -> None:
    legal = "['0x1', '0x10', '0x11', '0x20', '0x30', '0x31', '0x32', '0x33', '0x34', '0x35']"
    for code in set(range(256)) - set(isa.BY_CODE):
        with pytest.raises(InputError) as caught:
            decode(code | 0xABCD << 100)
        assert str(caught.value) == f"isa: illegal opcode 0x{code:02x}; legal: {legal}"


@pytest.mark.parametrize("op", OPCODES, ids=lambda op: op.name)
def test_flags_an_instruction_does_not_have_are_illegal(op: Opcode) -> None:
    for flags in range(256):
        if flags & ~flag_mask(op):
            with pytest.raises(InputError) as caught:
                decode(op.code | flags << 8)
            legal = sorted(name for name, _, _ in op.flags)
            assert str(caught.value) == f"isa: {op.name} has illegal flags 0x{flags:02x}; legal: {legal}"
        else:
            assert decode(op.code | flags << 8).flags == {name for name, bit, _ in op.flags if flags >> bit & 1}


@pytest.mark.parametrize("op", OPCODES, ids=lambda op: op.name)
def test_every_bit_behind_the_operands_is_reserved(op: Opcode) -> None:
    assert op.reserved_low == (op.operands[-1].low + op.operands[-1].bits if op.operands else isa.HEADER_BITS)
    for bit in range(op.reserved_low, isa.INSTRUCTION_BITS):
        with pytest.raises(InputError, match=f"{op.name} has bits set from {op.reserved_low} up, which are reserved"):
            decode(op.code | 1 << bit)


@pytest.mark.parametrize("name", [f.name for f in HEADER])
def test_a_header_field_is_no_operand(name: str) -> None:
    with pytest.raises(InputError):
        encode(Instruction("END", {name: 0x11}))


# The Verilog decoder.

BENCH = """\
module bench;
    reg [255:0] words [0:{last}];
    reg [255:0] instr;
    integer i, out;
{wires}
    isa_decode dut (.instr(instr), {ports});
    initial begin
        $readmemh("words.hex", words);
        out = $fopen("fields.txt");
        for (i = 0; i <= {last}; i = i + 1) begin
            instr = words[i];
            #1 $fdisplay(out, "{holes}", {names});
        end
        $fclose(out);
    end
endmodule
"""


def sampled_words() -> list[int]:
    """Random words: every opcode and flag byte; for legal ones many with legal flags, and each reserved bit."""
    rng = random.Random(0)
    heads = [*range(256), *(op.code | flags << 8 for op in OPCODES for flags in range(256))]
    found = [rng.getrandbits(240) << 16 | head for head in heads]
    found += [legal(rng.getrandbits(isa.INSTRUCTION_BITS), op) for op in OPCODES for _ in range(100)]
    return found + [op.code | 1 << bit for op in OPCODES for bit in range(op.reserved_low, isa.INSTRUCTION_BITS)]


def decoded_by_verilog(found: list[int], folder: Path) -> list[dict[str, int]]:
    """What `isa_decode` says of each word, by port."""
    ports = re.findall(r"output (?:wire|reg) (\[\d+:0\] )?(\w+)", (PLATFORM / "isa_decode.v").read_text())
    names = [name for _, name in ports]
    text = BENCH.format(
        last=len(found) - 1,
        wires="\n".join(f"    wire {width}{name};" for width, name in ports),
        ports=", ".join(f".{name}({name})" for name in names),
        holes=" ".join(["%h"] * len(names)),
        names=", ".join(names),
    )
    (folder / "bench.v").write_text(text)
    (folder / "words.hex").write_text("".join(f"{word:064x}\n" for word in found))
    build = ["iverilog", "-g2005", "-Wall", "-s", "bench", "-o", "bench.vvp", "bench.v", str(PLATFORM / "isa_decode.v")]
    for command in (build, ["vvp", "bench.vvp"]):
        done = sandbox.run(command, folder, readable=[PLATFORM], limits=Limits(seconds=60))
        assert done.ok, done.output
    lines = (folder / "fields.txt").read_text().splitlines()
    return [dict(zip(names, (int(v, 16) for v in line.split()), strict=True)) for line in lines]


def test_the_verilog_decoder_agrees_with_this_one(tmp_path: Path) -> None:
    found = sampled_words()
    for word, ports in zip(found, decoded_by_verilog(found, tmp_path), strict=True):
        assert {f.name: f.extract(word) for f in HEADER} == {f.name: ports[f.name] for f in HEADER}
        try:
            item = decode(word)
        except InputError:
            assert ports["illegal"] == 1, f"{word:064x}"
        else:
            assert ports["illegal"] == 0, f"{word:064x}"
            assert item.waits == tuple(ports[f.name] for f in HEADER[2:])
            assert item.operands == {f: ports[PREFIX[item.engine] + f] for f in item.operands}


# The page.


def test_the_table_has_every_field_and_flag_with_its_bits() -> None:
    page = isa.markdown_table()
    for op in OPCODES:
        section = page.split(f"### {op.name} (0x{op.code:02x}, ")[1].split("###")[0]
        assert all(f"| {name} | {8 + bit} | {doc} |" in section for name, bit, doc in op.flags)
        assert all(f"| {f.name} | {f.low + f.bits - 1}:{f.low} | {f.doc} |" in section for f in op.operands)
