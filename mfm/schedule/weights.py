"""Panels of weights, parameters and tables: what a program only reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Manifest
from hwlib.numerics import RequantParams, compact_param, encode_param, pack, pack_int4
from hwlib.numerics.requantize import BIAS_BITS
from mfm.compress.integer import INT4, QGemm
from mfm.program.effects import Store, entries_per_word
from mfm.schedule.panels import Grid, Home, Memory, Panel, Ref
from mfm.schedule.residency import place_sizes, table_bytes

Int = NDArray[np.int64]


@dataclass(frozen=True)
class Weights:
    """One panel of weights with its parameters: column tiles [first, first + tiles) and K words [low, low + words).

    entry: the first column's in `params`; stride: words of a tile in the panel; int4 weights have two K words in one.
    """

    panel: Panel
    params: Panel
    entry: int
    first: int
    tiles: int
    low: int
    words: int
    stride: int


class Constants:
    """The constant panels of one program; equal contents are one panel."""

    def __init__(self, manifest: Manifest, memory: Memory, weight_words: int) -> None:
        self.manifest, self.memory, self.weight_words = manifest, memory, weight_words
        self.tile, self.dot = manifest.tile, manifest.dot
        self.step_tiles = max(1, self.dot // self.tile)
        self.blobs: dict[tuple[Store, bytes], Panel] = {}
        self.parts: dict[str, list[Weights]] = {}
        self.panels: dict[tuple[int, int, int, int, int], Panel] = {}

    def blob(self, store: Store, data: bytes, label: str, compact: bool = False) -> Panel:
        """A filled panel of a parameter or table memory; compact: of parameter entries of 4 bytes."""
        unit = table_bytes(self.manifest) if store is Store.TABLES else self.manifest.word_bytes
        padded = data + bytes(-len(data) % unit)
        if (store, padded) not in self.blobs:
            home = Home(self.memory, len(padded), self.memory.place(padded))
            size = len(padded) // unit * (1 + compact)
            self.blobs[store, padded] = Panel(label, store, 1, size, home, filled=True, compact=compact)
        return self.blobs[store, padded]

    def params(self, store: Store, params: Sequence[RequantParams], label: str) -> Panel:
        """A panel of parameter entries."""
        return self._entries(store, np.array([encode_param(p) for p in params], dtype=np.uint64), label)

    def column_params(self, store: Store, op: object, count: int, label: str, first: int = 0) -> Panel:
        """A panel of entries for columns [first, first + count) of `op`; those past its columns compute zero."""
        return self._entries(store, _entries(op, first, count), label)

    def _entries(self, store: Store, entries: NDArray[np.uint64], label: str) -> Panel:
        """A panel of `entries`: of 4 bytes in memory where each can be, and words are saved by it."""
        full, size = entries.tobytes(), self.manifest.word_bytes
        words, halved = -(-len(full) // size), -(-len(full) // (2 * size))
        if halved < words and (2 * halved == words or 4 * halved <= place_sizes(self.manifest)[store]):
            compact = [compact_param(int(entry)) for entry in entries]
            known = [entry for entry in compact if entry is not None]
            if len(known) == len(compact):
                return self.blob(store, np.array(known, dtype=np.uint32).tobytes(), label, compact=True)
        return self.blob(store, full, label)

    def table(self, op: QGemm) -> Panel | None:
        """The activation table of `op`, if it has one."""
        if op.table is None:
            return None
        return self.blob(Store.TABLES, op.table.astype(np.int8).tobytes(), f"{op.out} table")

    def entry(self, panel: Panel, index: int = 0) -> Ref:
        """The parameter address of entry `index` of the panel."""
        return Ref(panel, 0, entries_per_word(self.manifest), entry=index)

    def weights(
        self, op: QGemm, source: Grid, columns: Int | None, breaks: tuple[int, ...], words: int
    ) -> list[Weights]:
        """The weight panels of `op`: as many column tiles as fit, never across a chunk of the output.

        columns: where in `source` each of the op's inputs lies, None: one after the other; breaks: first words of the
        output's chunks; words: of an output row-block.
        """
        if op.out not in self.parts:
            self.parts[op.out] = self._weights(op, source, columns, breaks, words)
        return self.parts[op.out]

    def _weights(
        self, op: QGemm, source: Grid, columns: Int | None, breaks: tuple[int, ...], words: int
    ) -> list[Weights]:
        tiles = words * self.dot // self.tile
        share = 2 if op.bits == INT4 else 1
        whole = -(-source.words // share)
        home = self._home(op, tiles, source.words, columns)
        single = len(source.starts) > 1
        parts = []
        runs = self._tile_runs(tiles, whole, breaks, single)
        for (first, count), (params, entry) in zip(runs, self._run_params(op, runs), strict=True):
            for low, high in zip(source.starts, (*source.starts[1:], source.words), strict=True):
                stride = -(-(high - low) // share)
                panel = self._panel(op.out, home, (first, count, low // share, stride), whole)
                parts.append(Weights(panel, params, entry, first, count, low, high - low, stride))
        return parts

    def _run_params(self, op: QGemm, runs: list[tuple[int, int]]) -> list[tuple[Panel, int]]:
        """For each run of column tiles the panel with its parameters, and its first entry there: few panels for all."""
        found: list[tuple[Panel, int]] = []
        while len(found) < len(runs):
            first = runs[len(found)][0]
            some = [run for run in runs[len(found) :] if run[0] + run[1] - first <= self._most_tiles()]
            some = some or runs[len(found) : len(found) + 1]
            count = (some[-1][0] + some[-1][1] - first) * self.tile
            label = f"{op.out} parameters"
            panel = self.column_params(Store.MATRIX_PARAMS, op, count, label, first * self.tile)
            found += [(panel, (start - first) * self.tile) for start, _ in some]
        return found

    def _most_tiles(self) -> int:
        """Column tiles whose parameters may be loaded at once."""
        return self.manifest.parameters["MATRIX_PARAMS"] // (4 * self.tile)

    def _home(self, op: QGemm, tiles: int, k_words: int, columns: Int | None) -> Home:
        """The memory of all weights of `op`, tile-major."""

        def make() -> bytes:
            n, k = op.weight.shape
            padded = np.zeros((tiles * self.tile, k_words * self.dot), dtype=np.int64)
            padded[:n, np.arange(k) if columns is None else columns] = op.weight
            return (pack_int4 if op.bits == INT4 else pack)(padded, self.tile, self.dot)

        place = b"" if columns is None else columns.tobytes()
        key = (id(op.weight), op.bits, tiles, k_words, self.tile, self.dot, place)
        addr, data = self.memory.place_packed(key, op.weight, make)
        return Home(self.memory, len(data), addr)

    def _panel(self, name: str, home: Home, where: tuple[int, int, int, int], whole: int) -> Panel:
        """Column tiles [first, first + count) and words [low, low + words) of the weights at `home`."""
        first, count, low, words = where
        key = (home.addr, *where)
        if key not in self.panels:
            size = self.manifest.word_bytes
            label = f"{name} weights[{first}:{first + count},{low}:{low + words}]"
            offset = (first * whole + low) * size
            panel = Panel(label, Store.SCRATCHPAD, count, words, home, offset, whole * size, filled=True)
            self.panels[key] = panel
        return self.panels[key]

    def _tile_runs(self, tiles: int, words: int, breaks: tuple[int, ...], single: bool) -> list[tuple[int, int]]:
        fit = self.weight_words // words
        step = 1 if single else max(self.step_tiles, min(fit, self._most_tiles()) // self.step_tiles * self.step_tiles)
        edges = [b * self.dot // self.tile for b in breaks] + [tiles]
        runs = []
        for low, high in pairwise(edges):
            pieces = -(-(high - low) // step)
            even = -(-(high - low) // (pieces * self.step_tiles)) * self.step_tiles if not single else 1
            runs += [(first, min(even, high - first)) for first in range(low, high, even)]
        return runs


def _entries(op: object, first: int, count: int) -> NDArray[np.uint64]:
    """Parameter entries of columns [first, first + count) of an op with mult, bias and shift by column."""
    zero = encode_param(RequantParams(0, 0, 1))
    mult, bias, shift = (
        getattr(op, name)[first : first + count].astype(np.int64) for name in ("mult", "bias", "shift")
    )
    limits = ((mult, -(1 << 15), 1 << 15), (shift, 1, 48), (bias, -(1 << BIAS_BITS - 1), 1 << BIAS_BITS - 1))
    if any(((values < low) | (values >= high)).any() for values, low, high in limits):
        raise ValueError("a requantization parameter does not fit its field")
    known = (mult & 0xFFFF).astype(np.uint64) | shift.astype(np.uint64) << np.uint64(16)
    known |= (bias & (1 << BIAS_BITS) - 1).astype(np.uint64) << np.uint64(24)
    return np.concatenate([known, np.full(count - len(known), zero, dtype=np.uint64)])
