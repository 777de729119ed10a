"""Bench of `matrix_unit`: random GEMM instructions on one memory image against the golden arithmetic."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwlib import isa
from hwlib.numerics import (
    RequantParams,
    accumulate,
    apply_table,
    encode_param,
    requantize,
    saturate_int4,
    unpack_int4,
)
from verification.benches.addresses import compare_addresses, far, near
from verification.benches.scenario import Beat, Drive, Memory, Mismatch, Observed, Scenario

Int = NDArray[np.int64]

WORDS = 2048
OPERAND_WORDS = 256
"""Words below are operands and never written; outputs lie above, no two instructions' in the same words."""
SMALL_WORDS = 100
"""The first of them hold small values, so that low bits of sums show in results."""
TABLE_ENTRIES = 256
IDLE_CYCLES = 8
"""Between back-to-back instructions, by the contract."""
PLAIN = ("TRANSPOSE", "ROWSCALE", "W4", "ROW", "O4")
FLAGS = ("ACT", *PLAIN)
CORNERS = (-128, -121, -1, 0, 1, 120, 127)
"""Bytes whose nibbles are the extremes of int4 too."""


@dataclass(frozen=True)
class _Style:
    """How a scenario differs: instruction shapes, values, and how the surroundings behave."""

    name: str
    tiles: int = 3
    k_low: int = 1
    k_high: int = 6
    flags: tuple[str, ...] = FLAGS
    always: frozenset[str] = frozenset()
    held: float = 0.2
    corners: bool = False
    gap: float = 0.2
    stall: float = 0.2
    latency: tuple[int, int] = (1, 4)
    reset: bool = False


@dataclass(frozen=True)
class _Contents:
    """What the unit's memories hold: operand words [n, T, D], parameters, tables [tables, 256], row scales [n, T]."""

    operands: Int
    params: Sequence[RequantParams]
    tables: Int
    scale_mult: Int
    scale_shift: Int


