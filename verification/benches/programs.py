"""Random programs in memory, legal or with one defect: the stimulus of the sequencer's bench."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from hwlib import isa
from hwlib.isa import Fault
from hwlib.numerics.gemm import K_MAX

COUNTS = {
    "LOAD": ("rows", "row_words"),
    "STORE": ("rows", "row_words"),
    "GEMM": ("m_tiles", "n_tiles", "k_words"),
    "LAYERNORM": ("row_blocks", "cols"),
    "SOFTMAX": ("row_blocks", "cols"),
    "ADD": ("row_blocks", "cols"),
    "RMSNORM": ("row_blocks", "cols"),
    "MUL": ("row_blocks", "cols"),
    "ROPE": ("row_blocks", "cols"),
}
"""Operands that must not be zero."""
ADDRESSES = {
    "LOAD": ("local_addr",),
    "STORE": ("local_addr",),
    "GEMM": ("a_addr", "b_addr", "o_addr"),
    "LAYERNORM": ("a_addr", "o_addr"),
    "SOFTMAX": ("a_addr", "o_addr"),
    "ADD": ("a_addr", "b_addr", "o_addr"),
    "RMSNORM": ("a_addr", "o_addr"),
    "MUL": ("a_addr", "b_addr", "o_addr"),
    "ROPE": ("a_addr", "b_addr", "o_addr"),
}
"""Operands that must lie in the scratchpad (of LOAD in space 0 only)."""
SPACES = {"LOAD": 3, "STORE": 0}
PARAMETER_SPACES = (isa.Space.MATRIX_PARAMS, isa.Space.VECTOR_PARAMS)
COMPACT_WORDS = 1 << 15
"""A LOAD with COMPACT has fewer words in a row, and goes to parameter spaces only."""
_LOCAL_FORMS = frozenset({"COMPACT", "SPREAD"})
"""Flags of LOAD of which one alone may be set, and each only with some spaces; SPREAD only with the scratchpad."""
RECENT = 3
ANCIENT = (1 << 15) + 4096
"""From here on a wait is older than any count these programs reach: always met."""
GARBAGE = 8
OPCODE_DEFECTS = 4
END_WORD = isa.encode(isa.Instruction("END", {}))


@dataclass(frozen=True)
class Machine:
    """What legality depends on: words of the scratchpad, and the array's dot length."""

    words: int
    dot: int

    @classmethod
    def at(cls, point: Mapping[str, int]) -> Machine:
        """The machine of a sequencer at `point`."""
        return cls(point["WORDS"], point["D"])

    @property
    def k_words(self) -> int:
        """Words along K that a GEMM must have fewer of: K is then at most 65,535 (`hwlib.numerics.gemm.K_MAX`)."""
        return (K_MAX + 1) // self.dot


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


def random_body(rng: random.Random, count: int, waiting: float, machine: Machine, even: bool = False) -> list[int]:
    """`count` legal instructions; each wait names, with probability `waiting`, one of the latest earlier ones.

    `even`: each engine is as likely as any other, not each operation.
    """
    issued = dict.fromkeys(isa.Engine, 0)
    words = []
    for _ in range(count):
        waits = [_wait(rng, issued[engine], waiting) for engine in isa.Engine]
        engine = rng.choice(list(isa.Engine)) if even else None
        operations = [op for op in COUNTS if engine in (None, isa.BY_NAME[op].engine)]
        instruction = _instruction(rng, rng.choice(operations), machine, waits)
        words.append(isa.encode(instruction))
        if instruction.engine is not None:
            issued[instruction.engine] += 1
    return words


def crossed_body(rng: random.Random, queue: int, machine: Machine) -> list[int]:
    """As many GEMMs as a queue holds, all waiting for the LOAD behind them."""
    gemms = [_instruction(rng, "GEMM", machine, (1, 0, 0, 0)) for _ in range(queue)]
    return [isa.encode(i) for i in (*gemms, _instruction(rng, "LOAD", machine, (0, 0, 0, 0)))]


def gathered_body(rng: random.Random, rounds: int, machine: Machine) -> list[int]:
    """A LOAD, then rounds of one instruction for each engine, all of which wait for the LOAD of the round before."""
    words = [legal_word(rng, "LOAD", machine)]
    for loads in range(1, rounds + 1):
        operations = rng.sample(["LOAD", "STORE", "GEMM", "ADD"], 4)
        words += [isa.encode(_instruction(rng, op, machine, (loads, 0, 0, 0))) for op in operations]
    return words


def legal_word(rng: random.Random, op: str, machine: Machine) -> int:
    """One legal instruction that waits for nothing."""
    return isa.encode(_instruction(rng, op, machine, (0, 0, 0, 0)))


def _wait(rng: random.Random, issued: int, waiting: float) -> int:
    if rng.random() < waiting:
        return rng.randint(max(0, issued - RECENT), issued)
    return rng.choice((0, rng.randint(ANCIENT, (1 << isa.WAIT_BITS) - 1)))


