"""What an instruction reads and writes, derived from the ISA's own definition of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from hwlib import isa
from hwlib.design import Manifest

PARAM_BYTES = 8
TABLE_BYTES = 256


class Store(IntEnum):
    """The storages instructions touch. The first four have the numbers of `isa.Space`."""

    SCRATCHPAD = 0
    MATRIX_PARAMS = 1
    VECTOR_PARAMS = 2
    TABLES = 3
    ROW_SCALES = 4
    MEMORY = 5


@dataclass(slots=True)
class Access:
    """`repeat` runs of `count` units, `stride` apart, from `start`.

    Units: scratchpad words, parameter entries, row-scale entries, memory bytes; the tables are one unit,
    because none may be written while any is in use.
    """

    store: Store
    write: bool
    start: int
    count: int
    repeat: int = 1
    stride: int = 0

    @property
    def runs(self) -> list[tuple[int, int]]:
        """The ``(start, end)`` runs, joined where they touch."""
        if self.repeat == 1 or self.stride == self.count:
            return [(self.start, self.start + self.count * self.repeat)]
        return [(self.start + i * self.stride, self.start + i * self.stride + self.count) for i in range(self.repeat)]


def entries_per_word(manifest: Manifest) -> int:
    """Parameter entries in a local word."""
    return manifest.word_bytes // PARAM_BYTES


def row_bytes(operands: Mapping[str, int], flags: frozenset[str], parameters: Mapping[str, int]) -> int:
    """Bytes of memory in a row of a LOAD or STORE: whole words, or with SPREAD whole beats."""
    if "SPREAD" in flags:
        beat = parameters["AXI_BYTES"]
        return -(-operands["row_words"] * parameters["D"] // beat) * beat
    return operands["row_words"] * parameters["T"] * parameters["D"]


def _transfer(op: str, v: Mapping[str, int], flags: frozenset[str], manifest: Manifest) -> list[Access]:
    size = row_bytes(v, flags, manifest.parameters)
    memory = Access(Store.MEMORY, op == "STORE", v["dram_addr"], size, v["rows"], v["dram_stride"])
    space = Store(v["space"])
    if space is Store.TABLES:
        return [memory, Access(space, True, 0, 1)]
    unit = 1 if space is Store.SCRATCHPAD else entries_per_word(manifest)
    words = v["row_words"] * (2 if "COMPACT" in flags else 1)
    local = Access(space, op == "LOAD", v["local_addr"] * unit, words * unit, v["rows"], v["local_stride"] * unit)
    return [memory, local]


def _gemm(v: Mapping[str, int], flags: frozenset[str], manifest: Manifest) -> list[Access]:
    b_words = -(-v["k_words"] // 2) if "W4" in flags else v["k_words"]
    found = [
        Access(Store.SCRATCHPAD, False, v["a_addr"], v["k_words"], v["m_tiles"], v["a_stride"]),
        Access(Store.SCRATCHPAD, False, v["b_addr"], b_words, v["n_tiles"], v["b_stride"]),
    ]
    if "HOLD" in flags:
        return found
    found.append(_product(v, flags, manifest))
    if "ROWSCALE" in flags:
        found.append(Access(Store.ROW_SCALES, False, v["r_addr"], v["m_tiles"]))
    else:
        found.append(Access(Store.MATRIX_PARAMS, False, v["p_addr"], v["n_tiles"] * manifest.tile))
    if "ACT" in flags:
        found.append(Access(Store.TABLES, False, 0, 1))
    return found


def _product(v: Mapping[str, int], flags: frozenset[str], manifest: Manifest) -> Access:
    """The words in which a GEMM writes."""
    tile, dot = manifest.tile, manifest.dot
    across, blocks = (v["m_tiles"], v["n_tiles"]) if "TRANSPOSE" in flags else (v["n_tiles"], v["m_tiles"])
    first, count = 0, -(-across * tile // dot)
    if {"ROW", "TRANSPOSE"} <= flags:
        first, count = v["r_addr"] // dot, 1
    if "O4" in flags:
        end = -(-(first + count + v["o_high"]) // 2)
        first = (first + v["o_high"]) // 2
        count = end - first
    return Access(Store.SCRATCHPAD, True, v["o_addr"] + first, count, blocks, v["o_stride"])


PAIRWISE = frozenset({"ADD", "MUL", "ROPE"})
"""Vector operations of two operands."""


def _vector(op: str, v: Mapping[str, int], flags: frozenset[str], manifest: Manifest) -> list[Access]:
    words, blocks = -(-v["cols"] // manifest.dot), v["row_blocks"]

    def rows(name: str, plane: int = 0, write: bool = False) -> Access:
        return Access(Store.SCRATCHPAD, write, v[f"{name}_addr"] + plane, words, blocks, v[f"{name}_stride"])

    found = [rows("a"), rows("o", write=True)]
    found += [rows("a", v["span"])] if "WIDE" in flags else []
    found += [rows("o", v["span"], write=True)] if "WIDE_OUT" in flags else []
    if op in PAIRWISE:
        found += [rows("b"), Access(Store.VECTOR_PARAMS, False, v["p_addr"], 2)]
    elif op == "SOFTMAX":
        found.append(Access(Store.ROW_SCALES, True, v["r_addr"], blocks))
    else:
        found.append(Access(Store.VECTOR_PARAMS, False, v["p_addr"], v["cols"]))
    return found


def accesses(op: str, operands: Mapping[str, int], flags: frozenset[str], manifest: Manifest) -> list[Access]:
    """Every region the instruction reads or writes. END touches nothing."""
    engine = isa.BY_NAME[op].engine
    if engine is None:
        return []
    if engine is isa.Engine.MATRIX:
        return _gemm(operands, flags, manifest)
    if engine is isa.Engine.VECTOR:
        return _vector(op, operands, flags, manifest)
    return _transfer(op, operands, flags, manifest)


def macs(op: str, operands: Mapping[str, int]) -> int:
    """Array beats of the instruction (each T*T*D multiply-accumulates); 0 unless it is a GEMM."""
    return operands["m_tiles"] * operands["n_tiles"] * operands["k_words"] if op == "GEMM" else 0


def capacity(store: Store, manifest: Manifest) -> int:
    """Units of a local storage."""
    p = manifest.parameters
    return {
        Store.SCRATCHPAD: p["WORDS"],
        Store.MATRIX_PARAMS: p["MATRIX_PARAMS"],
        Store.VECTOR_PARAMS: p["VECTOR_PARAMS"],
        Store.TABLES: 1,
        Store.ROW_SCALES: p["ROW_SCALES"],
    }[store]
