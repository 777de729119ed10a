"""The instruction set, defined once.

An instruction is 32 bytes, little endian. Bits 79..0 are a header common to all
opcodes; bits 255..80 are operands, those behind an opcode's last one zero. The
Verilog decoder (`platform/isa_decode.v`), the assembler, the disassembler and the
table in `docs/isa.md` derive from `HEADER` and `OPCODES` below.

Dependencies are timelines: every engine counts the instructions it has retired, and
each instruction names, for each engine, the count that must have been reached before
it may start (modulo 2**16, compared as signed distance). A program whose waits only
name earlier instructions therefore cannot deadlock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from hwlib.errors import InputError

VERSION = 4
INSTRUCTION_BITS = 256
INSTRUCTION_BYTES = INSTRUCTION_BITS // 8
HEADER_BITS = 80
WAIT_BITS = 16
WAIT_HORIZON = 1024
"""No queue may hold this many instructions: a wait older than this is always met."""


class Engine(IntEnum):
    """The four decoupled engines, in the order of the header's wait fields."""

    LOAD = 0
    STORE = 1
    MATRIX = 2
    VECTOR = 3


class Space(IntEnum):
    """Where LOAD writes. All spaces are addressed in local words of ``T*D`` bytes."""

    SCRATCHPAD = 0
    MATRIX_PARAMS = 1
    VECTOR_PARAMS = 2
    ACTIVATION_TABLES = 3


class Fault(IntEnum):
    """Error codes the control block reports."""

    NONE = 0
    ILLEGAL_INSTRUCTION = 1
    ADDRESS_RANGE = 2
    UNALIGNED = 3
    AXI_READ = 4
    AXI_WRITE = 5


@dataclass(frozen=True)
class Field:
    """A bit field ``[low +: bits]``, unsigned."""

    name: str
    low: int
    bits: int
    doc: str

    def extract(self, word: int) -> int:
        return (word >> self.low) & ((1 << self.bits) - 1)


@dataclass(frozen=True)
class Opcode:
    """An instruction: its code, the engine that runs it, its flags and operands."""

    name: str
    code: int
    engine: Engine | None
    doc: str
    flags: tuple[tuple[str, int, str], ...]
    operands: tuple[Field, ...]

    @property
    def reserved_low(self) -> int:
        """The first bit behind its last operand: it and all above are zero in a legal instruction."""
        return max((item.low + item.bits for item in self.operands), default=HEADER_BITS)

    def field(self, name: str) -> Field:
        """The operand called `name`; InputError if there is none."""
        for item in self.operands:
            if item.name == name:
                return item
        raise InputError(f"{self.name} has no field '{name}'", "isa", f"use one of {[f.name for f in self.operands]}")


def _layout(*items: tuple[str, int, str]) -> tuple[Field, ...]:
    fields, low = [], HEADER_BITS
    for name, bits, doc in items:
        fields.append(Field(name, low, bits, doc))
        low += bits
    if low > INSTRUCTION_BITS:
        raise AssertionError(f"operands end at bit {low}, past {INSTRUCTION_BITS}")
    return tuple(fields)


HEADER = (
    Field("opcode", 0, 8, "operation"),
    Field("flags", 8, 8, "per-opcode modifiers"),
    Field("wait_load", 16, 16, "LOAD instructions that must have retired"),
    Field("wait_store", 32, 16, "STORE instructions that must have retired"),
    Field("wait_matrix", 48, 16, "MATRIX instructions that must have retired"),
    Field("wait_vector", 64, 16, "VECTOR instructions that must have retired"),
)

_TRANSFER = _layout(
    ("dram_addr", 40, "byte address in memory, a multiple of the AXI data width"),
    ("local_addr", 16, "first local word"),
    ("rows", 16, "rows to move, at least 1"),
    ("row_words", 16, "words of memory in a row, at least 1 (COMPACT: below 32768; SPREAD: local words)"),
    ("dram_stride", 32, "bytes between row starts in memory"),
    ("local_stride", 16, "local words between row starts"),
    ("space", 8, "LOAD: 0 scratchpad, 1 matrix parameters, 2 vector parameters, 3 activation tables; STORE: 0"),
)