def _instruction(rng: random.Random, op: str, machine: Machine, waits: list[int] | tuple[int, ...]) -> isa.Instruction:
    """A legal instruction with random operands."""
    opcode = isa.BY_NAME[op]
    operands = {f.name: rng.getrandbits(f.bits) for f in opcode.operands}
    for name in COUNTS[op]:
        operands[name] = rng.choice((1 << rng.randrange(opcode.field(name).bits), max(1, operands[name])))
    if op == "GEMM":
        operands["k_words"] = rng.choice((machine.k_words - 1, max(1, operands["k_words"] % machine.k_words)))
    if op in SPACES:
        operands["space"] = rng.randint(0, SPACES[op])
    flags = frozenset(name for name, _, _ in opcode.flags if rng.random() < 0.5)
    if flags >= _LOCAL_FORMS:
        flags -= {rng.choice(sorted(_LOCAL_FORMS))}
    if "SPREAD" in flags:
        operands["space"] = isa.Space.SCRATCHPAD
    if "COMPACT" in flags:
        operands["space"] = rng.choice(PARAMETER_SPACES)
        operands["row_words"] = max(1, operands["row_words"] % COMPACT_WORDS)
    if not operands.get("space"):
        operands |= {name: rng.choice((machine.words - 1, rng.randrange(machine.words))) for name in ADDRESSES[op]}
    load, store, matrix, vector = waits
    return isa.Instruction(op, operands, flags, (load, store, matrix, vector))


def program(rng: random.Random, address: int, body: list[int], fault: Fault, last: int = END_WORD) -> Program:
    """`body` and then `last` at `address`, with noise behind."""
    words = (*body, last)
    noise = (rng.getrandbits(isa.INSTRUCTION_BITS) for _ in range(GARBAGE))
    return Program(address, words, (*words, *noise), fault)


def defects(rng: random.Random, fault: Fault, machine: Machine) -> list[int]:
    """Instructions with one thing wrong that gives `fault`: every operand, flag and kind there is, in random order."""
    makers = {Fault.ILLEGAL_INSTRUCTION: _illegal, Fault.ADDRESS_RANGE: _outside}
    words = list(makers[fault](rng, machine)) if fault in makers else []
    rng.shuffle(words)
    return words


def _illegal(rng: random.Random, machine: Machine) -> Iterator[int]:
    """Undefined opcodes, a flag no such instruction has, a reserved bit, a zero count, a space or size out of range."""
    for code in rng.sample(sorted(set(range(256)) - set(isa.BY_CODE)), OPCODE_DEFECTS):
        yield _replace(legal_word(rng, "ADD", machine), isa.HEADER[0], code)
    for op in isa.BY_NAME.values():
        undefined = set(range(8)) - {bit for _, bit, _ in op.flags}
        word = END_WORD if op.engine is None else legal_word(rng, op.name, machine)
        if undefined:
            yield word | 1 << isa.HEADER[1].low + rng.choice(sorted(undefined))
        for bit in (op.reserved_low, rng.randrange(op.reserved_low, isa.INSTRUCTION_BITS), isa.INSTRUCTION_BITS - 1):
            yield word | 1 << bit
    for name, counts in COUNTS.items():
        for count in counts:
            yield _replace(legal_word(rng, name, machine), isa.BY_NAME[name].field(count), 0)
    k_words = isa.BY_NAME["GEMM"].field("k_words")
    for bit in range(machine.k_words.bit_length() - 1, k_words.bits):
        yield _replace(legal_word(rng, "GEMM", machine), k_words, 1 << bit | rng.randrange(1 << bit))
    for name, last in SPACES.items():
        for space in (last + 1, 4 << rng.randrange(6)):
            yield _replace(_plain(name, legal_word(rng, name, machine)), isa.BY_NAME[name].field("space"), space)
    compact = _load_with(rng, "COMPACT", machine)
    for space in (isa.Space.SCRATCHPAD, isa.Space.ACTIVATION_TABLES):
        yield _replace(compact, isa.BY_NAME["LOAD"].field("space"), space)
    yield _replace(compact, isa.BY_NAME["LOAD"].field("row_words"), COMPACT_WORDS + rng.randrange(COMPACT_WORDS))
    spread = _load_with(rng, "SPREAD", machine)
    for space in isa.Space:
        if space is not isa.Space.SCRATCHPAD:
            yield _replace(spread, isa.BY_NAME["LOAD"].field("space"), space)


def reserved(rng: random.Random, machine: Machine) -> list[int]:
    """Each instruction with each of its reserved bits set, one at a time, in random order."""
    words = [
        (END_WORD if op.engine is None else legal_word(rng, op.name, machine)) | 1 << bit
        for op in isa.BY_NAME.values()
        for bit in range(op.reserved_low, isa.INSTRUCTION_BITS)
    ]
    rng.shuffle(words)
    return words


def _plain(name: str, word: int) -> int:
    """The instruction without flags of LOAD that would make spaces illegal by themselves."""
    bits = [bit for flag, bit, _ in isa.BY_NAME[name].flags if flag in _LOCAL_FORMS]
    return word & ~sum(1 << isa.HEADER[1].low + bit for bit in bits)


def _load_with(rng: random.Random, flag: str, machine: Machine) -> int:
    """A LOAD with `flag` whose local address would be legal in any space."""
    while flag not in isa.decode(word := legal_word(rng, "LOAD", machine)).flags:
        continue
    return _replace(word, isa.BY_NAME["LOAD"].field("local_addr"), rng.randrange(machine.words))


def _outside(rng: random.Random, machine: Machine) -> Iterator[int]:
    """One address past the scratchpad; of a transfer by each bit that it must not have."""
    for name, addresses in ADDRESSES.items():
        for address in addresses:
            past = rng.choice((machine.words, 1 << 15, rng.randrange(machine.words, 1 << 16)))
            above = [1 << bit for bit in range(machine.words.bit_length() - 1, 16)] if name in SPACES else []
            for value in (past, *above):
                word = _plain(name, legal_word(rng, name, machine))
                if name == "LOAD":
                    word = _replace(word, isa.BY_NAME[name].field("space"), 0)
                yield _replace(word, isa.BY_NAME[name].field(address), value)


def _replace(word: int, field: isa.Field, value: int) -> int:
    return word & ~(((1 << field.bits) - 1) << field.low) | value << field.low
