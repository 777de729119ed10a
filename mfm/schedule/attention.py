"""Lowers attention: queries by row groups, keys and transposed values as panels, caches where there are some."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwlib.errors import InputError
from mfm.compress.integer import (
    INT4,
    QAttention,
    QCache,
    QConst,
    QGemm,
    QHead,
    QLayerNorm,
    QOp,
    QRmsNorm,
    QRope,
    operands,
    visible_keys,
)
from mfm.program.effects import Store
from mfm.program.program import CacheSlot
from mfm.schedule.panels import Grid, Home, Panel, Ref, Step, gemm_operands

if TYPE_CHECKING:
    from mfm.schedule.lower import Lowering

Post = QLayerNorm | QRmsNorm | QRope
SHARE = 4
"""Keys or values of more than this part of the scratchpad are taken in pieces."""
UNIT_SHIFT = 14
"""A copy multiplies by 2**UNIT_SHIFT and shifts it out again."""


@dataclass(frozen=True)
class _Made:
    """How a tensor of a head comes to be: `posts` on the result of `base`, in order, and the cache it goes to.

    bits: of its values, where it is kept as keys or values.
    """

    base: QGemm
    posts: tuple[Post, ...]
    cache: QCache | None
    bits: int = 8


@dataclass(frozen=True)
class _Kept:
    """Keys by row-blocks of tokens, or transposed values by row-blocks of columns: (first row-block, panel) pieces.

    words: of a row-block in a panel; bits: of a value.
    """

    pieces: tuple[tuple[int, Panel], ...]
    words: int
    bits: int = 8

    @property
    def flags(self) -> frozenset[str]:
        """How a GEMM reads it as its right operand."""
        return frozenset({"W4"} if self.bits == INT4 else ())


@dataclass(frozen=True)
class _Group:
    """A row group whose probabilities are ready; keys: how many columns of them count."""

    index: int
    scores: Panel
    scales: Panel
    keys: int


@dataclass(frozen=True)
class _Scored:
    """A head's row groups whose probabilities are ready, and its values."""

    head: int
    values: _Kept
    groups: list[_Group]


@cache
def _identity(cols: int) -> NDArray[np.int64]:
    return np.eye(cols, dtype=np.int64)


def _whole(word: int, bits: int) -> int:
    """The word of a row-block that holds its word `word` of int8 values."""
    return word // 2 if bits == INT4 else word


def _packed(words: int, bits: int) -> int:
    """Words that hold `words` words of int8 values."""
    return _whole(words + 1, bits) if bits == INT4 else words