@dataclass
class _Golden:
    """The nibbles that must be written, by (word, nibble); words each instruction writes; beats; words of B read."""

    written: dict[tuple[int, int], int] = field(default_factory=dict)
    words: list[set[int]] = field(default_factory=list)
    beats: int = 0
    b_words: int = 0


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Full rate (also of int4 alone), small instructions back to back, all mixed, corners, slow surroundings, reset."""
    tile = point["T"]
    plain = max(tile, 2)
    styles = (
        _Style("full-rate", k_low=plain, k_high=plain + 16, flags=PLAIN, held=0, gap=0, stall=0, latency=(4, 4)),
        _Style("int4-rate", k_low=plain + 10, k_high=plain + 16, flags=PLAIN, always=frozenset({"W4"}), held=0, gap=0,
               stall=0, latency=(4, 4)),
        _Style("back-to-back", tiles=1, k_low=plain, k_high=plain + 1, flags=PLAIN, held=0.2, gap=0, stall=0,
               latency=(1, 1)),
        _Style("mixed"),
        _Style("corners", corners=True, k_high=3),
        _Style("slow", gap=0.5, stall=0.6, latency=(1, 12)),
        _Style("reset", reset=True),
    )  # fmt: skip
    share = -(-transactions // len(styles))
    return [_scenario(style, point, share, seed * len(styles) + index) for index, style in enumerate(styles)]


def _scenario(style: _Style, point: Mapping[str, int], share: int, seed: int) -> Scenario:
    rng = random.Random(seed)
    contents = _contents(np.random.default_rng(seed), style, point)
    program = [far(rng, instruction, WORDS) for instruction in _program(rng, style, point, share)]
    golden = _run([near(instruction, WORDS) for instruction in program], contents, point)
    reached = [set() if "HOLD" in i.flags else _output_words(i, point) for i in program]
    size = point["T"] * point["D"]
    noise = [rng.getrandbits(8 * size) for _ in range(WORDS - OPERAND_WORDS)]
    image = dict(enumerate([_word(w) for w in contents.operands] + noise))
    drives = _loads(contents, point)
    ready = tuple((d.interface, len(d.beats)) for d in drives)
    commands = Drive("cmd", [Beat({"instr": isa.encode(i)}, after=ready) for i in program], style.gap)
    memory = Memory(
        name="scratchpad", words=WORDS, word_bytes=size, image=image, reads=(("a_req", "a_rsp"), ("b_req", "b_rsp")),
        writes=("o",), latency=style.latency, stall=style.stall,
    )  # fmt: skip

    def judge(seen: Observed) -> list[Mismatch]:
        wrong = _compare_memory(seen, image, golden, program) + _compare_done(seen, golden, program)
        wrong += _compare_perf(seen, golden) + compare_addresses(seen, program, reached)
        return wrong or (_compare_rate(seen, golden, program, point) if style.stall == 0 else [])

    writes = len(set().union(*golden.words))
    return Scenario(
        name=style.name,
        agents=(*drives, commands, memory),
        until={"done": len(program)},
        judge=judge,
        transactions=writes + len(program),
        max_cycles=2000 + sum(len(d.beats) for d in drives) + 20 * golden.beats + 40 * point["T"] * writes,
        seed=seed,
        reset_after=("o", writes // 3 + 1) if style.reset else None,
    )


# ---- stimulus


def _contents(rng: np.random.Generator, style: _Style, point: Mapping[str, int]) -> _Contents:
    tile, dot = point["T"], point["D"]
    shape = (OPERAND_WORDS, tile, dot)
    operands = rng.choice(np.array(CORNERS), shape) if style.corners else rng.integers(-128, 128, shape)
    if not style.corners:
        operands[:SMALL_WORDS] = rng.integers(-4, 5, operands[:SMALL_WORDS].shape)
    scales = (point["ROW_SCALES"], tile)
    mults, shifts = _row_scales(rng, style.corners, scales)
    return _Contents(
        operands,
        [_param(rng, style.corners, dot) for _ in range(point["PARAMS"])],
        rng.integers(-128, 128, (point["ACT_TABLES"], TABLE_ENTRIES)),
        mults,
        shifts,
    )


def _row_scales(rng: np.random.Generator, corners: bool, shape: tuple[int, int]) -> tuple[Int, Int]:
    """Multipliers and shifts; as corners any at all, or a multiplier so small that its last bit shows."""
    if not corners:
        return rng.integers(1 << 14, 1 << 15, shape), rng.integers(20, 36, shape)
    small = rng.random(shape) < 0.4
    mults = np.where(small, rng.integers(-7, 8, shape), rng.integers(-(1 << 15), 1 << 15, shape))
    return mults, np.where(small, rng.integers(8, 15, shape), rng.choice(np.array([1, 2, 15, 31, 46, 47]), shape))


def _param(rng: np.random.Generator, corners: bool, dot: int) -> RequantParams:
    if corners:
        mult = rng.choice(np.array([-(1 << 15), (1 << 15) - 1, -1, 0, 1]))
        bias = int(rng.choice(np.array([-(1 << 39), (1 << 39) - 1, 0, 1, -1])))
        if rng.random() < 0.5:  # shown to its top bits
            return RequantParams(int(mult), int(rng.integers(-(1 << 39), 1 << 39)), int(rng.integers(32, 40)))
        return RequantParams(int(mult), bias, int(rng.choice(np.array([1, 8, 32, 39, 47]))))
    # Small multipliers with small shifts show the low bits of the products.
    bits = 15 if rng.random() < 0.5 else int(rng.integers(1, 15))
    mult = int(rng.integers(1 << bits >> 3, 1 << bits)) * int(rng.choice(np.array([-1, 1])))
    shift = bits + int(rng.integers(0 if rng.random() < 0.4 else 5, 10)) + dot.bit_length() // 2
    return RequantParams(mult, int(rng.integers(-(1 << (shift + 6)), 1 << (shift + 6))), shift)


def _program(rng: random.Random, style: _Style, point: Mapping[str, int], share: int) -> list[isa.Instruction]:
    """Instructions whose outputs are `share` words or more, while the output space lasts."""
    program: list[isa.Instruction] = []
    free, wrote = OPERAND_WORDS, 0
    while wrote < share or len(program) < 3:
        burst = _held(rng, style, point) if rng.random() < style.held else []
        last = _gemm(rng, style, point, free, kept=bool(burst))
        used = _reach(last, point)
        if free + used > WORDS:
            break
        program += [*burst, last]
        free += used
        wrote += len(_output_words(last, point))
    return program


def _held(rng: random.Random, style: _Style, point: Mapping[str, int]) -> list[isa.Instruction]:
    """One to three instructions that leave their sums in the array, the first of them from zero."""
    burst = []
    for index in range(rng.randint(1, 3)):
        flags = _flags(rng, style) | {"HOLD"} | ({"KEEP"} if index else set())
        burst.append(isa.Instruction("GEMM", _operands(rng, style, point, flags, 0, 1, 1), flags))
    return burst


def _gemm(rng: random.Random, style: _Style, point: Mapping[str, int], free: int, kept: bool) -> isa.Instruction:
    flags = _flags(rng, style) | ({"KEEP"} if kept else set())
    m = 1 if kept or "ROW" in flags else rng.randint(1, style.tiles)
    n = 1 if kept else rng.randint(1, style.tiles)
    operands = _operands(rng, style, point, flags, free, m, n)
    columns, blocks = (m, n) if "TRANSPOSE" in flags else (n, m)
    width = _width(columns, operands, flags, point)
    operands["o_stride"] = 0 if blocks == 1 else width + rng.choice((0, 0, 1, 3, rng.randrange(32)))
    return isa.Instruction("GEMM", operands, flags)


def _flags(rng: random.Random, style: _Style) -> frozenset[str]:
    """Some of the style's flags; of two that exclude each other, one."""
    flags = {name for name in style.flags if rng.random() < 0.4} | style.always
    if {"ROW", "ROWSCALE"} <= flags:
        flags.remove(rng.choice(("ROW", "ROWSCALE")))
    return frozenset(flags)


