"""GEMMs whose words lie anywhere in the 16-bit address space, and what their addresses must be.

The memory behind the bench is smaller and takes addresses modulo its size, so the judge looks at them in full.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from hwlib.isa import Instruction
from verification.benches.scenario import Mismatch, Observed

SPACE = 1 << 16
OPERANDS = {"a_req": ("a_addr", "a_stride", "m_tiles"), "b_req": ("b_addr", "b_stride", "n_tiles")}
MOVED = ("a_addr", "b_addr", "o_addr", "o_stride")
ANSWERS = {"a_req": "a_rsp", "b_req": "b_rsp"}


def far(rng: random.Random, instruction: Instruction, words: int) -> Instruction:
    """`instruction` with each address, and the output's stride, moved by a multiple of `words`: the same words of such
    a memory."""
    moved = {name: (value + words * rng.randrange(SPACE // words)) % SPACE if name in MOVED else value
             for name, value in instruction.operands.items()}  # fmt: skip
    return replace(instruction, operands=moved)


def near(instruction: Instruction, words: int) -> Instruction:
    """`instruction` with its output in the first `words`."""
    o = instruction.operands
    return replace(instruction, operands={**o, "o_addr": o["o_addr"] % words, "o_stride": o["o_stride"] % words})


def compare_addresses(seen: Observed, program: Sequence[Instruction], written: Sequence[set[int]]) -> list[Mismatch]:
    """Reads and writes in full: none but where an operand or a written word (`written`, by instruction) lies; and
    `done` not before every operand has been answered."""
    reads = {name: [set(_read(i, name)) for i in program] for name in OPERANDS}
    writes = [{word % SPACE for word in each} for each in written]
    allowed = {name: set().union(*each) for name, each in (reads | {"o": writes}).items()}
    for name, addresses in allowed.items():
        for index, beat in enumerate(seen.transfers[name]):
            if beat.payload["addr"] not in addresses and beat.payload.get("strb", 1):
                got = f"0x{beat.payload['addr']:04x}"
                return [Mismatch(name, index, beat.cycle, "an address of some instruction", got, "the whole program")]
    return [wrong for name, each in reads.items() for wrong in _early(seen, name, each)][:1]


def _read(instruction: Instruction, name: str) -> Iterator[int]:
    """Every address of an operand."""
    o, (address, stride, blocks) = instruction.operands, OPERANDS[name]
    halved = name == "b_req" and "W4" in instruction.flags
    count = -(-o["k_words"] // 2) if halved else o["k_words"]
    return ((o[address] + i * o[stride] + k) % SPACE for i in range(o[blocks]) for k in range(count))


def _early(seen: Observed, name: str, reads: Sequence[set[int]]) -> Iterator[Mismatch]:
    """Instructions that were done before an operand word of theirs was answered for the first time."""
    first: Mapping[int, int] = {}
    pairs = zip(seen.transfers[name], seen.transfers[ANSWERS[name]], strict=False)
    first = {request.payload["addr"]: answer.cycle for request, answer in reversed(list(pairs))}
    for index, (done, addresses) in enumerate(zip(seen.transfers["done"], reads, strict=False)):
        came = max(first.get(address, done.cycle) for address in addresses)
        if came >= done.cycle:
            want, got = "done after its last operand", f"done in cycle {done.cycle}, operand in or after {came}"
            yield Mismatch("done", index, done.cycle, want, got, f"instruction {index}")
