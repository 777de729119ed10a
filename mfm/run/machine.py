"""The golden machine: executes instructions bit-exactly on numpy, storages included."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hwlib import isa
from hwlib.design import Manifest
from hwlib.numerics import (
    RequantParams,
    accumulate,
    add_requantize,
    apply_table,
    causal,
    decode_param,
    expand_param,
    join_planes,
    layernorm,
    mul_requantize,
    requantize,
    rmsnorm,
    rope,
    saturate_int4,
    softmax,
    split_planes,
    unpack_int4,
)
from hwlib.numerics.requantize import MULT_BITS, SHIFT_MAX
from mfm.program.effects import TABLE_BYTES, Store, capacity, entries_per_word

Int = NDArray[np.int64]
Commit = Callable[[], None]
Index = Int | int


@dataclass(frozen=True)
class _Params:
    mult: Int
    bias: Int
    shift: Int


class GoldenMachine:
    """Memory and local storages of a machine of `manifest`'s shape.

    `execute` runs one instruction. `read_phase` does all of its reading and computing and returns
    the writing, so that a test can put other instructions between the two.

    Args:
        memory_bytes: size of the memory, from address 0.
        noise: fill every local storage with random legal values first, which a correct program never notices.
    """

    def __init__(self, manifest: Manifest, memory_bytes: int, noise: np.random.Generator | None = None) -> None:
        self.manifest = manifest
        self.tile, self.dot = manifest.tile, manifest.dot
        words = manifest.parameters["WORDS"]
        self.memory = np.zeros(memory_bytes, dtype=np.uint8)
        self.scratchpad = np.zeros((words, self.tile, self.dot), dtype=np.int8)
        self.params = {
            store: np.zeros(capacity(store, manifest), dtype=np.uint64)
            for store in (Store.MATRIX_PARAMS, Store.VECTOR_PARAMS)
        }
        self.tables = np.zeros(manifest.parameters["ACT_TABLES"] * TABLE_BYTES, dtype=np.int8)
        self.scales = np.ones((2, capacity(Store.ROW_SCALES, manifest), self.tile), dtype=np.int64)
        self.accumulators = np.zeros((self.tile, self.tile), dtype=np.int64)
        if noise is not None:
            self._fill_with(noise)

    def _fill_with(self, noise: np.random.Generator) -> None:
        self.scratchpad[:] = noise.integers(-128, 128, self.scratchpad.shape)
        self.tables[:] = noise.integers(-128, 128, self.tables.shape)
        self.scales[:] = noise.integers(1, 32, self.scales.shape)
        self.accumulators[:] = noise.integers(-1000, 1000, self.accumulators.shape)
        for entries in self.params.values():
            shift = noise.integers(1, SHIFT_MAX + 1, entries.size) << MULT_BITS
            entries[:] = (noise.integers(0, 1 << MULT_BITS, entries.size) | shift).astype(np.uint64)

    def grow(self, memory_bytes: int) -> None:
        """Have at least `memory_bytes` of memory; what is there stays."""
        if memory_bytes > self.memory.size:
            self.memory = np.concatenate([self.memory, np.zeros(memory_bytes - self.memory.size, dtype=np.uint8)])

    def write(self, addr: int, data: bytes) -> None:
        """Put `data` in memory at byte `addr`."""
        self.memory[addr : addr + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def read(self, addr: int, count: int) -> bytes:
        """`count` bytes of memory from `addr`."""
        return self.memory[addr : addr + count].tobytes()

    def execute(self, item: isa.Instruction) -> None:
        """Run one instruction to its end. END does nothing."""
        if item.op != "END":
            self.read_phase(item)()

    def read_phase(self, item: isa.Instruction) -> Commit:
        """Read and compute; the returned function writes the results."""
        phases: dict[str, Callable[[isa.Instruction], Commit]] = {
            "LOAD": self._load,
            "STORE": self._store,
            "GEMM": self._gemm,
            "LAYERNORM": self._norm,
            "RMSNORM": self._norm,
            "SOFTMAX": self._softmax,
            "ADD": self._pairwise,
            "MUL": self._pairwise,
            "ROPE": self._pairwise,
        }
        return phases[item.op](item)

    def _words(self, base: int, repeat: int, stride: int, count: int) -> Int:
        grid = base + np.arange(repeat)[:, None] * stride + np.arange(count)
        return grid % len(self.scratchpad)

    def _operand(self, base: int, repeat: int, stride: int, count: int) -> Int:
        """The matrix [repeat*T, count*D] at scratchpad word `base`."""
        return self._matrix(self.scratchpad[self._words(base, repeat, stride, count)])

    def _int4(self, base: int, repeat: int, stride: int, count: int) -> Int:
        """As `_operand`, of int4 words: two of `count` words in each."""
        packed = self.scratchpad[self._words(base, repeat, stride, -(-count // 2))].astype(np.int64)
        pairs = unpack_int4(packed).reshape(repeat, -1, self.tile, self.dot)
        return self._matrix(pairs[:, :count])

    def _matrix(self, tiles: NDArray[np.integer]) -> Int:
        """The matrix in words `tiles` [row-blocks, words, T, D]."""
        repeat, count = tiles.shape[:2]
        return tiles.transpose(0, 2, 1, 3).reshape(repeat * self.tile, count * self.dot).astype(np.int64)

    def _put(self, bases: Int, matrix: Int, high: int | None = None) -> None:
        """Write `matrix` [len(bases)*T, cols] to row-blocks at words `bases`, and nothing else.

        high: it is int4, and the first word of a row-block is the low (0) or high (1) nibbles.
        """
        column = np.arange(matrix.shape[1])
        blocks = matrix.reshape(len(bases), self.tile, len(column))
        where = (np.arange(self.tile)[:, None], column % self.dot)
        self._write(bases[:, None, None], column // self.dot, where, blocks, high)

    def _write(self, base: Index, word: Index, place: tuple[Index, Index], values: Int, high: int | None) -> None:
        """Write `values` to the (row, byte) of word `word` after `base`; high: as in `_put`. Shapes are broadcast."""
        if high is None:
            self.scratchpad[((base + word) % len(self.scratchpad), *place)] = values
            return
        half, *where = np.broadcast_arrays(word + high, (base + (word + high) // 2) % len(self.scratchpad), *place)
        for odd in (0, 1):
            pick = half % 2 == odd
            at = tuple(index[pick] for index in where)
            kept = self.scratchpad[at].astype(np.int64) & (15 if odd else 240)
            self.scratchpad[at] = (kept | (values[pick] & 15) << 4 * odd).astype(np.uint8).view(np.int8)

    def _load(self, item: isa.Instruction) -> Commit:
        v, size = item.operands, self.manifest.word_bytes
        spread = "SPREAD" in item.flags
        row = v["row_words"] * (self.dot if spread else size)
        spans = [self.read(v["dram_addr"] + q * v["dram_stride"], row) for q in range(v["rows"])]
        data, count = np.frombuffer(b"".join(spans), dtype=np.uint8), v["row_words"]
        if "COMPACT" in item.flags:
            full = [expand_param(entry) for entry in data.view(np.uint32).tolist()]
            data, count = np.array(full, dtype=np.uint64).view(np.uint8), 2 * count
        words = v["local_addr"] + np.arange(v["rows"])[:, None] * v["local_stride"] + np.arange(count)
        words = words.ravel() & 0xFFFF
        if spread:
            return lambda: self._fill_rows(v["lane"] % self.tile, words, data.view(np.int8).reshape(-1, self.dot))
        return lambda: self._fill(Store(v["space"]), words, data.reshape(-1, size))

    def _fill_rows(self, lane: int, words: Int, rows: NDArray[np.int8]) -> None:
        self.scratchpad[words % len(self.scratchpad), lane] = rows

    def _fill(self, store: Store, words: Int, data: NDArray[np.uint8]) -> None:
        if store is Store.SCRATCHPAD:
            self.scratchpad[words % len(self.scratchpad)] = data.view(np.int8).reshape(-1, self.tile, self.dot)
        elif store is Store.TABLES:
            at = words[:, None] * data.shape[1] + np.arange(data.shape[1])
            kept = at < self.tables.size
            self.tables[at[kept]] = data.view(np.int8)[kept]
        else:
            each = entries_per_word(self.manifest)
            entry = words[:, None] * each + np.arange(each)
            self.params[store][entry % self.params[store].size] = data.view(np.uint64)

    def _store(self, item: isa.Instruction) -> Commit:
        v = item.operands
        words = self._words(v["local_addr"], v["rows"], v["local_stride"], v["row_words"])
        rows = [self.scratchpad[row].tobytes() for row in words]

        def commit() -> None:
            for q, row in enumerate(rows):
                self.write(v["dram_addr"] + q * v["dram_stride"], row)

        return commit

    def _entries(self, store: Store, first: int, count: int) -> _Params:
        memory = self.params[store]
        found = [decode_param(int(memory[(first + i) % memory.size])) for i in range(count)]
        return _Params(*(np.array([getattr(p, name) for p in found]) for name in ("mult", "bias", "shift")))

    def _gemm(self, item: isa.Instruction) -> Commit:
        v, flags = item.operands, item.flags
        a = self._operand(v["a_addr"], v["m_tiles"], v["a_stride"], v["k_words"])
        read = self._int4 if "W4" in flags else self._operand
        b = read(v["b_addr"], v["n_tiles"], v["b_stride"], v["k_words"])
        acc = accumulate(a, b)
        if "KEEP" in flags:
            acc = acc + self.accumulators
        self.accumulators = acc[-self.tile :, -self.tile :]
        if "HOLD" in flags:
            return lambda: None
        out = self._requantized(item, acc)
        if "ACT" in flags:
            table = self.tables[v["act_table"] * TABLE_BYTES :][:TABLE_BYTES].astype(np.int64)
            out = apply_table(out, table)
        if "O4" in flags:
            out = saturate_int4(out)
        if "ROW" in flags:
            return self._one_row(item, out)
        if "TRANSPOSE" in flags:
            out = out.T
        bases = v["o_addr"] + np.arange(out.shape[0] // self.tile) * v["o_stride"]
        return lambda: self._put(bases, out, _high(item))

    def _one_row(self, item: isa.Instruction, out: Int) -> Commit:
        """Write row r_addr of a product's output, or with TRANSPOSE that column."""
        v = item.operands
        row, column = v["r_addr"], np.arange(out.shape[1])
        values, high = out[row % self.tile], _high(item)
        if "TRANSPOSE" in item.flags:
            bases, turned = v["o_addr"] + column // self.tile * v["o_stride"], (column % self.tile, row % self.dot)
            return lambda: self._write(bases, row // self.dot, turned, values, high)
        return lambda: self._write(v["o_addr"], column // self.dot, (row, column % self.dot), values, high)

    def _requantized(self, item: isa.Instruction, acc: Int) -> Int:
        v = item.operands
        if "ROWSCALE" in item.flags:
            index = (v["r_addr"] + np.arange(v["m_tiles"])) % self.scales.shape[1]
            mult, shift = self.scales[0, index].reshape(-1, 1), self.scales[1, index].reshape(-1, 1)
            return requantize(acc, mult, np.int64(0), np.maximum(1, shift - v["gain"]))  # type: ignore[arg-type]
        p = self._entries(Store.MATRIX_PARAMS, v["p_addr"], acc.shape[1])
        return requantize(acc, p.mult, p.bias, p.shift)

    def _rows(self, item: isa.Instruction, name: str, plane: int = 0) -> Int:
        v = item.operands
        words = -(-v["cols"] // self.dot)
        base = v[f"{name}_addr"] + plane
        return self._operand(base, v["row_blocks"], v[f"{name}_stride"], words)[:, : v["cols"]]

    def _vector_result(self, item: isa.Instruction, out: Int, plane: int = 0) -> Commit:
        v = item.operands
        count = -(-v["cols"] // self.dot)
        bases = v["o_addr"] + plane + np.arange(v["row_blocks"]) * v["o_stride"]
        padded = np.pad(out, ((0, 0), (0, count * self.dot - v["cols"])))
        return lambda: self._put(bases, padded)

    def _norm(self, item: isa.Instruction) -> Commit:
        p = self._entries(Store.VECTOR_PARAMS, item.operands["p_addr"], item.operands["cols"])
        norm = rmsnorm if item.op == "RMSNORM" else layernorm
        return self._vector_result(item, norm(self._rows(item, "a"), p.mult, p.bias, p.shift))

    def _softmax(self, item: isa.Instruction) -> Commit:
        v = item.operands
        scores = self._rows(item, "a")
        counted = causal(len(scores), v["cols"], v["span"]) if "CAUSAL" in item.flags else None
        out, scale = softmax(scores, v["frac"], counted)
        index = (v["r_addr"] + np.arange(v["row_blocks"])) % self.scales.shape[1]
        write = self._vector_result(item, out)

        def commit() -> None:
            write()
            self.scales[0, index] = scale.mult.reshape(-1, self.tile)
            self.scales[1, index] = scale.shift.reshape(-1, self.tile)

        return commit

    def _pairwise(self, item: isa.Instruction) -> Commit:
        memory, span = self.params[Store.VECTOR_PARAMS], item.operands.get("span", 0)
        first, second = (decode_param(int(memory[(item.operands["p_addr"] + i) % memory.size])) for i in (0, 1))
        a, b = self._rows(item, "a"), self._rows(item, "b")
        if "WIDE" in item.flags:
            a = join_planes(a, self._rows(item, "a", span))
        if "WIDE_OUT" not in item.flags:
            return self._vector_result(item, _combined(item.op, a, b, first, second))
        planes = split_planes(add_requantize(a, b, first, second, wide_out=True))
        low, high = (self._vector_result(item, plane, at) for plane, at in zip(planes, (0, span), strict=True))

        def commit() -> None:
            low()
            high()

        return commit


def _high(item: isa.Instruction) -> int | None:
    """Of a GEMM with an int4 output, whether its first words are high nibbles."""
    return item.operands["o_high"] if "O4" in item.flags else None


def _combined(op: str, a: Int, b: Int, first: RequantParams, second: RequantParams) -> Int:
    """The int8 result of a pairwise operation."""
    if op == "MUL":
        return mul_requantize(a, b, first)
    return rope(a, b, first) if op == "ROPE" else add_requantize(a, b, first, second)