def _operands(
    rng: random.Random, style: _Style, point: Mapping[str, int], flags: frozenset[str], o_addr: int, m: int, n: int
) -> dict[str, int]:
    """Operand blocks anywhere among the operand words, any stride, also across the end of the 16-bit space."""
    k = rng.randint(style.k_low, style.k_high)
    a_stride, b_stride = (rng.choice((k, 0, rng.randint(0, 40))) for _ in range(2))
    highest = max(m * a_stride, n * b_stride) + k
    a, b = (rng.randint(0, OPERAND_WORDS - 1 - highest) for _ in range(2))
    if rng.random() < 0.2:
        a, a_stride = a + (m - 1) * a_stride, (1 << 16) - a_stride if a_stride else 0
    rows = max(point["T"], point["D"]) if "TRANSPOSE" in flags else point["T"]
    r_addr = rng.randrange(rows) if "ROW" in flags else rng.randint(0, point["ROW_SCALES"] - m)
    return {
        "a_addr": a, "b_addr": b, "o_addr": o_addr, "m_tiles": m, "n_tiles": n, "k_words": k,
        "a_stride": a_stride, "b_stride": b_stride, "o_stride": 0,
        "p_addr": rng.randint(0, point["PARAMS"] - n * point["T"]), "r_addr": r_addr,
        "act_table": rng.randrange(point["ACT_TABLES"]), "gain": rng.choice((0, rng.randint(0, 15))),
        "o_high": rng.randrange(2),
    }  # fmt: skip


