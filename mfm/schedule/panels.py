"""The units of storage a schedule moves: panels, where they live in memory, and the steps that use them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from hwlib.design import Manifest
from hwlib.errors import InputError
from mfm.program.effects import Store
from mfm.program.program import Segment

ALIGNMENT = 512
"""Memory alignment of tensors: one full AXI burst of 64 beats of 8 bytes."""


class Memory:
    """Memory addresses and initial contents, of one program or of all of a model's programs together.

    Contents (weights, constants, code) and cache slots stay; equal contents are placed once. What a program needs
    only while it runs is scratch, which the next program may take over.
    """

    def __init__(self) -> None:
        self.size = 0
        self.segments: list[Segment] = []
        self._placed: dict[bytes, int] = {}
        self._slots: dict[str, tuple[object, int]] = {}
        self._scratch: list[tuple[int, int]] = []
        self._free: list[tuple[int, int]] = []
        self._packed: dict[object, tuple[object, bytes, bytes]] = {}

    def copy(self) -> Memory:
        """The same state, to try something on."""
        made = Memory()
        made.size, made.segments = self.size, list(self.segments)
        made._placed, made._slots = dict(self._placed), dict(self._slots)
        made._scratch, made._free = list(self._scratch), list(self._free)
        made._packed = self._packed
        return made

    def adopt(self, other: Memory) -> None:
        """Become what `other`, a copy, has become."""
        self.__dict__.update(other.__dict__)

    def begin(self) -> None:
        """A new program: the scratch of the one before is free."""
        merged: list[tuple[int, int]] = []
        for low, high in sorted(self._free + self._scratch):
            if merged and merged[-1][1] == low:
                low = merged.pop()[0]
            merged.append((low, high))
        self._free, self._scratch = merged, []

    def reserve(self, nbytes: int) -> int:
        """The address of `nbytes` fresh bytes, aligned, that stay."""
        addr = self.size
        self.size += -(-nbytes // ALIGNMENT) * ALIGNMENT
        return addr

    def allocate(self, nbytes: int) -> int:
        """The address of `nbytes` bytes of scratch, aligned."""
        need = -(-nbytes // ALIGNMENT) * ALIGNMENT
        for index, (low, high) in enumerate(self._free):
            if high - low >= need:
                self._free[index : index + 1] = [(low + need, high)] if high - low > need else []
                self._scratch.append((low, low + need))
                return low
        addr = self.reserve(nbytes)
        self._scratch.append((addr, addr + need))
        return addr

    def place(self, data: bytes, digest: bytes = b"") -> int:
        """The address of a segment holding `data` (whose SHA-256 may be given)."""
        key = digest or sha256(data).digest()
        if key not in self._placed:
            self._placed[key] = self.reserve(len(data))
            self.segments.append(Segment(self._placed[key], data))
        return self._placed[key]

    def place_packed(self, key: object, owner: object, make: Callable[[], bytes]) -> tuple[int, bytes]:
        """Address and bytes of what `make` makes, which `key` names as long as `owner` lives (it is kept)."""
        if key not in self._packed:
            data = make()
            self._packed[key] = (owner, data, sha256(data).digest())
        _, data, digest = self._packed[key]
        return self.place(data, digest), data

    def slot(self, name: str, layout: object, nbytes: int) -> int:
        """The address of cache slot `name`. Raises InputError if another program lays it out differently."""
        if name not in self._slots:
            self._slots[name] = (layout, self.reserve(nbytes))
        known, addr = self._slots[name]
        if known != layout:
            raise InputError(f"cache slot '{name}' is {layout} here and was {known}", "caches", "give it one shape")
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
    planes: 2 for int16 values, all rows of low bytes before those of high bytes.
    part: the only rows and words (first row, rows, first word, words) the program changes, if not all.
    held: the only ones that the home holds something in before the program writes the panel, if not all.
    compact: parameter entries are 4 bytes in the home.
    looked_up: (first, count, lane): rows `first`.. of those a run chooses from the table that the home is, `count` of
    them, one after the other from row `lane` of the first row-block on; `pitch` is from one table row to the next.
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
    planes: int = 1
    part: tuple[int, int, int, int] | None = None
    held: tuple[int, int, int, int] | None = None
    compact: bool = False
    looked_up: tuple[int, int, int] | None = None

    @cached_property
    def size(self) -> int:
        return self.rows * self.row_words

    @property
    def blocks(self) -> int:
        """Row-blocks: rows of one plane."""
        return self.rows // self.planes

    @property
    def span(self) -> int:
        """Words from a plane to the next."""
        return self.blocks * self.row_words


class Ref(NamedTuple):
    """An operand address: `offset` units into `panel`, times `scale` (entries a word for parameters), and `entry`."""

    panel: Panel
    offset: int = 0
    scale: int = 1
    reads: bool = True
    writes: bool = False
    entry: int = 0


@dataclass(frozen=True)
class Step:
    """One compute instruction whose addresses are not yet known."""

    op: str
    layer: str
    operands: dict[str, int]
    refs: dict[str, Ref]
    flags: frozenset[str] = frozenset()

    @cached_property
    def panels(self) -> tuple[Panel, ...]:
        """The distinct panels it uses, in a fixed order."""
        return tuple(dict.fromkeys(ref.panel for ref in self.refs.values()))

    @cached_property
    def written(self) -> tuple[Panel, ...]:
        """The panels it writes."""
        return tuple(ref.panel for ref in self.refs.values() if ref.writes)


@dataclass
class Grid:
    """A tensor in panels: `group` row-blocks each, `words` local words a row-block, split into `chunks` along columns.

    panels[i][c] is row group i, column chunk c; starts[c] is the chunk's first word. A row group has all its row-blocks
    of low bytes, then, with two planes, those of high bytes.
    """

    name: str
    row_blocks: int
    words: int
    group: int
    starts: tuple[int, ...]
    planes: int = 1
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
    planes: int = 1,
) -> Grid:
    """A grid of fresh scratchpad panels over a tensor whose home is tile-major, in each group plane after plane."""
    grid = Grid(name, row_blocks, words, group, starts, planes)
    ends = (*starts[1:], words)
    size = manifest.word_bytes
    for first in range(0, row_blocks, group):
        count = min(group, row_blocks - first)
        grid.panels.append(
            [
                Panel(
                    f"{name}[{first}:{first + count},{low}:{high}]",
                    Store.SCRATCHPAD,
                    planes * count,
                    high - low,
                    home,
                    (planes * first * words + low) * size,
                    words * size,
                    filled,
                    planes=planes,
                )
                for low, high in zip(starts, ends, strict=True)
            ]
        )
    return grid


def gemm_operands(sizes: tuple[int, int, int], strides: tuple[int, int, int], gain: int = 0) -> dict[str, int]:
    """Operands of a GEMM but addresses: `sizes` row-blocks, column tiles and K words; `strides` of a, b and o."""
    named = dict(zip(("m_tiles", "n_tiles", "k_words"), sizes, strict=True))
    named |= dict(zip(("a_stride", "b_stride", "o_stride"), strides, strict=True))
    return named | {"r_addr": 0, "p_addr": 0, "act_table": 0, "gain": gain, "o_high": 0}