_LANE = ("lane", 6, "the row of the local words that is written, modulo T (SPREAD)")
_LOAD = _layout(*((f.name, f.bits, f.doc) for f in _TRANSFER), _LANE)

_MATRIX = _layout(
    ("a_addr", 16, "scratchpad word of A's first row-block"),
    ("b_addr", 16, "scratchpad word of B's first row-block"),
    ("o_addr", 16, "scratchpad word of the output's first row-block"),
    ("m_tiles", 12, "row-blocks of A (M/T), at least 1"),
    ("n_tiles", 12, "row-blocks of B (N/T), at least 1"),
    ("k_words", 16, "words along K in a row-block (K/D), at least 1; K at most 65,535"),
    ("a_stride", 16, "words between row-blocks of A"),
    ("b_stride", 16, "words between row-blocks of B"),
    ("o_stride", 16, "words between row-blocks of the output"),
    ("p_addr", 16, "matrix parameter entry of output column 0"),
    ("r_addr", 12, "row-scale entry of row-block 0 (ROWSCALE); the output row that is written (ROW)"),
    ("act_table", 2, "activation table (ACT)"),
    ("gain", 4, "left shift of the row scale's result (ROWSCALE)"),
    ("o_high", 1, "the first word of an output row-block is the high nibbles (O4)"),
)

_VECTOR = _layout(
    ("a_addr", 16, "scratchpad word of the first operand"),
    ("b_addr", 16, "scratchpad word of the second operand (ADD, MUL, ROPE)"),
    ("o_addr", 16, "scratchpad word of the output"),
    ("row_blocks", 12, "row-blocks (rows/T), at least 1"),
    ("cols", 16, "valid elements in a row, 1 to 4096"),
    ("a_stride", 16, "words between row-blocks of the first operand"),
    ("b_stride", 16, "words between row-blocks of the second operand (ADD, MUL, ROPE)"),
    ("o_stride", 16, "words between row-blocks of the output"),
    ("p_addr", 16, "vector parameter entry: of column 0 (LAYERNORM, RMSNORM), of operand a, then b (ADD, MUL, ROPE)"),
    ("r_addr", 12, "row-scale entry of row-block 0 (SOFTMAX)"),
    ("frac", 3, "fraction bits of the base-2 scores, 2 to 5 (SOFTMAX)"),
    ("span", 16, "words from a low plane to its high plane (WIDE); valid elements of row 0, at least 1 (CAUSAL)"),
)

