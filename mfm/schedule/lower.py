"""Lowers an integer graph to steps over panels, for one machine shape and one set of choices."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.numerics import RequantParams, pack
from mfm.compress.integer import (
    INT4,
    IntegerGraph,
    QAdd,
    QAttention,
    QCache,
    QConst,
    QGemm,
    QHost,
    QInput,
    QLayerNorm,
    QMul,
    QNorm,
    QRmsNorm,
    QRope,
    check_widths,
    operands,
    shape_of,
)
from mfm.program.effects import Store
from mfm.program.program import CELL, CacheSlot, TensorSlot
from mfm.schedule.attention import Attention
from mfm.schedule.chains import Chain, Chains, RowOp
from mfm.schedule.panels import Grid, Home, Memory, Panel, Ref, Step, gemm_operands, make_grid
from mfm.schedule.weights import Constants, Weights

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Choices:
    """What the search decides.

    group: row-blocks of an activation panel; weight_words: most words of a weight panel; chunk: row groups that
    pass together through a pair of GEMMs (0: all); ahead: heads whose scores are computed before the first
    head's values are mixed; context_home: head results go through memory instead of staying local;
    split_words: row width from which a GEMM's input is kept in column chunks and accumulated over them (0: never;
    nor where a tile is narrower than a word, because accumulation is by tile and storing by word);
    columns: words of a column chunk in which the second of a pair of GEMMs and the sum after it pass through
    memory instead of staying local (0: they stay); sweep: row groups that pass together through a GEMM, the sum
    that reads it and the normalisation of that (0: all); interleave: how many of keys, queries and values of a first
    head are made row group by row group; words: of the scratchpad that are used (0: all).
    """

    group: int = 1
    weight_words: int = 512
    chunk: int = 0
    ahead: int = 0
    context_home: bool = False
    split_words: int = 0
    columns: int = 0
    sweep: int = 0
    interleave: int = 0
    words: int = 0


@dataclass(frozen=True)
class _Narrow:
    """A GEMM and the sum after it by column chunks: the grid both write, and the sum's other operand."""

    gemm: QGemm
    add: QAdd
    out: Grid
    other: Grid
    product_first: bool


@dataclass
class Lowered:
    """Steps and where inputs, outputs and caches are."""

    steps: list[Step]
    memory: Memory
    inputs: tuple[TensorSlot, ...]
    outputs: tuple[TensorSlot, ...]
    caches: tuple[CacheSlot, ...]


