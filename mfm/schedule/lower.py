"""Lowers an integer graph to steps over panels, for one machine shape and one set of choices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.numerics import RequantParams, encode_param, pack
from mfm.compress.integer import (
    IntegerGraph,
    QAdd,
    QAttention,
    QConst,
    QGemm,
    QHead,
    QInput,
    QLayerNorm,
    shape_of,
)
from mfm.program.effects import Store, entries_per_word
from mfm.program.program import TensorSlot
from mfm.schedule.panels import Grid, Home, Memory, Panel, Ref, Step, make_grid
from mfm.schedule.residency import table_bytes

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
    memory instead of staying local (0: they stay).
    """

    group: int = 1
    weight_words: int = 512
    chunk: int = 0
    ahead: int = 0
    context_home: bool = False
    split_words: int = 0
    columns: int = 0


@dataclass(frozen=True)
class _Weights:
    """One panel of weights with its parameters: column tiles [first, first + tiles) and K words [low, low + words)."""

    panel: Panel
    params: Panel
    first: int
    tiles: int
    low: int
    words: int


@dataclass(frozen=True)
class _Narrow:
    """A GEMM and the sum after it by column chunks: the grid both write, and the sum's other operand."""

    gemm: QGemm
    add: QAdd
    out: Grid
    other: Grid
    product_first: bool


@dataclass(frozen=True)
class _Scored:
    """A head's row groups whose probabilities are ready: transposed values, and (group, probabilities, row scales)."""

    head: int
    values: Panel
    groups: list[tuple[int, Panel, Panel]]


@dataclass
class Lowered:
    """Steps and where inputs and outputs are."""

    steps: list[Step]
    memory: Memory
    inputs: tuple[TensorSlot, ...]
    outputs: tuple[TensorSlot, ...]