OPCODES = (
    Opcode("END", 0x01, None, "wait until every engine is idle, then report done", (), ()),
    Opcode(
        "LOAD",
        0x10,
        Engine.LOAD,
        "memory to local storage, a 2-D copy of words",
        (
            ("COMPACT", 0, "4-byte parameter entries become 8-byte ones: a word of memory is two local words"),
            ("SPREAD", 1, "D bytes of memory are one row of a local word, its other rows stay (space 0 only)"),
        ),
        _LOAD,
    ),
    Opcode("STORE", 0x11, Engine.STORE, "scratchpad to memory, a 2-D copy of words", (), _TRANSFER),
    Opcode(
        "GEMM",
        0x20,
        Engine.MATRIX,
        "O = requantize(A . B^T); column tiles outermost, then row tiles, then K",
        (
            ("ACT", 0, "apply the activation table to the requantized value"),
            ("TRANSPOSE", 1, "store the transposed output (row-blocks of O are column tiles)"),
            ("ROWSCALE", 2, "multiplier and shift come per row from the row-scale memory, bias is 0"),
            ("KEEP", 3, "do not clear the accumulators first (one tile only)"),
            ("HOLD", 4, "do not drain the accumulators (one tile only); nothing is stored"),
            ("W4", 5, "B is int4: a word of B holds two words along K, the first in the low nibbles"),
            ("ROW", 6, "write only output row r_addr (m_tiles = 1): a row of a cache, or with TRANSPOSE a column"),
            ("O4", 7, "the output is int4, saturated: two words along a row-block of it share one, as W4 reads it"),
        ),
        _MATRIX,
    ),
    Opcode(
        "LAYERNORM", 0x30, Engine.VECTOR, "row-wise layer normalisation with per-column scale and bias", (), _VECTOR
    ),
    Opcode(
        "SOFTMAX",
        0x31,
        Engine.VECTOR,
        "row-wise base-2 softmax, unnormalised, with the reciprocal to row scales",
        (("CAUSAL", 0, "only the first span + (number of the row) elements of a row are valid, up to cols"),),
        _VECTOR,
    ),
    Opcode(
        "ADD",
        0x32,
        Engine.VECTOR,
        "O = requantize(A*Ma + B*Mb)",
        (
            ("WIDE", 0, "A is int16, in two planes: 256*high + low, both int8"),
            ("WIDE_OUT", 1, "O is int16, in two planes"),
        ),
        _VECTOR,
    ),
    Opcode(
        "RMSNORM", 0x33, Engine.VECTOR, "row-wise root-mean-square normalisation with per-column scale", (), _VECTOR
    ),
    Opcode("MUL", 0x34, Engine.VECTOR, "O = requantize(A*B*Ma)", (), _VECTOR),
    Opcode(
        "ROPE",
        0x35,
        Engine.VECTOR,
        "rotate pairs of neighbouring columns of A by the angles of B (cosine, sine); cols is even",
        (),
        _VECTOR,
    ),
)

BY_NAME: Mapping[str, Opcode] = {op.name: op for op in OPCODES}
BY_CODE: Mapping[int, Opcode] = {op.code: op for op in OPCODES}


@dataclass(frozen=True)
class Instruction:
    """One instruction: opcode name, flag names set, operand values, and waits per engine."""

    op: str
    operands: Mapping[str, int]
    flags: frozenset[str] = frozenset()
    waits: tuple[int, int, int, int] = (0, 0, 0, 0)

    @property
    def engine(self) -> Engine | None:
        return BY_NAME[self.op].engine


def encode(instruction: Instruction) -> int:
    """The 256-bit word of `instruction`. Raises InputError for a value that does not fit its field."""
    op = BY_NAME.get(instruction.op)
    if op is None:
        raise InputError(f"unknown instruction '{instruction.op}'", "isa", f"use one of {sorted(BY_NAME)}")
    bits = {name: bit for name, bit, _ in op.flags}
    unknown = set(instruction.flags) - set(bits)
    if unknown:
        raise InputError(f"{op.name} has no flag {sorted(unknown)}", "isa", f"use some of {sorted(bits)}")
    head = (op.code, sum(1 << bits[flag] for flag in instruction.flags), *instruction.waits)
    fields = [*zip(HEADER, head, strict=True), *((op.field(name), v) for name, v in instruction.operands.items())]
    word = 0
    for item, value in fields:
        if not 0 <= value < 1 << item.bits:
            what = f"{op.name}.{item.name} = {value} does not fit {item.bits} bits"
            raise InputError(what, "isa", "split the operation")
        word |= value << item.low
    return word


