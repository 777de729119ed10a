"""Random 2-D transfers between memory and local words: what the benches of load_unit and store_unit share."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwlib import isa

MEMORY_BYTES = 1 << 15
PAGE = 4096


@dataclass(frozen=True)
class Transfer:
    """Operands of a LOAD or STORE."""

    dram_addr: int
    local_addr: int
    rows: int
    row_words: int
    dram_stride: int
    local_stride: int
    space: int = 0

    def instruction(self, op: str) -> int:
        return isa.encode(isa.Instruction(op, vars(self)))

    def words(self, word_bytes: int) -> list[tuple[int, int]]:
        """(local word, memory address) of every word, in order."""
        return [
            (
                (self.local_addr + row * self.local_stride + k) % (1 << 16),
                self.dram_addr + row * self.dram_stride + k * word_bytes,
            )
            for row in range(self.rows)
            for k in range(self.row_words)
        ]

    @property
    def count(self) -> int:
        return self.rows * self.row_words


def random_transfers(rng: random.Random, words: int, point: Mapping[str, int], spaces: Sequence[int]) -> list[Transfer]:
    """Transfers of at least `words` words in all: short and long rows, any stride, near page boundaries, wrapping."""
    made: list[Transfer] = []
    while sum(t.count for t in made) < words:
        made.append(_random_transfer(rng, point, rng.choice(spaces)))
    return made


def long_transfers(rng: random.Random, words: int, point: Mapping[str, int], spaces: Sequence[int]) -> list[Transfer]:
    """Aligned transfers of one row of at least 64 beats each, for full rate."""
    size = max(64, 64 * point["AXI_BYTES"] // (point["T"] * point["D"]))
    starts = [PAGE * rng.randrange(4) for _ in range(max(2, -(-words // size)))]
    return [Transfer(start, rng.randrange(1 << 16), 1, size, 0, 0, rng.choice(spaces)) for start in starts]


def _random_transfer(rng: random.Random, point: Mapping[str, int], space: int) -> Transfer:
    beat, word = point["AXI_BYTES"], point["T"] * point["D"]
    rows = rng.choice((1, 1, 2, 3, 5))
    row_words = rng.choice((1, 1, 2, 3, rng.randint(1, 24), rng.randint(1, 80 // rows)))
    stride = rng.choice((row_words * word, PAGE, rng.randrange(0, 2 * PAGE, beat), 0))
    reach = (rows - 1) * stride + row_words * word
    last = MEMORY_BYTES - reach
    near = rng.choice((rng.randrange(0, last, beat), PAGE * rng.randint(1, 2) - beat * rng.randint(0, 40)))
    local = rng.choice((rng.randrange(1 << 16), (1 << 16) - rng.randint(1, 8), 0))
    return Transfer(
        min(near, last - last % beat),
        local,
        rows,
        row_words,
        stride,
        rng.choice((row_words, rng.randrange(1 << 16))),
        space,
    )


def random_image(rng: random.Random) -> dict[int, int]:
    """Memory bytes by address."""
    return dict(enumerate(rng.randbytes(MEMORY_BYTES)))
