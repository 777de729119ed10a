"""The units of storage a schedule moves: panels, where they live in memory, and the steps that use them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hwlib.design import Manifest
from mfm.program.effects import Store
from mfm.program.program import Segment

ALIGNMENT = 512
"""Memory alignment of tensors: one full AXI burst of 64 beats of 8 bytes."""


class Memory:
    """Hands out memory addresses and keeps the initial contents."""

    def __init__(self) -> None:
        self.size = 0
        self.segments: list[Segment] = []

    def allocate(self, nbytes: int) -> int:
        """The address of `nbytes` fresh bytes, aligned."""
        addr = self.size
        self.size += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return addr

    def place(self, data: bytes) -> int:
        """The address of a new segment holding `data`."""
        addr = self.allocate(len(data))
        self.segments.append(Segment(addr, data))
        return addr


@dataclass
class Home:
    """A tensor's place in memory, allocated when first asked for."""

    memory: Memory
    nbytes: int
    fixed: int | None = None

    @property
    def addr(self) -> int:
        if self.fixed is None:
            self.fixed = self.memory.allocate(self.nbytes)
        return self.fixed


@dataclass(eq=False)
class Panel:
    """A contiguous piece of a local storage: `rows` runs of `row_words` local words (entries for row scales).

    offset, pitch: where it starts in its home and how far apart its rows are there, in bytes.
    filled: the home holds its contents before the program starts, or from when `after` panels were stored.
    through: store it to its home as soon as it is complete.
    """

    label: str
    store: Store
    rows: int
    row_words: int
    home: Home | None = None
    offset: int = 0
    pitch: int = 0
    filled: bool = False
    through: bool = False

    @property
    def size(self) -> int:
        return self.rows * self.row_words


@dataclass(frozen=True)
class Ref:
    """An operand address: `offset` units into `panel`, times `scale` (entries a word for parameters)."""

    panel: Panel
    offset: int = 0
    scale: int = 1
    reads: bool = True
    writes: bool = False


@dataclass(frozen=True)
class Step:
    """One compute instruction whose addresses are not yet known."""

    op: str
    layer: str
    operands: dict[str, int]
    refs: dict[str, Ref]
    flags: frozenset[str] = frozenset()

    def panels(self) -> Iterable[Panel]:
        """The distinct panels it uses, in a fixed order."""
        return dict.fromkeys(ref.panel for ref in self.refs.values())


@dataclass
class Grid:
    """A tensor in panels: `group` row-blocks each, `words` local words a row-block, split into `chunks` along columns.

    panels[i][c] is row group i, column chunk c; starts[c] is the chunk's first word.
    """

    name: str
    row_blocks: int
    words: int
    group: int
    starts: tuple[int, ...]
    panels: list[list[Panel]] = field(default_factory=list)

    @property
    def groups(self) -> int:
        return len(self.panels)

    def blocks(self, i: int) -> int:
        """Row-blocks in group `i`."""
        return min(self.group, self.row_blocks - i * self.group)

    def at(self, i: int, word: int) -> tuple[Panel, int]:
        """The panel of group `i` that holds column word `word`, and the offset in it."""
        chunk = max(c for c, start in enumerate(self.starts) if start <= word)
        return self.panels[i][chunk], word - self.starts[chunk]


def make_grid(
    name: str,
    manifest: Manifest,
    row_blocks: int,
    words: int,
    group: int,
    home: Home,
    starts: tuple[int, ...] = (0,),
    filled: bool = False,
) -> Grid:
    """A grid of fresh scratchpad panels over a tensor whose home is tile-major."""
    grid = Grid(name, row_blocks, words, group, starts)
    ends = (*starts[1:], words)
    size = manifest.word_bytes
    for first in range(0, row_blocks, group):
        count = min(group, row_blocks - first)
        grid.panels.append(
            [
                Panel(
                    f"{name}[{first}:{first + count},{low}:{high}]",
                    Store.SCRATCHPAD,
                    count,
                    high - low,
                    home,
                    (first * words + low) * size,
                    words * size,
                    filled,
                )
                for low, high in zip(starts, ends, strict=True)
            ]
        )
    return grid