def decode(word: int) -> Instruction:
    """The instruction of a 256-bit `word`. Raises InputError for an illegal opcode or flag, or a reserved bit set."""
    header = {f.name: f.extract(word) for f in HEADER}
    op = BY_CODE.get(header["opcode"])
    if op is None:
        raise InputError(f"illegal opcode 0x{header['opcode']:02x}", "isa", f"legal: {[hex(c) for c in BY_CODE]}")
    names = {bit: name for name, bit, _ in op.flags}
    set_bits = [bit for bit in range(8) if header["flags"] >> bit & 1]
    if any(bit not in names for bit in set_bits):
        raise InputError(
            f"{op.name} has illegal flags 0x{header['flags']:02x}", "isa", f"legal: {sorted(names.values())}"
        )
    if word >> op.reserved_low:
        raise InputError(
            f"{op.name} has bits set from {op.reserved_low} up, which are reserved", "isa", "write zeros there"
        )
    waits = (header["wait_load"], header["wait_store"], header["wait_matrix"], header["wait_vector"])
    operands = {f.name: f.extract(word) for f in op.operands}
    return Instruction(op.name, operands, frozenset(names[b] for b in set_bits), waits)


def verilog_decoder() -> str:
    """Verilog of `isa_decode`: a 256-bit instruction in, every field and an illegal flag out."""
    fields = [*HEADER, *{f.name: f for op in OPCODES for f in _prefixed(op)}.values()]
    ports = ",\n".join(f"    output wire [{f.bits - 1}:0] {f.name}" for f in fields)
    wires = "\n".join(f"    assign {f.name} = instr[{f.low + f.bits - 1}:{f.low}];" for f in fields)
    legal = "\n".join(f"            8'h{op.code:02x}: illegal = {_illegal(op)}; // {op.name}" for op in OPCODES)
    return _DECODER.format(version=VERSION, ports=ports, wires=wires, legal=legal)


def _illegal(op: Opcode) -> str:
    return f"|(instr[15:8] & ~8'h{_flag_mask(op):02x}) || |instr[{INSTRUCTION_BITS - 1}:{op.reserved_low}]"


def _flag_mask(op: Opcode) -> int:
    return sum(1 << bit for _, bit, _ in op.flags)


def _prefixed(op: Opcode) -> list[Field]:
    """Operand fields named by layout (x_ transfer, g_ matrix, v_ vector), as layouts share bits."""
    prefix = {id(_LOAD): "x_", id(_TRANSFER): "x_", id(_MATRIX): "g_", id(_VECTOR): "v_"}.get(id(op.operands), "")
    return [Field(prefix + f.name, f.low, f.bits, f.doc) for f in op.operands]


_DECODER = """\
// isa_decode: names the fields of an instruction (ISA version {version}).
// Purely combinational. Generated from hwlib/isa.py by `rtloom generate`; do not edit.
// x_ fields belong to LOAD and STORE, g_ to GEMM, v_ to the vector engine's.
// illegal: the opcode is not defined, or a flag it does not have or a bit behind its operands is set.
module isa_decode (
    input  wire [255:0] instr,
{ports},
    output reg illegal
);
{wires}
    wire unused_bits = &{{1'b0, instr}};

    always @* begin
        case (instr[7:0])
{legal}
            default: illegal = 1'b1;
        endcase
    end
endmodule
"""


def markdown_table() -> str:
    """The ISA as Markdown, for docs/isa.md."""
    lines = ["| field | bits | meaning |", "| --- | --- | --- |"]
    lines += [f"| {f.name} | {f.low + f.bits - 1}:{f.low} | {f.doc} |" for f in HEADER]
    for op in OPCODES:
        engine = op.engine.name.lower() if op.engine is not None else "sequencer"
        lines += ["", f"### {op.name} (0x{op.code:02x}, {engine})", "", op.doc + ".", ""]
        if op.flags:
            lines += ["| flag | bit | meaning |", "| --- | --- | --- |"]
            lines += [f"| {name} | {8 + bit} | {doc} |" for name, bit, doc in op.flags] + [""]
        if op.operands:
            lines += ["| operand | bits | meaning |", "| --- | --- | --- |"]
            lines += [f"| {f.name} | {f.low + f.bits - 1}:{f.low} | {f.doc} |" for f in op.operands]
    return "\n".join(lines) + "\n"