def _width(columns: int, operands: Mapping[str, int], flags: frozenset[str], point: Mapping[str, int]) -> int:
    """Words in an output row-block of `columns` tiles."""
    words = -(-columns * point["T"] // point["D"])
    return -(-(words + operands["o_high"]) // 2) if "O4" in flags else words


def _across(instruction: isa.Instruction) -> tuple[int, int]:
    """Tiles in a row-block of the output, and row-blocks."""
    o = instruction.operands
    tiles = o["n_tiles"], o["m_tiles"]
    return tiles[::-1] if "TRANSPOSE" in instruction.flags else tiles


def _reach(instruction: isa.Instruction, point: Mapping[str, int]) -> int:
    """Output words from o_addr on that an instruction may touch."""
    columns, blocks = _across(instruction)
    width = _width(columns, instruction.operands, instruction.flags, point)
    return (blocks - 1) * instruction.operands["o_stride"] + width


def _loads(contents: _Contents, point: Mapping[str, int]) -> list[Drive]:
    """The flows that fill the parameter memory, the tables and the row scales."""
    size = point["T"] * point["D"]
    params = b"".join(encode_param(p).to_bytes(8, "little") for p in contents.params)
    tables = contents.tables.astype(np.int8).tobytes()
    scales = [
        sum((int(m) & 0xFFFF | int(s) << 16) << 24 * r for r, (m, s) in enumerate(zip(mults, shifts, strict=True)))
        for mults, shifts in zip(contents.scale_mult, contents.scale_shift, strict=True)
    ]
    rows = [Beat({"addr": addr, "data": data}) for addr, data in enumerate(scales)]
    return [Drive("par", _words(params, size), 0.1), Drive("tab", _words(tables, size), 0.1), Drive("rs", rows, 0.1)]


def _words(space: bytes, size: int) -> list[Beat]:
    padded = space + bytes(-len(space) % size)
    return [
        Beat({"addr": addr, "data": int.from_bytes(padded[addr * size : (addr + 1) * size], "little")})
        for addr in range(len(padded) // size)
    ]


def _word(values: Int) -> int:
    return int.from_bytes(values.astype(np.int8).tobytes(), "little")


# ---- golden


def _run(program: Sequence[isa.Instruction], contents: _Contents, point: Mapping[str, int]) -> _Golden:
    golden = _Golden()
    held = np.zeros((point["T"], point["T"]), dtype=np.int64)
    for instruction in program:
        o, narrow = instruction.operands, "W4" in instruction.flags
        golden.beats += o["m_tiles"] * o["n_tiles"] * o["k_words"]
        golden.b_words += o["m_tiles"] * o["n_tiles"] * (-(-o["k_words"] // 2) if narrow else o["k_words"])
        golden.words.append(set() if "HOLD" in instruction.flags else _output_words(instruction, point))
        for j in range(o["n_tiles"]):
            for i in range(o["m_tiles"]):
                fresh = accumulate(_block(contents, o, "a", i), _block(contents, o, "b", j, narrow))
                held = fresh + (held if "KEEP" in instruction.flags else 0)
                if "HOLD" not in instruction.flags:
                    values = _scale(held, instruction, contents, i, j)
                    _store(golden, values, instruction, point, i, j)
    return golden


def _block(contents: _Contents, operands: Mapping[str, int], name: str, index: int, narrow: bool = False) -> Int:
    """Row-block `index` of operand `name`, [T, k_words * D], of int4 words if `narrow`."""
    start, count = operands[f"{name}_addr"] + index * operands[f"{name}_stride"], operands["k_words"]
    words = contents.operands[[(start + k) % (1 << 16) % WORDS for k in range(-(-count // 2) if narrow else count)]]
    if narrow:
        words = unpack_int4(words).reshape(-1, *words.shape[1:])[:count]
    return np.concatenate(list(words), axis=1)


def _scale(acc: Int, instruction: isa.Instruction, contents: _Contents, i: int, j: int) -> Int:
    o, tile = instruction.operands, acc.shape[0]
    if "ROWSCALE" in instruction.flags:
        row = o["r_addr"] + i
        shift = np.maximum(1, contents.scale_shift[row] - o["gain"])
        y = requantize(acc, contents.scale_mult[row][:, None], np.array(0), shift[:, None])
    else:
        params = [contents.params[o["p_addr"] + j * tile + c] for c in range(tile)]
        mult, bias, shift = (np.array([getattr(p, f) for p in params]) for f in ("mult", "bias", "shift"))
        y = requantize(acc, mult, bias, shift)
    y = apply_table(y, contents.tables[o["act_table"]]) if "ACT" in instruction.flags else y
    return saturate_int4(y) if "O4" in instruction.flags else y


def _store(
    golden: _Golden, values: Int, instruction: isa.Instruction, point: Mapping[str, int], i: int, j: int
) -> None:
    o, tile, dot = instruction.operands, point["T"], point["D"]
    if "ROW" in instruction.flags:
        i = o["r_addr"] // tile
    for (r, c), value in np.ndenumerate(values):
        row, column = i * tile + r, j * tile + c
        if "ROW" in instruction.flags and row != o["r_addr"]:
            continue
        if "TRANSPOSE" in instruction.flags:
            row, column = column, row
        block, byte = o["o_addr"] + row // tile * o["o_stride"], row % tile * dot + column % dot
        if "O4" in instruction.flags:
            half = column // dot + o["o_high"]
            golden.written[block + half // 2, 2 * byte + half % 2] = int(value) & 15
        else:
            for high in (0, 1):
                golden.written[block + column // dot, 2 * byte + high] = int(value) >> 4 * high & 15


def _output_words(instruction: isa.Instruction, point: Mapping[str, int]) -> set[int]:
    """Words with a nibble that the instruction writes."""
    o = instruction.operands
    columns, blocks = _across(instruction)
    words = range(_width(columns, o, instruction.flags, point))
    if {"TRANSPOSE", "ROW"} <= instruction.flags:
        word = o["r_addr"] // point["D"]
        word = (word + o["o_high"]) // 2 if "O4" in instruction.flags else word
        words = range(word, word + 1)
    return {o["o_addr"] + b * o["o_stride"] + w for b in range(blocks) for w in words}


# ---- judging


def _compare_memory(
    seen: Observed, image: Mapping[int, int], golden: _Golden, program: Sequence[isa.Instruction]
) -> list[Mismatch]:
    """The first nibble that is not what was computed, or that changed and should not have."""
    memory = seen.memories["scratchpad"]
    size = 1 + max(nibble for _, nibble in golden.written)
    for word in sorted(set(memory) | set(image)):
        got, before = memory.get(word, 0), image.get(word, 0)
        if got == before and not any((word, nibble) in golden.written for nibble in range(size)):
            continue
        for nibble in range(max(size, -(-got.bit_length() // 4))):
            want, have = golden.written.get((word, nibble), before >> 4 * nibble & 15), got >> 4 * nibble & 15
            if have != want:
                vector = _describe(program, golden, word)
                return [Mismatch("o", word, -1, f"nibble {nibble} = 0x{want:x}", f"0x{have:x}", vector)]
    return []


def _describe(program: Sequence[isa.Instruction], golden: _Golden, word: int) -> str:
    for index, words in enumerate(golden.words):
        if word in words:
            instruction = program[index]
            operands = " ".join(f"{k}={v}" for k, v in instruction.operands.items())
            return f"word 0x{word:x}, written by instruction {index}: {'|'.join(sorted(instruction.flags))} {operands}"
    return f"word 0x{word:x}, which no instruction writes"


def _compare_done(seen: Observed, golden: _Golden, program: Sequence[isa.Instruction]) -> list[Mismatch]:
    """done once for each instruction, in order, after the last write to its words."""
    dones = [s.cycle for s in seen.transfers["done"]]
    if len(dones) != len(program):
        return [Mismatch("done", len(dones), -1, f"{len(program)} pulses", str(len(dones)), "whole run")]
    last = {s.payload["addr"] % WORDS: s.cycle for s in seen.transfers["o"]}
    for index, words in enumerate(golden.words):
        late = [w for w in words if last.get(w, -1) >= dones[index]]
        if late:
            vector = _describe(program, golden, late[0])
            return [
                Mismatch("done", index, dones[index], f"after the write in cycle {last[late[0]]}", "before", vector)
            ]
    return []


def _compare_perf(seen: Observed, golden: _Golden) -> list[Mismatch]:
    """As many op beats as there are; no operand word asked for more often than tiles use it."""
    counted = seen.wires["perf"]["mac"]
    if counted != golden.beats:
        return [Mismatch("perf", 0, -1, f"mac high in {golden.beats} cycles", str(counted), "whole run")]
    limits = {"a_req": golden.beats, "b_req": golden.b_words}
    return [
        Mismatch(name, limit, -1, f"{limit} requests at most", str(len(seen.transfers[name])), "whole run")
        for name, limit in limits.items()
        if len(seen.transfers[name]) > limit
    ]


def _compare_rate(
    seen: Observed, golden: _Golden, program: Sequence[isa.Instruction], point: Mapping[str, int]
) -> list[Mismatch]:
    """Without refusals the unit may be idle only between instructions, at the start and while the last tile drains."""
    begin, end = seen.transfers["cmd"][0].cycle, seen.transfers["done"][-1].cycle
    limit = golden.beats + (IDLE_CYCLES + 1) * len(program) + point["T"] + 48 + 16
    if end - begin <= limit:
        return []
    return [Mismatch("perf", 0, end, f"{golden.beats} op beats within {limit} cycles", str(end - begin), "no refusals")]