@dataclass
class Lowering:
    """Walks the graph once; `run` gives the steps."""

    graph: IntegerGraph
    manifest: Manifest
    choices: Choices
    memory: Memory = field(default_factory=Memory)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tile, self.dot = self.manifest.tile, self.manifest.dot
        self.align = max(self.tile, self.dot)
        self.step_tiles = max(1, self.dot // self.tile)
        self.group = -(-self.choices.group // self.step_tiles) * self.step_tiles
        self.shapes = {op.out: shape_of(op, self.graph) for op in self.graph.ops}
        self.grids: dict[str, Grid] = {}
        self.readers = Counter(name for op in self.graph.ops for name in _operands(op))
        self.readers[self.graph.output] += 1
        self.blobs: dict[tuple[Store, bytes], Panel] = {}
        self.fused: set[str] = set()
        self.inputs: list[TensorSlot] = []
        self.parts: dict[str, list[_Weights]] = {}
        self.columns: dict[str, Int] = {}
        self.held = {name for op in self.graph.ops if isinstance(op, QAttention) for name in _operands(op)}

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
                self._attention(op)
            elif isinstance(op, QGemm):
                self._chain(index, op)
            else:
                self._rowwise(op, range(self._groups(op.rows)))
        return Lowered(self.steps, self.memory, tuple(self.inputs), (self._output(),))

    # Shapes

    def _words(self, cols: int) -> int:
        """Local words of a row-block of `cols` columns, padded so that tiles and words both divide it."""
        return -(-cols // self.align) * self.align // self.dot

    def _blocks(self, rows: int) -> int:
        return -(-rows // self.tile)

    def _groups(self, rows: int) -> int:
        return -(-self._blocks(rows) // self.group)

    def _fresh(self, name: str, starts: tuple[int, ...] = (0,), width: int = 0) -> Grid:
        """Panels for a tensor, of `width` words a row-block if given."""
        rows, cols = self.shapes[name]
        blocks, words = self._blocks(rows), width or self._words(cols)
        home = Home(self.memory, blocks * words * self.manifest.word_bytes)
        grid = make_grid(name, self.manifest, blocks, words, self.group, home, starts)
        self.grids[name] = grid
        return grid

    # Tensors in memory

    def _input(self, op: QInput) -> None:
        grid = self._fresh(op.out)
        self._filled(grid)
        self.inputs.append(self._slot(grid, op.out, op.scale, op.gather))

    def _filled(self, grid: Grid) -> None:
        for row in grid.panels:
            for panel in row:
                panel.filled = True

    def _const(self, op: QConst) -> None:
        grid = self._fresh(op.out)
        self._filled(grid)
        padded = np.pad(op.values, ((0, 0), (0, grid.words * self.dot - op.values.shape[1])))
        home = grid.panels[0][0].home
        assert home is not None
        home.fixed = self.memory.place(pack(padded, self.tile, self.dot))

    def _slot(self, grid: Grid, name: str, scale: float, gather: tuple[int, ...] = ()) -> TensorSlot:
        rows, cols = self.shapes[name]
        home = grid.panels[0][0].home
        assert home is not None
        return TensorSlot(name, home.addr, rows, cols, grid.words, scale, 0, gather)

    def _output(self) -> TensorSlot:
        grid = self.grids[self.graph.output]
        for row in grid.panels:
            for panel in row:
                panel.through = True
        return self._slot(grid, self.graph.output, self.graph.output_scale)

    def _blob(self, store: Store, data: bytes, label: str) -> Panel:
        """A filled panel of a parameter or table memory; equal contents are one panel."""
        unit = table_bytes(self.manifest) if store is Store.TABLES else self.manifest.word_bytes
        padded = data + bytes(-len(data) % unit)
        if (store, padded) not in self.blobs:
            home = Home(self.memory, len(padded), self.memory.place(padded))
            self.blobs[store, padded] = Panel(label, store, 1, len(padded) // unit, home, filled=True)
        return self.blobs[store, padded]

    def _params(self, store: Store, params: Sequence[RequantParams], label: str) -> Panel:
        return self._blob(store, b"".join(encode_param(p).to_bytes(8, "little") for p in params), label)

    def _entry(self, panel: Panel) -> Ref:
        return Ref(panel, 0, entries_per_word(self.manifest))

    # Row-wise ops

    def _rowwise(self, op: QGemm | QLayerNorm | QAdd, groups: range) -> None:
        if isinstance(op, QGemm):
            self._gemm(op, groups)
        elif isinstance(op, QLayerNorm):
            self._layernorm(op, groups)
        else:
            self._add(op, groups)

    def _vector(self, grid: Grid, i: int, cols: int) -> dict[str, int]:
        return {"row_blocks": grid.blocks(i), "cols": cols, "frac": 2, "r_addr": 0} | {
            f"{name}_stride": grid.words for name in "abo"
        }

    def _layernorm(self, op: QLayerNorm, groups: range) -> None:
        source, cols = self.grids[op.a], len(op.mult)
        out = self.grids.get(op.out) or self._fresh(op.out)
        table = [RequantParams(int(m), int(b), int(s)) for m, b, s in zip(op.mult, op.bias, op.shift, strict=True)]
        params = self._params(Store.VECTOR_PARAMS, table, f"{op.out} parameters")
        for i in groups:
            refs = {
                "a_addr": Ref(source.panels[i][0]),
                "o_addr": Ref(out.panels[i][0], reads=False, writes=True),
                "p_addr": self._entry(params),
            }
            self.steps.append(Step("LAYERNORM", op.out, self._vector(out, i, cols) | {"b_addr": 0}, refs))

    def _sum(self, op: QAdd, pair: tuple[Panel, Panel], out: Panel, cols: int) -> None:
        """One ADD of two panels of `cols` columns."""
        params = self._params(Store.VECTOR_PARAMS, (op.first, op.second), f"{op.out} parameters")
        refs = {
            "a_addr": Ref(pair[0]),
            "b_addr": Ref(pair[1]),
            "o_addr": Ref(out, reads=False, writes=True),
            "p_addr": self._entry(params),
        }
        strides = {f"{name}_stride": panel.row_words for name, panel in zip("abo", (*pair, out), strict=True)}
        fixed = {"row_blocks": out.rows, "cols": cols, "frac": 2, "r_addr": 0} | strides
        self.steps.append(Step("ADD", op.out, fixed, refs))

    def _add(self, op: QAdd, groups: range) -> None:
        first, second = self.grids[op.a], self.grids[op.b]
        if op.out not in self.grids:
            self.grids[op.out] = self._reusable(op) or self._fresh(op.out)
        out = self.grids[op.out]
        for i in groups:
            self._sum(op, (first.panels[i][0], second.panels[i][0]), out.panels[i][0], self.shapes[op.out][1])

    def _reusable(self, op: QAdd) -> Grid | None:
        """An operand's grid that the sum may overwrite: read by nobody else, and not a tensor kept in memory."""
        for name in (op.a, op.b):
            grid = self.grids[name]
            same = self.shapes[name] == self.shapes[op.out]
            if same and self.readers[name] == 1 and not any(p.filled or p.through for row in grid.panels for p in row):
                return grid
        return None

    # GEMM

    def _chain(self, index: int, op: QGemm) -> None:
        """A GEMM, and with it the GEMM and ADD that alone read it, row group by row group."""
        chain: list[QGemm | QAdd] = [op]
        for later in self.graph.ops[index + 1 :]:
            last = chain[-1]
            if self.readers[last.out] != 1 or last.out not in _operands(later) or later.out in self.held:
                continue
            if (
                isinstance(later, QAdd)
                and len(chain) == 2
                and all(n in self.grids or n == last.out for n in _operands(later))
            ) or (isinstance(later, QGemm) and len(chain) == 1 and later.rows == op.rows):
                chain.append(later)
            else:
                break
        if len(chain) == 1:
            self._rowwise(op, range(self._groups(op.rows)))
            return
        self.fused |= {item.out for item in chain}
        groups = self._groups(op.rows)
        size = self.choices.chunk or groups
        narrow = self._narrow(chain) if self.choices.columns and len(chain) == 3 else None
        for first in range(0, groups, size):
            some = range(first, min(first + size, groups))
            if narrow is None:
                for item in chain:
                    self._rowwise(item, some)
            else:
                self._rowwise(op, some)
                self._by_columns(narrow, some)
        if narrow is not None:
            self._reread(narrow.add.out, self.grids[narrow.add.out])

    def _narrow(self, chain: list[QGemm | QAdd]) -> _Narrow:
        """Column chunks for the chain's second GEMM and its sum, which takes the product's place and goes to memory."""
        second, add = chain[1], chain[2]
        assert isinstance(second, QGemm)
        assert isinstance(add, QAdd)
        words = self._words(self.shapes[second.out][1])
        step = max(1, self.choices.columns * self.dot // self.align) * self.align // self.dot
        out = self._fresh(second.out, tuple(range(0, words, step)))
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
        return make_grid(name, self.manifest, grid.row_blocks, grid.words, self.group, home, starts, filled=True)

    def _by_columns(self, narrow: _Narrow, groups: range) -> None:
        out, add = narrow.out, narrow.add
        ends = (*out.starts[1:], out.words)
        for chunk, (low, high) in enumerate(zip(out.starts, ends, strict=True)):
            self._gemm(narrow.gemm, groups, range(low, high))
            cols = min(self.shapes[add.out][1], high * self.dot) - low * self.dot
            if cols > 0:
                sums, others = (grid.panels for grid in (out, narrow.other))
                for i in groups:
                    pair = (sums[i][chunk], others[i][chunk])
                    self._sum(add, pair if narrow.product_first else pair[::-1], sums[i][chunk], cols)

    def _splits(self, words: int) -> tuple[int, ...]:
        """First words of the column chunks in which a tensor of `words` a row-block is kept."""
        limit = self.choices.split_words
        if not limit or words <= limit or self.dot > self.tile:
            return (0,)
        step = max(limit * self.dot // self.align, 1) * self.align // self.dot
        return tuple(range(0, words, step))

    def _gemm(self, op: QGemm, groups: range, words: range | None = None) -> None:
        """Row groups of a GEMM; of its output's columns only those in `words`, if given."""
        source = self.grids[op.a]
        if op.out not in self.grids:
            chained = op.out in self.fused and any(isinstance(o, QGemm) and o.a == op.out for o in self.graph.ops)
            self._fresh(op.out, self._splits(self._words(self.shapes[op.out][1])) if chained else (0,))
        out = self.grids[op.out]
        table = None
        if op.table is not None:
            table = self._blob(Store.TABLES, op.table.astype(np.int8).tobytes(), f"{op.out} table")
        if len(source.starts) > 1:
            self._gemm_split(op, source, out, groups, table, words)
            return
        for part in self._weights(op, source, out.starts):
            if words is not None and part.first * self.tile // self.dot not in words:
                continue
            for i in groups:
                panel, offset = out.at(i, part.first * self.tile // self.dot)
                target = Ref(panel, offset, reads=False, writes=True)
                self._multiply(op, source, i, part, target, panel.row_words, table)

    def _gemm_split(
        self, op: QGemm, source: Grid, out: Grid, groups: range, table: Panel | None, words: range | None
    ) -> None:
        """K in chunks: each output tile is accumulated over them with KEEP and HOLD before the next begins."""
        parts = self._weights(op, source, out.starts)
        for first in sorted({part.first for part in parts}):
            if words is not None and first * self.tile // self.dot not in words:
                continue
            row = [part for part in parts if part.first == first]
            for i in groups:
                for block in range(min(self.group, self._blocks(op.rows) - i * self.group)):
                    for tile in range(row[0].tiles):
                        self._tile(op, source, out, i, block, tile, row, table)

    def _tile(
        self,
        op: QGemm,
        source: Grid,
        out: Grid,
        i: int,
        block: int,
        tile: int,
        row: list[_Weights],
        table: Panel | None,
    ) -> None:
        panel, offset = out.at(i, (row[0].first + tile) * self.tile // self.dot)
        for c, part in enumerate(row):
            left = source.panels[i][c]
            flags = _hold(c, len(row)) | ({"ACT"} if table is not None and c + 1 == len(row) else frozenset())
            refs = {
                "a_addr": Ref(left, block * left.row_words),
                "b_addr": Ref(part.panel, tile * part.words),
                "o_addr": Ref(panel, offset + block * panel.row_words, reads=False, writes=c + 1 == len(row)),
                "p_addr": Ref(part.params, 0, entries_per_word(self.manifest)),
            }
            operands = self._operands(1, 1, part.words, left.row_words, part.words, panel.row_words)
            self.steps.append(self._with_table(Step("GEMM", op.out, operands, refs, flags), table))

    def _with_table(self, step: Step, table: Panel | None) -> Step:
        if table is None or "ACT" not in step.flags:
            return step
        return Step(step.op, step.layer, step.operands, step.refs | {"act_table": Ref(table)}, step.flags)

    def _operands(self, m: int, n: int, k: int, a: int, b: int, o: int, gain: int = 0) -> dict[str, int]:
        return {
            "m_tiles": m,
            "n_tiles": n,
            "k_words": k,
            "a_stride": a,
            "b_stride": b,
            "o_stride": o,
            "r_addr": 0,
            "p_addr": 0,
            "act_table": 0,
            "gain": gain,
        }

    def _weights(self, op: QGemm, source: Grid, breaks: tuple[int, ...] = (0,)) -> list[_Weights]:
        """The weight panels of `op`: as many column tiles as fit, never across a chunk of the output."""
        if op.out in self.parts:
            return self.parts[op.out]
        n, k = op.weight.shape
        tiles = self._words(n) * self.dot // self.tile
        padded = np.zeros((tiles * self.tile, source.words * self.dot), dtype=np.int64)
        padded[:n, self.columns.get(op.a, np.arange(k))] = op.weight
        single = len(source.starts) > 1
        ends = (*source.starts[1:], source.words)
        parts = []
        for first, count in self._tile_runs(tiles, source.words, breaks, single):
            rows = slice(first * self.tile, (first + count) * self.tile)
            params = self._gemm_params(op, first, count)
            for low, high in zip(source.starts, ends, strict=True):
                data = pack(padded[rows, low * self.dot : high * self.dot], self.tile, self.dot)
                home = Home(self.memory, len(data), self.memory.place(data))
                label = f"{op.out} weights[{first}:{first + count},{low}:{high}]"
                panel = Panel(label, Store.SCRATCHPAD, count, high - low, home, filled=True)
                panel.pitch = (high - low) * self.manifest.word_bytes
                parts.append(_Weights(panel, params, first, count, low, high - low))
        self.parts[op.out] = parts
        return parts

    def _tile_runs(self, tiles: int, words: int, breaks: tuple[int, ...], single: bool) -> list[tuple[int, int]]:
        fit = self.choices.weight_words // words
        most = self.manifest.parameters["MATRIX_PARAMS"] // (4 * self.tile)
        step = 1 if single else max(self.step_tiles, min(fit, most) // self.step_tiles * self.step_tiles)
        edges = [b * self.dot // self.tile for b in breaks] + [tiles]
        runs = []
        for low, high in pairwise(edges):
            pieces = -(-(high - low) // step)
            even = -(-(high - low) // (pieces * self.step_tiles)) * self.step_tiles if not single else 1
            runs += [(first, min(even, high - first)) for first in range(low, high, even)]
        return runs

    def _gemm_params(self, op: QGemm, first: int, count: int) -> Panel:
        zero = RequantParams(0, 0, 1)
        table = [
            RequantParams(int(op.mult[c]), int(op.bias[c]), int(op.shift[c])) if c < len(op.mult) else zero
            for c in range(first * self.tile, (first + count) * self.tile)
        ]
        return self._params(Store.MATRIX_PARAMS, table, f"{op.out} parameters")

    def _multiply(
        self,
        op: QGemm,
        source: Grid,
        i: int,
        part: _Weights,
        out: Ref,
        stride: int,
        table: Panel | None,
        turn: bool = False,
    ) -> None:
        """One GEMM step: row group `i` of `source` by a weight panel."""
        refs = {
            "a_addr": Ref(source.panels[i][0]),
            "b_addr": Ref(part.panel),
            "o_addr": out,
            "p_addr": self._entry(part.params),
        }
        flags = frozenset({"TRANSPOSE"} if turn else ()) | frozenset({"ACT"} if table is not None else ())
        m = min(self.group, self._blocks(op.rows) - i * self.group)
        operands = self._operands(m, part.tiles, part.words, source.words, part.words, stride)
        self.steps.append(self._with_table(Step("GEMM", op.out, operands, refs, flags), table))

    # Attention

    def _attention(self, op: QAttention) -> None:
        logical, count = self.shapes[op.heads[0].v][1], len(op.heads)
        width = self._words(logical)
        starts = tuple(h * width for h in range(count)) if self.choices.context_home else (0,)
        out = self._fresh(op.out, starts, count * width)
        self.columns[op.out] = np.concatenate([h * width * self.dot + np.arange(logical) for h in range(count)])
        self._check_padding(op)
        batch = max(1, min(out.groups, self.manifest.parameters["ROW_SCALES"] // self.group))
        room = self.manifest.parameters["ROW_SCALES"] // (batch * self.group)
        waiting: list[_Scored] = []
        for h, head in enumerate(op.heads):
            queries, keys, values = self._project(op, head)
            for first in range(0, out.groups, batch):
                groups = range(first, min(first + batch, out.groups))
                waiting.append(_Scored(h, values, [self._scores(op, head, queries, keys, i) for i in groups]))
                if len(waiting) > max(0, min(self.choices.ahead, room - 1)):
                    self._mix(op, out, width, waiting.pop(0))
        for item in waiting:
            self._mix(op, out, width, item)
        if self.choices.context_home:
            self._reread(op.out, out)

    def _check_padding(self, op: QAttention) -> None:
        """Padding between heads is skipped by zero weights, so only GEMMs may read the result where there is any."""
        dense = (np.diff(self.columns[op.out]) == 1).all()
        readers = [later for later in self.graph.ops if op.out in _operands(later)]
        if not dense and (op.out == self.graph.output or not all(isinstance(later, QGemm) for later in readers)):
            raise InputError(
                f"heads of {self.shapes[op.heads[0].v][1]} columns need padding to {self.align}, which only a linear "
                "layer can skip",
                op.out,
                "add an output projection",
            )

    def _reread(self, name: str, written: Grid) -> None:
        """Readers of the tensor load whole row-blocks from the memory the head results were stored to."""
        for row in written.panels:
            for panel in row:
                panel.through = True
        home = written.panels[0][0].home
        assert home is not None
        self.grids[name] = make_grid(
            name, self.manifest, written.row_blocks, written.words, self.group, home, filled=True
        )

    def _project(self, op: QAttention, head: QHead) -> tuple[Grid, Panel, Panel]:
        """Queries in row groups, keys as one panel, values transposed as one panel."""
        queries = self._fresh(head.q)
        source = self.graph.op(head.q)
        assert isinstance(source, QGemm)
        self._gemm(source, range(queries.groups))
        keys = self._whole(head.k, turn=False)
        values = self._whole(head.v, turn=True)
        return queries, keys, values

    def _whole(self, name: str, turn: bool) -> Panel:
        op = self.graph.op(name)
        assert isinstance(op, QGemm)
        source = self.grids[op.a]
        rows, cols = self.shapes[name]
        blocks, width = self._blocks(rows), self._words(cols)
        down, across = (width * self.dot // self.tile, -(-blocks * self.tile // self.dot)) if turn else (blocks, width)
        size = self.manifest.word_bytes
        home = Home(self.memory, down * across * size)
        panel = Panel(name, Store.SCRATCHPAD, down, across, home, pitch=across * size)
        for part in self._weights(op, source):
            for i in range(-(-blocks // self.group)):
                tile, row = part.first, i * self.group
                if turn:
                    offset = tile * across + row * self.tile // self.dot
                else:
                    offset = row * across + tile * self.tile // self.dot
                self._multiply(op, source, i, part, Ref(panel, offset, reads=False, writes=True), across, None, turn)
        return panel

    def _scores(self, op: QAttention, head: QHead, queries: Grid, keys: Panel, i: int) -> tuple[int, Panel, Panel]:
        """Q.K^T and its softmax, in place, for row group `i`: the group, its probabilities and its row scales."""
        tokens, m = self.shapes[head.k][0], queries.blocks(i)
        tiles = self._blocks(tokens)
        words = -(-tiles * self.tile // self.dot)
        size = self.manifest.word_bytes
        home = Home(self.memory, m * words * size)
        panel = Panel(f"{op.out} scores[{i}]", Store.SCRATCHPAD, m, words, home, pitch=words * size)
        self._products(op, queries.panels[i][0], queries.words, keys, panel, tiles)
        scales = Panel(f"{op.out} row scales[{i}]", Store.ROW_SCALES, 1, m)
        refs = {
            "a_addr": Ref(panel),
            "o_addr": Ref(panel, writes=True),
            "r_addr": Ref(scales, reads=False, writes=True),
        }
        fixed = {"row_blocks": m, "cols": tokens, "frac": op.frac, "b_addr": 0, "p_addr": 0}
        fixed |= {f"{name}_stride": words for name in "abo"}
        self.steps.append(Step("SOFTMAX", op.out, fixed, refs))
        return i, panel, scales

    def _products(self, op: QAttention, queries: Panel, k_words: int, keys: Panel, out: Panel, tiles: int) -> None:
        """The GEMMs of one group's scores: as many key tiles at once as the parameter memory has entries for."""
        most = self.manifest.parameters["MATRIX_PARAMS"] // (2 * self.tile)
        count = min(tiles, max(self.step_tiles, most // self.step_tiles * self.step_tiles))
        params = self._params(Store.MATRIX_PARAMS, [op.score] * (count * self.tile), f"{op.out} score parameters")
        for first in range(0, tiles, count):
            refs = {
                "a_addr": Ref(queries),
                "b_addr": Ref(keys, first * k_words),
                "o_addr": Ref(out, first * self.tile // self.dot, reads=False, writes=True),
                "p_addr": self._entry(params),
            }
            n = min(count, tiles - first)
            operands = self._operands(out.rows, n, k_words, k_words, k_words, out.row_words)
            self.steps.append(Step("GEMM", op.out, operands, refs))

    def _mix(self, op: QAttention, out: Grid, width: int, scored: _Scored) -> None:
        """Probabilities times values, normalised by the row scales, into the head's columns."""
        tokens = self.shapes[op.heads[scored.head].v][0]
        for i, panel, scales in scored.groups:
            target, offset = out.at(i, scored.head * width)
            refs = {
                "a_addr": Ref(panel),
                "b_addr": Ref(scored.values),
                "o_addr": Ref(target, offset, reads=False, writes=True),
                "r_addr": Ref(scales),
            }
            words, n = -(-tokens // self.dot), width * self.dot // self.tile
            strides = (panel.row_words, scored.values.row_words, target.row_words)
            operands = self._operands(out.blocks(i), n, words, *strides, op.gain)
            self.steps.append(Step("GEMM", op.out, operands, refs, frozenset({"ROWSCALE"})))


def _hold(index: int, count: int) -> frozenset[str]:
    """Accumulator flags of K chunk `index` of `count`."""
    return frozenset(({"KEEP"} if index else set()) | ({"HOLD"} if index + 1 < count else set()))


def _operands(op: object) -> tuple[str, ...]:
    """Names of the tensors an op reads."""
    if isinstance(op, QAdd):
        return op.a, op.b
    if isinstance(op, QAttention):
        return tuple(name for head in op.heads for name in (head.q, head.k, head.v))
    if isinstance(op, (QGemm, QLayerNorm)):
        return (op.a,)
    return ()
