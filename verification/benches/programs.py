"""Random programs in memory, legal or with one defect: the stimulus of the sequencer's bench."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hwlib import isa
from hwlib.isa import Fault

COUNTS = {
    "LOAD": ("rows", "row_words"),
    "STORE": ("rows", "row_words"),
    "GEMM": ("m_tiles", "n_tiles", "k_words"),
    "LAYERNORM": ("row_blocks", "cols"),
    "SOFTMAX": ("row_blocks", "cols"),
    "ADD": ("row_blocks", "cols"),
}
"""Operands that must not be zero."""
ADDRESSES = {
    "LOAD": ("local_addr",),
    "STORE": ("local_addr",),
    "GEMM": ("a_addr", "b_addr", "o_addr"),
    "LAYERNORM": ("a_addr", "o_addr"),
    "SOFTMAX": ("a_addr", "o_addr"),
    "ADD": ("a_addr", "b_addr", "o_addr"),
}
"""Operands that must lie in the scratchpad (of LOAD in space 0 only)."""
SPACES = {"LOAD": 3, "STORE": 0}
RECENT = 3
ANCIENT = (1 << 15) + 4096
"""From here on a wait is older than any count these programs reach: always met."""
GARBAGE = 8


@dataclass(frozen=True)
class Program:
    """A program at a byte address; its last word ends it: END, or an instruction that fails with `fault`.

    memory: words as stored, with noise behind the end.
    """

    address: int
    words: tuple[int, ...]
    memory: tuple[int, ...]
    fault: Fault

    def image(self) -> dict[int, int]:
        """Bytes by address."""
        stored = b"".join(word.to_bytes(isa.INSTRUCTION_BYTES, "little") for word in self.memory)
        return dict(enumerate(stored, self.address))

    def engine_words(self, engine: isa.Engine) -> list[tuple[int, int]]:
        """(index, word) of the instructions for `engine`, without the one that ends the program."""
        body = enumerate(self.words[:-1])
        return [(index, word) for index, word in body if isa.decode(word).engine is engine]


def random_body(rng: random.Random, count: int, waiting: float, scratchpad: int) -> list[int]:
    """`count` legal instructions; each wait names, with probability `waiting`, one of the latest earlier ones."""
    issued = dict.fromkeys(isa.Engine, 0)
    words = []
    for _ in range(count):
        waits = [_wait(rng, issued[engine], waiting) for engine in isa.Engine]
        instruction = _instruction(rng, rng.choice(list(COUNTS)), scratchpad, waits)
        words.append(isa.encode(instruction))
        if instruction.engine is not None:
            issued[instruction.engine] += 1
    return words


def crossed_body(rng: random.Random, queue: int, scratchpad: int) -> list[int]:
    """As many GEMMs as a queue holds, all waiting for the LOAD behind them."""
    gemms = [_instruction(rng, "GEMM", scratchpad, (1, 0, 0, 0)) for _ in range(queue)]
    return [isa.encode(i) for i in (*gemms, _instruction(rng, "LOAD", scratchpad, (0, 0, 0, 0)))]


def legal_word(rng: random.Random, op: str, scratchpad: int) -> int:
    """One legal instruction that waits for nothing."""
    return isa.encode(_instruction(rng, op, scratchpad, (0, 0, 0, 0)))


def _wait(rng: random.Random, issued: int, waiting: float) -> int:
    if rng.random() < waiting:
        return rng.randint(max(0, issued - RECENT), issued)
    return rng.choice((0, rng.randint(ANCIENT, (1 << isa.WAIT_BITS) - 1)))


def _instruction(rng: random.Random, op: str, scratchpad: int, waits: list[int] | tuple[int, ...]) -> isa.Instruction:
    """A legal instruction with random operands."""
    opcode = isa.BY_NAME[op]
    operands = {f.name: rng.getrandbits(f.bits) for f in opcode.operands}
    for name in COUNTS[op]:
        operands[name] = rng.choice((1 << rng.randrange(opcode.field(name).bits), max(1, operands[name])))
    if op in SPACES:
        operands["space"] = rng.randint(0, SPACES[op])
    if not operands.get("space"):
        operands |= {name: rng.choice((scratchpad - 1, rng.randrange(scratchpad))) for name in ADDRESSES[op]}
    flags = frozenset(name for name, _, _ in opcode.flags if rng.random() < 0.5)
    load, store, matrix, vector = waits
    return isa.Instruction(op, operands, flags, (load, store, matrix, vector))


def program(rng: random.Random, address: int, body: list[int], fault: Fault, scratchpad: int) -> Program:
    """`body` at `address`, ended by END or, for ILLEGAL_INSTRUCTION and ADDRESS_RANGE, by an instruction so wrong."""
    endings = {Fault.ILLEGAL_INSTRUCTION: _illegal, Fault.ADDRESS_RANGE: _outside}
    last = endings[fault](rng, scratchpad) if fault in endings else isa.encode(isa.Instruction("END", {}))
    words = (*body, last)
    noise = (rng.getrandbits(isa.INSTRUCTION_BITS) for _ in range(GARBAGE))
    return Program(address, words, (*words, *noise), fault)


def _illegal(rng: random.Random, scratchpad: int) -> int:
    """An instruction with one thing wrong: opcode, flag, a zero count, or space."""
    op = rng.choice(list(COUNTS))
    word = legal_word(rng, op, scratchpad)
    kind = rng.choice(("opcode", "flag", "count", "space"))
    if kind == "opcode":
        return word & ~0xFF | rng.choice(sorted(set(range(256)) - set(isa.BY_CODE)))
    if kind == "flag":
        return _with_illegal_flag(rng, word, rng.choice((op, "END")))
    if kind == "count":
        return _replace(word, isa.BY_NAME[op].field(rng.choice(COUNTS[op])), 0)
    op = rng.choice(list(SPACES))
    word = legal_word(rng, op, scratchpad)
    space = rng.choice((SPACES[op] + 1, rng.randint(SPACES[op] + 1, 255), 4 << rng.randrange(6)))
    return _replace(word, isa.BY_NAME[op].field("space"), space)


def _with_illegal_flag(rng: random.Random, word: int, op: str) -> int:
    legal = {bit for _, bit, _ in isa.BY_NAME[op].flags}
    bit = rng.choice([b for b in range(8) if b not in legal])
    return word & ~0xFF | isa.BY_NAME[op].code | 1 << 8 + bit


def _outside(rng: random.Random, scratchpad: int) -> int:
    """An instruction with one address past the scratchpad."""
    op = rng.choice(list(ADDRESSES))
    word = legal_word(rng, op, scratchpad)
    if op == "LOAD":
        word = _replace(word, isa.BY_NAME[op].field("space"), 0)
        word = _replace(word, isa.BY_NAME[op].field("local_addr"), 0)
    past = rng.choice(
        (scratchpad, 1 << rng.randrange(scratchpad.bit_length() - 1, 16), rng.randrange(scratchpad, 1 << 16))
    )
    return _replace(word, isa.BY_NAME[op].field(rng.choice(ADDRESSES[op])), past)


def _replace(word: int, field: isa.Field, value: int) -> int:
    return word & ~(((1 << field.bits) - 1) << field.low) | value << field.low