@dataclass
class Lowering:
    """Walks the graph once; `run` gives the steps. `memory` may hold what other programs of the model placed."""

    graph: IntegerGraph
    manifest: Manifest
    choices: Choices
    memory: Memory = field(default_factory=Memory)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_widths(self.graph)
        self.memory.begin()
        self.tile, self.dot = self.manifest.tile, self.manifest.dot
        self.align = max(self.tile, self.dot)
        self.constants = Constants(self.manifest, self.memory, self.choices.weight_words)
        self.step_tiles = self.constants.step_tiles
        self.group = -(-self.choices.group // self.step_tiles) * self.step_tiles
        self.shapes = {op.out: shape_of(op, self.graph) for op in self.graph.ops}
        self.past = _past(self.graph, self.shapes)
        self.row = self.past % self.tile
        """The row of its tiles in which a decoded token's values are."""
        self.grids: dict[str, Grid] = {}
        self.readers = Counter(name for op in self.graph.ops for name in operands(op))
        self.readers.update(self.graph.outputs)
        self.fused: set[str] = set()
        self.splitting: set[str] = set()
        self.inputs: list[TensorSlot] = []
        self.columns: dict[str, Int] = {}
        self.attention = Attention(self)
        self.held = self.attention.held
        self.chains = Chains(self)

    def run(self) -> Lowered:
        """Lower every op. Raises InputError for what no schedule can fit."""
        for index, op in enumerate(self.graph.ops):
            if op.out in self.held or op.out in self.fused:
                continue
            if isinstance(op, QInput):
                self._input(op)
            elif isinstance(op, QConst):
                self._const(op)
            elif isinstance(op, QAttention):
                self.attention.lower(op)
            elif isinstance(op, QCache):
                raise InputError("a cache that attention does not read", op.out, "leave it out")
            elif isinstance(op, QHost):
                raise InputError("what the host computes is no part of a program", op.where, "split the graph there")
            elif isinstance(op, QGemm):
                self._pass(self.chains.find(index, op))
            else:
                self.rowwise(op, range(self.groups(op.rows)))
        outputs = tuple(self._output(name) for name in self.graph.outputs)
        return Lowered(self.steps, self.memory, tuple(self.inputs), outputs, tuple(self.attention.caches))

    # Shapes

    def words(self, cols: int) -> int:
        """Local words of a row-block of `cols` columns, padded so that tiles and words both divide it."""
        return -(-cols // self.align) * self.align // self.dot

    def blocks(self, rows: int) -> int:
        """Row-blocks of `rows` rows."""
        return -(-rows // self.tile)

    def groups(self, rows: int) -> int:
        """Row groups of `rows` rows."""
        return -(-self.blocks(rows) // self.group)

    def group_blocks(self, rows: int, i: int) -> int:
        """Row-blocks in group `i` of `rows` rows."""
        return min(self.group, self.blocks(rows) - i * self.group)

    def fresh(self, name: str, starts: tuple[int, ...] = (0,), width: int = 0, planes: int = 0) -> Grid:
        """Panels for a tensor, of `width` words a row-block and `planes` if given."""
        rows, cols = self.shapes[name]
        blocks, words = self.blocks(rows), width or self.words(cols)
        planes = planes or (2 if self.graph.is_wide(name) else 1)
        home = Home(self.memory, planes * blocks * words * self.manifest.word_bytes)
        grid = make_grid(name, self.manifest, blocks, words, self.group, home, starts, planes=planes)
        self.grids[name] = grid
        return grid

    # Tensors in memory

    def _input(self, op: QInput) -> None:
        grid = self.fresh(op.out)
        self._filled(grid)
        pitch = 0 if op.table is None else self._table(op, op.table, grid)
        slot = self._slot(grid, op.out, op.scale, op.gather)
        self.inputs.append(slot if op.table is None else replace(slot, choices=len(op.table), pitch=pitch))

    def _table(self, op: QInput, table: Int, grid: Grid) -> int:
        """Rows to choose from, one after the other in whole beats: bytes from one to the next.

        Each row of the input is a LOAD of its own, of table row r for the input's row r until a run chooses: the table
        is continued with zeros where it is shorter than the input.
        """
        home, beat = grid.panels[0][0].home, max(CELL, self.manifest.parameters["AXI_BYTES"])
        assert home is not None
        pitch, count = -(-grid.words * self.dot // beat) * beat, max(len(table), op.rows)

        def make() -> bytes:
            return np.pad(table, ((0, count - len(table)), (0, pitch - table.shape[1]))).astype(np.int8).tobytes()

        home.fixed = self.memory.place_packed((id(table), "rows", pitch, count), table, make)[0]
        for i, (panel,) in enumerate(grid.panels):
            low = i * self.group * self.tile
            first, end = max(low, self.row), min(low + panel.blocks * self.tile, self.row + op.rows)
            panel.looked_up, panel.offset, panel.pitch = (first - self.row, end - first, first - low), 0, pitch
        return pitch

    def _filled(self, grid: Grid) -> None:
        for row in grid.panels:
            for panel in row:
                panel.filled = True

    def _const(self, op: QConst) -> None:
        grid = self.fresh(op.out)
        self._filled(grid)
        padded = np.pad(op.values, ((self.row, 0), (0, grid.words * self.dot - op.values.shape[1])))
        home = grid.panels[0][0].home
        assert home is not None
        home.fixed = self.memory.place(pack(padded, self.tile, self.dot))

    def _slot(self, grid: Grid, name: str, scale: float, gather: tuple[int, ...] = ()) -> TensorSlot:
        rows, cols = self.shapes[name]
        home = grid.panels[0][0].home
        assert home is not None
        return TensorSlot(name, home.addr, rows, cols, grid.words, scale, 0, gather, self.row)

    def _output(self, name: str) -> TensorSlot:
        if self.graph.is_wide(name):
            raise InputError("a 16-bit output", name, "end with a normalisation or an int8 sum")
        grid = self.grids[name]
        for row in grid.panels:
            for panel in row:
                panel.through = True
        return self._slot(grid, name, self.graph.output_scale if name == self.graph.output else 1.0)

    # Row-wise ops

    def rowwise(self, op: RowOp, groups: range) -> None:
        """Row groups of one op."""
        if isinstance(op, QGemm):
            self.gemm(op, groups)
        elif isinstance(op, (QLayerNorm, QRmsNorm)):
            self._norm(op, groups)
        else:
            self._pairs(op, groups)

    def norm(self, op: QNorm, source: Panel, out: Panel) -> None:
        """One normalisation of a panel, by its high plane if it has two."""
        cols = len(op.mult)
        params = self.constants.column_params(Store.VECTOR_PARAMS, op, cols, f"{op.out} parameters")
        refs = {
            "a_addr": Ref(source, source.span if source.planes > 1 else 0),
            "o_addr": Ref(out, reads=out is source, writes=True),
            "p_addr": self.constants.entry(params),
        }
        fixed = self._vector(out, cols) | {"a_stride": source.row_words, "b_stride": out.row_words, "b_addr": 0}
        self.steps.append(Step("RMSNORM" if isinstance(op, QRmsNorm) else "LAYERNORM", op.out, fixed, refs))

    def _vector(self, out: Panel, cols: int) -> dict[str, int]:
        return {
            "row_blocks": out.blocks, "cols": cols, "frac": 2, "r_addr": 0, "span": 0, "o_stride": out.row_words
        }  # fmt: skip

    def _norm(self, op: QNorm, groups: range) -> None:
        source = self.grids[op.a]
        out = self.grids.get(op.out) or self.fresh(op.out)
        for i in groups:
            self.norm(op, source.panels[i][0], out.panels[i][0])

    def pair(self, op: QAdd | QMul | QRope, pair: tuple[Panel, Panel], out: Panel, cols: int, at: int = 0) -> None:
        """One vector instruction on `cols` columns of two panels from their word `at` on, to the first of `out`."""
        first, second = (op.first, op.second) if isinstance(op, QAdd) else (op.params, RequantParams(0, 0, 1))
        params = self.constants.params(Store.VECTOR_PARAMS, (first, second), f"{op.out} parameters")
        refs = {
            "a_addr": Ref(pair[0], at),
            "b_addr": Ref(pair[1], at),
            "o_addr": Ref(out, reads=False, writes=True),
            "p_addr": self.constants.entry(params),
        }
        fixed = self._vector(out, cols) | {"a_stride": pair[0].row_words, "b_stride": pair[1].row_words}
        flags = frozenset[str]()
        if isinstance(op, QAdd) and (op.wide or op.wide_out):
            flags = frozenset(name for name, on in (("WIDE", op.wide), ("WIDE_OUT", op.wide_out)) if on)
            fixed["span"] = (pair[0] if op.wide else out).span
            assert not (op.wide and op.wide_out) or pair[0].span == out.span
        name = "ADD" if isinstance(op, QAdd) else "MUL" if isinstance(op, QMul) else "ROPE"
        self.steps.append(Step(name, op.out, fixed, refs, flags))

    def _pairs(self, op: QAdd | QMul | QRope, groups: range) -> None:
        names = (op.a, op.angles) if isinstance(op, QRope) else (op.a, op.b)
        first, second = (self.grids[name] for name in names)
        if op.out not in self.grids:
            self.grids[op.out] = self._reusable(op.out, names) or self.fresh(op.out, first.starts)
        out = self.grids[op.out]
        ends = (*out.starts[1:], out.words)
        for i in groups:
            for c, (low, high) in enumerate(zip(out.starts, ends, strict=True)):
                cols = min(self.shapes[op.out][1], high * self.dot) - low * self.dot
                if cols > 0:
                    self.pair(op, (first.panels[i][c], second.panels[i][c]), out.panels[i][c], cols)

    def _reusable(self, out: str, names: tuple[str, str]) -> Grid | None:
        """An operand's grid that the result may overwrite: read by nobody else, and not a tensor kept in memory."""
        for name in names:
            grid = self.grids[name]
            same = self.shapes[name] == self.shapes[out] and self.graph.is_wide(name) == self.graph.is_wide(out)
            if same and self.readers[name] == 1 and not any(p.filled or p.through for row in grid.panels for p in row):
                return grid
        return None

    # GEMM

    def _pass(self, chain: Chain) -> None:
        """Row groups through a chain."""
        groups = self.groups(chain.front[0].rows)
        if chain.second is not None:
            self.splitting |= {item.out for item in chain.front}
        if len(chain.ops) > 1:
            self.fused |= {item.out for item in chain.ops}
        some_groups = self.choices.sweep if chain.second is None else self.choices.chunk
        size = some_groups or groups
        if self._ends(chain) and chain.second and chain.add:
            for item in chain.front:
                self.rowwise(item, range(groups))
            self._last_sum(chain.second, chain.add)
            return
        narrow = self._narrow(chain.second, chain.add) if self.choices.columns and chain.second and chain.add else None
        for first in range(0, groups, size):
            some = range(first, min(first + size, groups))
            for item in chain.ops if narrow is None else chain.front:
                self.rowwise(item, some)
            if narrow is not None:
                self._by_columns(narrow, some)
        if narrow is not None:
            self.reread(narrow.add.out, self.grids[narrow.add.out])

    def _ends(self, chain: Chain) -> bool:
        """Whether the chain ends with an int8 sum of one row-block that is the program's last result."""
        add = chain.add
        if add is None or add.out != self.graph.output or self.readers[add.out] > 1 or add.wide_out:
            return False
        whole = all(len(self.grids[name].starts) == 1 for name in (add.a, add.b) if name in self.grids)
        return whole and self.blocks(add.rows) == 1

    def _last_sum(self, second: QGemm, add: QAdd) -> None:
        """A sum after the last weights: of all columns but the last panel's before it, so that little is left then."""
        words = self.words(self.shapes[second.out][1])
        self.fresh(second.out)
        last = self.weights(second)[-1].first * self.tile // self.dot
        starts = (0, last) if last else (0,)
        out, operands = self.fresh(add.out, starts), (self.grids[add.a], self.grids[add.b])
        for panel, low, high in zip(out.panels[0], starts, (*starts[1:], words), strict=True):
            self.gemm(second, range(1), range(low, high))
            cols = min(self.shapes[add.out][1], high * self.dot) - low * self.dot
            if cols > 0:
                self.pair(add, (operands[0].panels[0][0], operands[1].panels[0][0]), panel, cols, low)

    def _narrow(self, second: QGemm, add: QAdd) -> _Narrow:
        """Column chunks for the chain's second GEMM and its sum, which takes the product's place and goes to memory."""
        words = self.words(self.shapes[second.out][1])
        step = max(1, self.choices.columns * self.dot // self.align) * self.align // self.dot
        out = self.fresh(second.out, tuple(range(0, words, step)), planes=2 if add.wide_out else 1)
        self.grids[add.out] = out
        other = add.b if add.a == second.out else add.a
        return _Narrow(second, add, out, self._view(other, out.starts), add.a == second.out)

    def _view(self, name: str, starts: tuple[int, ...]) -> Grid:
        """The tensor by column chunks, loaded from memory, to which it is stored if it does not come from there."""
        grid = self.grids[name]
        home = grid.panels[0][0].home
        assert home is not None
        for row in grid.panels:
            for panel in row:
                panel.through = panel.through or not panel.filled
        return make_grid(name, self.manifest, grid.row_blocks, grid.words, self.group, home, starts, True, grid.planes)

    def reread(self, name: str, written: Grid) -> None:
        """Readers of the tensor load whole row-blocks from the memory its chunks are stored to."""
        for row in written.panels:
            for panel in row:
                panel.through = True
        home = written.panels[0][0].home
        assert home is not None
        self.grids[name] = make_grid(
            name, self.manifest, written.row_blocks, written.words, self.group, home, (0,), True, written.planes
        )

    def _by_columns(self, narrow: _Narrow, groups: range) -> None:
        out, add = narrow.out, narrow.add
        ends = (*out.starts[1:], out.words)
        for chunk, (low, high) in enumerate(zip(out.starts, ends, strict=True)):
            self.gemm(narrow.gemm, groups, range(low, high))
            cols = min(self.shapes[add.out][1], high * self.dot) - low * self.dot
            if cols > 0:
                sums, others = (grid.panels for grid in (out, narrow.other))
                for i in groups:
                    pair = (sums[i][chunk], others[i][chunk])
                    self.pair(add, pair if narrow.product_first else pair[::-1], sums[i][chunk], cols)

    def _splits(self, name: str) -> tuple[int, ...]:
        """First words of the column chunks in which a tensor between two GEMMs is kept."""
        limit, words = self.choices.split_words, self.words(self.shapes[name][1])
        if name not in self.splitting or not limit or words <= limit or self.dot > self.tile:
            return (0,)
        step = max(limit * self.dot // self.align, 1) * self.align // self.dot
        return tuple(range(0, words, step + step % 2 if self._pairs_words() else step))

    def _pairs_words(self) -> bool:
        """Whether chunks of K must be of whole int4 words."""
        return any(isinstance(op, QGemm) and op.bits == INT4 for op in self.graph.ops)

    def gemm(self, op: QGemm, groups: range, words: range | None = None) -> None:
        """Row groups of a GEMM; of its output's columns only those in `words`, if given."""
        source = self.grids[op.a]
        if op.out not in self.grids:
            self.fresh(op.out, self._splits(op.out))
        out = self.grids[op.out]
        if len(source.starts) > 1:
            self._gemm_split(op, source, out, groups, words)
            return
        for part in self.weights(op, out.starts):
            if words is not None and part.first * self.tile // self.dot not in words:
                continue
            for i in groups:
                panel, offset = out.at(i, part.first * self.tile // self.dot)
                self.multiply(op, i, part, Ref(panel, offset, reads=False, writes=True), panel.row_words)

    def weights(self, op: QGemm, breaks: tuple[int, ...] = (0,)) -> list[Weights]:
        """The weight panels of `op`, never across a chunk of its output, which begin at the words `breaks`."""
        words = self.words(len(op.weight))
        return self.constants.weights(op, self.grids[op.a], self.columns.get(op.a), breaks, words)

    def _gemm_split(self, op: QGemm, source: Grid, out: Grid, groups: range, words: range | None) -> None:
        """K in chunks: each output tile is accumulated over them with KEEP and HOLD before the next begins."""
        parts = self.weights(op, out.starts)
        for first in sorted({part.first for part in parts}):
            if words is not None and first * self.tile // self.dot not in words:
                continue
            row = [part for part in parts if part.first == first]
            for i in groups:
                for block in range(self.group_blocks(op.rows, i)):
                    for tile in range(row[0].tiles):
                        self._tile(op, source, out, i, block, tile, row)

    def _tile(self, op: QGemm, source: Grid, out: Grid, i: int, block: int, tile: int, row: list[Weights]) -> None:
        panel, offset = out.at(i, (row[0].first + tile) * self.tile // self.dot)
        for c, part in enumerate(row):
            left, last = source.panels[i][c], c + 1 == len(row)
            refs = {
                "a_addr": Ref(left, block * left.row_words),
                "b_addr": Ref(part.panel, tile * part.stride),
                "o_addr": Ref(panel, offset + block * panel.row_words, reads=False, writes=last),
                "p_addr": self.constants.entry(part.params, part.entry),
            }
            fixed = gemm_operands((1, 1, part.words), (left.row_words, part.stride, panel.row_words))
            self.emit_gemm(op, fixed, refs, _hold(c, len(row)), last)

    def emit_gemm(
        self, op: QGemm, fixed: dict[str, int], refs: dict[str, Ref], flags: frozenset[str], last: bool = True
    ) -> None:
        """A step of `op`'s GEMM with the flags and the table that its weights and activation ask for."""
        table = self.constants.table(op) if last else None
        if table is not None:
            refs, flags = refs | {"act_table": Ref(table)}, flags | {"ACT"}
        if op.bits == INT4:
            flags = flags | {"W4"}
        self.steps.append(Step("GEMM", op.out, fixed, refs, flags))

    def multiply(
        self,
        op: QGemm,
        i: int,
        part: Weights,
        out: Ref,
        stride: int,
        flags: frozenset[str] = frozenset(),
        row: int = 0,
        high: int = 0,
    ) -> None:
        """One GEMM step: row group `i` of the op's input by a weight panel; row, high: as with the ROW and O4 flags."""
        source = self.grids[op.a]
        refs = {
            "a_addr": Ref(source.panels[i][0]),
            "b_addr": Ref(part.panel),
            "o_addr": out,
            "p_addr": self.constants.entry(part.params, part.entry),
        }
        sizes = (self.group_blocks(op.rows, i), part.tiles, part.words)
        fixed = gemm_operands(sizes, (source.words, part.stride, stride)) | {"r_addr": row, "o_high": high}
        self.emit_gemm(op, fixed, refs, flags)


def _hold(index: int, count: int) -> frozenset[str]:
    """Accumulator flags of K chunk `index` of `count`."""
    return frozenset(({"KEEP"} if index else set()) | ({"HOLD"} if index + 1 < count else set()))


def _past(graph: IntegerGraph, shapes: dict[str, tuple[int, int]]) -> int:
    """Rows the caches hold before the graph runs; if any, it must be a decode step of one row."""
    caches = [op for op in graph.ops if isinstance(op, QCache)]
    pasts = sorted({op.past for op in caches}) or [0]
    late = [op.out for op in graph.ops if not isinstance(op, QCache) and shapes[op.out][0] != 1]
    if len(pasts) > 1 or (pasts[0] and late):
        what = f"caches of {pasts} rows" if len(pasts) > 1 else f"{shapes[late[0]][0]} rows of '{late[0]}' after others"
        raise InputError(what, graph.name, "fill empty caches with many rows, then add one row at a time")
    return pasts[0]