class Attention:
    """The attention ops of one lowering. held: tensors made here, when a head needs them."""

    def __init__(self, low: Lowering) -> None:
        self.low, self.graph = low, low.graph
        self.reading: dict[str, set[str]] = defaultdict(set)
        for op in self.graph.ops:
            for name in operands(op):
                self.reading[name].add(op.out)
        for name in self.graph.outputs:
            self.reading[name].add("")
        self.held: set[str] = set()
        self.made: dict[str, _Made] = {}
        self.kept: dict[str, _Kept] = {}
        self.caches: list[CacheSlot] = []
        self.angles: dict[tuple[str, int, int], Panel] = {}
        for attention in (op for op in self.graph.ops if isinstance(op, QAttention)):
            for head in attention.heads:
                self._trace(attention, head)

    # How keys, queries and values come to be

    def _trace(self, attention: QAttention, head: QHead) -> None:
        for name in (head.k, head.v):
            if name not in self.made:
                self.made[name] = replace(self._origin(name), bits=attention.bits)
            cache = self.made[name].cache
            if attention.bits != self.made[name].bits or (cache is not None and cache.bits != attention.bits):
                raise InputError(f"'{name}' of more than one precision", attention.out, "give all that use it the same")
        if self._private(head.q) and isinstance(self.graph.op(head.q), (QGemm, QLayerNorm, QRmsNorm, QRope)):
            self.made.setdefault(head.q, self._origin(head.q, hold=False))
            made = self.made[head.q]
            if made.base.out in self.graph.made:
                self.held |= {made.base.out, *(post.out for post in made.posts)}

    def _private(self, name: str) -> bool:
        return len(self.reading[name]) == 1 and "" not in self.reading[name]

    def _origin(self, name: str, hold: bool = True) -> _Made:
        op, cache, posts = self.graph.op(name), None, list[Post]()
        if isinstance(op, QCache):
            if not self._private(name):
                raise InputError("a cache read by more than one attention", name, "give each its own")
            cache, op = op, self.graph.op(op.new)
        held = {name} if cache is not None else set()
        source = op
        while isinstance(op, (QLayerNorm, QRmsNorm, QRope)) and self._private(op.out):
            posts.insert(0, op)
            op = self.graph.op(op.a)
        if isinstance(op, QGemm) and self._private(op.out):
            base = op
            held.add(op.out)
        else:
            base, posts = self._copy(source), []
        if hold:
            self.held |= held | {post.out for post in posts}
        return _Made(base, tuple(posts), cache)

    def _copy(self, op: QOp) -> QGemm:
        """A product with the identity: the values of `op`, unchanged, to be laid out as the machine needs them."""
        rows, cols = self.low.shapes[op.out]
        one = np.ones(cols, dtype=np.int64)
        unit = _identity(cols)
        return QGemm(f"{op.out} copy", op.out, rows, unit, one << UNIT_SHIFT, 0 * one, UNIT_SHIFT * one, None, 4)

    # Steps

    def lower(self, op: QAttention) -> None:
        """All heads: scores and softmax of one before the values of the one before it are mixed."""
        low, count = self.low, len(op.heads)
        logical = low.shapes[op.heads[0].v][1]
        width = low.words(logical)
        starts = tuple(h * width for h in range(count)) if low.choices.context_home else (0,)
        out = low.fresh(op.out, starts, count * width)
        low.columns[op.out] = np.concatenate([h * width * low.dot + np.arange(logical) for h in range(count)])
        self._check_padding(op)
        entries = low.manifest.parameters["ROW_SCALES"] // low.group
        batch = max(1, min(out.groups, entries))
        room = entries // batch
        waiting: list[_Scored] = []
        for h, head in enumerate(op.heads):
            if h == 0:
                self._interleave(head)
            keys = self._keep(head.k, turned=False)
            queries = self._queries(head.q)
            values = self._keep(head.v, turned=True)
            for first in range(0, out.groups, batch):
                groups = range(first, min(first + batch, out.groups))
                waiting.append(_Scored(h, values, [self._scores(op, head, queries, keys, i) for i in groups]))
                if len(waiting) > max(0, min(low.choices.ahead, room - 1)):
                    self._mix(op, out, width, waiting.pop(0))
        for item in waiting:
            self._mix(op, out, width, item)
        if low.choices.context_home:
            low.reread(op.out, out)

    def _check_padding(self, op: QAttention) -> None:
        """Padding between heads is skipped by zero weights, so only GEMMs may read the result where there is any."""
        dense = (np.diff(self.low.columns[op.out]) == 1).all()
        readers = [later for later in self.graph.ops if op.out in operands(later)]
        if not dense and (op.out in self.graph.outputs or not all(isinstance(later, QGemm) for later in readers)):
            raise InputError(
                f"heads of {self.low.shapes[op.heads[0].v][1]} columns need padding to {self.low.align}, which only a "
                "linear layer can skip",
                op.out,
                "add an output projection",
            )

    def _queries(self, name: str) -> Grid:
        if name in self.held and name not in self.low.grids:
            self._rows(self.made[name])
        return self.low.grids[name]

    def _interleave(self, head: QHead) -> None:
        """The first GEMMs of a head row group by row group, for an input that is still being made."""
        low = self.low
        names = [n for n in (head.k, head.q, head.v)[: low.choices.interleave] if n in self.made and n not in self.kept]
        if len(names) < 2 or low.past or any(n in low.grids or self.made[n].base.out not in self.held for n in names):
            return
        plain = [name for name in names if name == head.q or not self._copied(name, name == head.v)]
        for name in plain:
            if name != head.q:
                self.kept[name] = self._panels(name, self.made[name], name == head.v)
        for i in range(low.groups(max(self.made[name].base.rows for name in plain))):
            for name in plain:
                base = self.made[name].base
                if i >= low.groups(base.rows):
                    continue
                if name == head.q:
                    low.rowwise(base, range(i, i + 1))
                else:
                    self._fill(base, self.kept[name], name == head.v, range(i, i + 1))
        for name in plain:
            for post in self.made[name].posts:
                if name == head.q:
                    low.rowwise(post, range(low.groups(post.rows)))
                else:
                    self._late(post, self.kept[name])

    def _late(self, post: Post, kept: _Kept) -> None:
        for first, panel in kept.pieces:
            self._post(post, first, panel)

    def _rows(self, made: _Made) -> None:
        """The tensor as row groups."""
        for op in (made.base, *made.posts):
            self.low.rowwise(op, range(self.low.groups(op.rows)))

    def _keep(self, name: str, turned: bool) -> _Kept:
        """Keys or, turned, values: made on first use."""
        if name not in self.kept:
            made = self.made[name]
            self.kept[name] = kept = self._panels(name, made, turned)
            base = made.base
            if self._copied(name, turned):
                self._rows(made)
                base = self._copy(made.posts[-1])
            self._fill(base, kept, turned)
            for post in () if base is not made.base else made.posts:
                self._late(post, kept)
        return self.kept[name]

    def _copied(self, name: str, turned: bool) -> bool:
        """Whether the tensor is made elsewhere and copied: row-wise ops that cannot be done in place come before."""
        made = self.made[name]
        in_place = not turned and not self.low.past and made.bits != INT4
        return bool(made.posts) and not in_place

    def _panels(self, name: str, made: _Made, turned: bool) -> _Kept:
        """The pieces: from a cache all that it holds by then, with the part that this program changes."""
        low = self.low
        rows, cols = low.shapes[name]
        blocks, width = low.blocks(rows), low.words(cols)
        cache, bits = made.cache, made.bits
        down, words = (width * low.dot // low.tile, low.words(rows)) if turned else (blocks, width)
        words = _packed(words, bits)
        unit = low.step_tiles if turned else low.group
        most = max(unit, low.manifest.parameters["WORDS"] // SHARE // words // unit * unit)
        even = -(-down // (-(-down // most) * unit)) * unit
        size, pitch = low.manifest.word_bytes, words
        home = Home(low.memory, down * words * size)
        if cache is not None:
            pitch = _packed(low.words(cache.capacity), bits) if turned else words
            total = (down if turned else low.blocks(cache.capacity)) * pitch * size
            layout = ("values" if turned else "keys", cache.capacity, cols, bits)
            home = Home(low.memory, total, low.memory.slot(cache.slot, layout, total))
            self.caches.append(CacheSlot(cache.slot, home.addr, cache.capacity, cols, turned, bits))
        pieces = []
        for first in range(0, down, even):
            count = min(even, down - first)
            label = f"{name}[{first}:{first + count}]"
            panel = Panel(label, Store.SCRATCHPAD, count, words, home, first * pitch * size, pitch * size)
            if cache is not None:
                self._cached(panel, first, turned, bits)
            pieces.append((first, panel))
        return _Kept(tuple(pieces), words, bits)

    def _cached(self, panel: Panel, first: int, turned: bool, bits: int) -> None:
        """What of a cache's panel is there before, and what is to be stored."""
        low = self.low
        block = low.past // low.tile - first
        panel.through = turned or not low.past or 0 <= block < panel.rows
        if not low.past:
            return
        if turned:
            each = low.align // low.dot
            panel.part = (0, panel.rows, _whole(low.past // low.align * each, bits), _packed(each, bits))
            panel.held = (0, panel.rows, 0, _packed(-(-low.past // low.dot), bits))
            panel.filled = True
        else:
            panel.part = (block, 1, 0, panel.row_words) if panel.through else None
            rows = min(panel.rows, low.blocks(low.past) - first)
            panel.held = (0, rows, 0, panel.row_words)
            panel.filled = rows > 0

    def _fill(self, op: QGemm, kept: _Kept, turned: bool, groups: range | None = None) -> None:
        """The GEMMs that write all row groups (or `groups`), or the one new row, of keys or of transposed values."""
        low, int4 = self.low, kept.bits == INT4
        groups = range(low.groups(op.rows)) if groups is None else groups
        flags = {name for name, on in (("TRANSPOSE", turned), ("ROW", low.past > 0), ("O4", int4)) if on}
        breaks = tuple(first * low.tile // low.dot for first, _ in kept.pieces) if turned else (0,)
        for part in low.weights(op, breaks):
            across = part.first * low.tile // low.dot
            for i in groups:
                block = low.past // low.tile if low.past else i * low.group
                first, panel = max(p for p in kept.pieces if p[0] <= (part.first if turned else block))
                word, line = across, block - first
                if turned:
                    word = low.past // low.align * low.align // low.dot if low.past else block * low.tile // low.dot
                    line = part.first - first
                offset = line * kept.words + _whole(word, kept.bits)
                row = low.past % (low.align if turned else low.tile) if low.past else 0
                target = Ref(panel, offset, reads=False, writes=True)
                low.multiply(op, i, part, target, kept.words, frozenset(flags), row, word % 2 if int4 else 0)

    def _post(self, op: Post, first: int, panel: Panel) -> None:
        """A row-wise op in place on row-blocks from `first` on."""
        if not isinstance(op, QRope):
            self.low.norm(op, panel, panel)
            return
        self.low.pair(op, (panel, self._turns(op.angles, first, panel)), panel, self.low.shapes[op.out][1])

    def _turns(self, name: str, first: int, panel: Panel) -> Panel:
        """The angles of the rows of `panel`."""
        key = (name, first, panel.rows)
        if key not in self.angles:
            grid, size = self.low.grids[name], self.low.manifest.word_bytes
            assert isinstance(self.graph.op(name), QConst)
            self.angles[key] = Panel(
                f"{name}[{first}:{first + panel.rows}]", Store.SCRATCHPAD, panel.rows, grid.words,
                grid.panels[0][0].home, first * grid.words * size, grid.words * size, filled=True,
            )  # fmt: skip
        return self.angles[key]

    def _scores(self, op: QAttention, head: QHead, queries: Grid, keys: _Kept, i: int) -> _Group:
        """Q.K^T and its softmax, in place, for row group `i`."""
        low = self.low
        seen = visible_keys(op, low.shapes[head.k][0])
        first = i * low.group * low.tile
        mine = seen[first : first + low.group * low.tile]
        cols, m = int(mine.max()), low.group_blocks(op.rows, i)
        tiles = low.blocks(cols)
        words = -(-tiles * low.tile // low.dot)
        home = Home(low.memory, m * words * low.manifest.word_bytes)
        label = f"{op.out} scores[{i}]"
        panel = Panel(label, Store.SCRATCHPAD, m, words, home, pitch=words * low.manifest.word_bytes)
        self._products(op, queries.panels[i][0], keys, panel, tiles)
        scales = Panel(f"{op.out} row scales[{i}]", Store.ROW_SCALES, 1, m)
        refs = {
            "a_addr": Ref(panel),
            "o_addr": Ref(panel, writes=True),
            "r_addr": Ref(scales, reads=False, writes=True),
        }
        masked = int(mine.min()) < cols
        fixed = {"row_blocks": m, "cols": cols, "frac": op.frac, "b_addr": 0, "p_addr": 0}
        fixed |= {"span": op.past + 1 + first if masked else 0} | {f"{name}_stride": words for name in "abo"}
        self.low.steps.append(Step("SOFTMAX", op.out, fixed, refs, frozenset({"CAUSAL"} if masked else ())))
        return _Group(i, panel, scales, cols)

    def _products(self, op: QAttention, queries: Panel, keys: _Kept, out: Panel, tiles: int) -> None:
        """The GEMMs of one group's scores: as many key tiles at once as the parameter memory has entries for."""
        low = self.low
        most = low.manifest.parameters["MATRIX_PARAMS"] // (2 * low.tile)
        count = min(tiles, max(low.step_tiles, most // low.step_tiles * low.step_tiles))
        label, width = f"{op.out} score parameters", low.words(low.shapes[op.heads[0].k][1])
        params = low.constants.params(Store.MATRIX_PARAMS, [op.score] * (count * low.tile), label)
        for start, panel in keys.pieces:
            for first in range(start, min(start + panel.rows, tiles), count):
                refs = {
                    "a_addr": Ref(queries),
                    "b_addr": Ref(panel, (first - start) * keys.words),
                    "o_addr": Ref(out, first * low.tile // low.dot, reads=False, writes=True),
                    "p_addr": low.constants.entry(params),
                }
                n = min(count, tiles - first, start + panel.rows - first)
                fixed = gemm_operands((out.rows, n, width), (queries.row_words, keys.words, out.row_words))
                low.steps.append(Step("GEMM", op.out, fixed, refs, keys.flags))

    def _mix(self, op: QAttention, out: Grid, width: int, scored: _Scored) -> None:
        """Probabilities times values, normalised by the row scales, into the head's columns."""
        low = self.low
        for group in scored.groups:
            words = -(-group.keys // low.dot)
            for first, values in scored.values.pieces:
                target, offset = out.at(group.index, scored.head * width + first * low.tile // low.dot)
                refs = {
                    "a_addr": Ref(group.scores),
                    "b_addr": Ref(values),
                    "o_addr": Ref(target, offset, reads=False, writes=True),
                    "r_addr": Ref(group.scales),
                }
                strides = (group.scores.row_words, scored.values.words, target.row_words)
                fixed = gemm_operands((group.scores.rows, values.rows, words), strides, op.gain)
                low.steps.append(Step("GEMM", op.out, fixed, refs, scored.values.flags | {"ROWSCALE"}))
