"""Bench of `vector_unit`: random LAYERNORM, SOFTMAX and ADD instructions over a memory, against the golden functions.

The judge compares every written word (address, bytes, exactly once), the row scales, and when `done` comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwlib import isa
from hwlib.numerics import RequantParams, add_requantize, layernorm, pack, softmax, unpack
from hwlib.numerics.requantize import encode_param
from verification.benches.row_blocks import random_param
from verification.benches.scenario import (
    Beat,
    Drive,
    Memory,
    Mismatch,
    Observed,
    Payload,
    Scenario,
    compare_stream,
    show,
)  # fmt: skip

Int = NDArray[np.int64]

ADDRESSES = 1 << 16
BLOCK_LIMIT = 160
DONE_LIMIT = 160
NORM_BITS, ADD_BITS = 11, 8
PASSES = {"LAYERNORM": 2, "SOFTMAX": 2, "ADD": 1}


@dataclass(frozen=True)
class _Style:
    """How a scenario differs: instructions used, memory latency and refusals, column counts, reset in mid-flight."""

    name: str
    ops: tuple[str, ...] = ("LAYERNORM", "SOFTMAX", "ADD")
    latency: tuple[int, int] = (1, 4)
    stall: float = 0.0
    cols: tuple[int, int] = (1, 40)
    reset: bool = False


STYLES = (
    _Style("layernorm", ("LAYERNORM",), (4, 4)),
    _Style("softmax", ("SOFTMAX",), (3, 3)),
    _Style("add", ("ADD",), (4, 4)),
    _Style("mixed", latency=(1, 4), stall=0.3),
    _Style("slow-memory", latency=(1, 12), stall=0.6, cols=(1, 20)),
    _Style("long-rows", latency=(1, 1), cols=(150, 300)),
    _Style("reset", latency=(1, 4), stall=0.2, reset=True),
)


@dataclass(frozen=True)
class _Region:
    """Row-blocks in memory: word address of the first, words between them."""

    addr: int
    stride: int


@dataclass
class _Plan:
    """A program under construction with the memory it leaves behind and the transfers it must cause."""

    rng: np.random.Generator
    tile: int
    dot: int
    params: Sequence[RequantParams]
    image: dict[int, int] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    commands: list[isa.Instruction] = field(default_factory=list)
    writes: list[list[tuple[int, int]]] = field(default_factory=list)
    scales: list[list[Payload]] = field(default_factory=list)
    cursor: int = 0
    previous: tuple[_Region, int, int] | None = None

    @property
    def word_bytes(self) -> int:
        return self.tile * self.dot

    def words(self, cols: int) -> int:
        return -(-cols // self.dot)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Each instruction by itself, all mixed, slow memory, long rows, and a reset in mid-flight."""
    count = max(20, -(-transactions // len(STYLES)))
    return [_scenario(style, point, count, seed * len(STYLES) + index) for index, style in enumerate(STYLES)]


def _scenario(style: _Style, point: Mapping[str, int], count: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    params = _params(rng, point["PARAMS"])
    plan = _Plan(rng, point["T"], point["D"], params, cursor=int(rng.integers(0, ADDRESSES)))
    while len(plan.commands) < 3 or _transfers(plan) < count:
        _add_instruction(plan, style, point["PARAMS"])
    par = _par_beats(params, plan)
    commands = [Beat({"instr": isa.encode(i)}, after=(("par", len(par)),)) for i in plan.commands]
    memory = Memory(
        "scratchpad", ADDRESSES, plan.word_bytes, plan.image, (("r_req", "r_rsp"),), ("w",), style.latency, style.stall,
    )  # fmt: skip
    writes = sum(len(w) for w in plan.writes)
    return Scenario(
        name=style.name,
        agents=(Drive("par", par, 0.1), Drive("cmd", commands, style.stall), memory),
        until={"done": len(commands)},
        judge=lambda seen: _judge(seen, plan, style),
        transactions=_transfers(plan),
        max_cycles=len(par) * 2 + 2000 + 4 * sum(_cycle_limit(i, plan.dot) for i in plan.commands),
        seed=seed,
        reset_after=("w", writes // 2) if style.reset else None,
    )


def _transfers(plan: _Plan) -> int:
    return sum(len(w) for w in plan.writes) + sum(len(s) for s in plan.scales) + len(plan.commands)


def _params(rng: np.random.Generator, entries: int) -> list[RequantParams]:
    return [random_param(rng, NORM_BITS if rng.random() < 0.7 else ADD_BITS) for _ in range(entries)]


def _par_beats(params: Sequence[RequantParams], plan: _Plan) -> list[Beat]:
    """Writes of the whole parameter memory, in random order."""
    space = b"".join(encode_param(p).to_bytes(8, "little") for p in params)
    size = plan.word_bytes
    order = plan.rng.permutation(len(space) // size)
    return [Beat({"addr": int(w), "data": int.from_bytes(space[w * size : (w + 1) * size], "little")}) for w in order]


def _add_instruction(plan: _Plan, style: _Style, entries: int) -> None:
    """Append one random instruction and what it must do."""
    rng = plan.rng
    op = str(rng.choice(style.ops))
    blocks, cols = int(rng.integers(1, 5)), int(rng.integers(style.cols[0], style.cols[1] + 1))
    if op == "LAYERNORM":
        cols = min(cols, entries)
    if plan.previous and rng.random() < 0.3:
        a, blocks, cols = plan.previous
        cols = min(cols, entries) if op == "LAYERNORM" else cols
    else:
        a = _allocate(plan, blocks, cols, fill=True)
    b = _second(plan, a, blocks, cols) if op == "ADD" else _Region(int(rng.integers(0, ADDRESSES)), 7)
    choices = [a, b] if op == "ADD" and b.stride else [a]
    out = choices[int(rng.integers(len(choices)))] if rng.random() < 0.4 else _allocate(plan, blocks, cols, fill=False)
    p_addr = int(rng.integers(0, entries - (cols if op == "LAYERNORM" else 1)) if cols < entries else 0)
    operands = {
        "a_addr": a.addr, "b_addr": b.addr, "o_addr": out.addr, "row_blocks": blocks, "cols": cols,
        "a_stride": a.stride, "b_stride": b.stride, "o_stride": out.stride, "p_addr": p_addr,
        "r_addr": int(rng.integers(0, 4096)), "frac": int(rng.integers(2, 6)),
    }  # fmt: skip
    instruction = isa.Instruction(op, operands)
    plan.commands.append(instruction)
    plan.previous = (out, blocks, cols)
    _execute(plan, instruction)


def _allocate(plan: _Plan, blocks: int, cols: int, fill: bool) -> _Region:
    """Unused words for `blocks` row-blocks at a random stride; random bytes in them, beyond `cols` too."""
    words = plan.words(cols)
    region = _Region(plan.cursor, words + int(plan.rng.integers(0, 4)))
    plan.cursor = (plan.cursor + blocks * region.stride + int(plan.rng.integers(0, 50))) % ADDRESSES
    if fill:
        for i in range(blocks):
            for w in range(words):
                address = (region.addr + i * region.stride + w) % ADDRESSES
                plan.image[address] = plan.memory[address] = int.from_bytes(plan.rng.bytes(plan.word_bytes), "little")
    return region


def _second(plan: _Plan, a: _Region, blocks: int, cols: int) -> _Region:
    """ADD's second operand: other words, the first operand itself, or one row-block for all (stride 0)."""
    kind = plan.rng.random()
    if kind < 0.1:
        return a
    if kind < 0.25:
        return _Region(_allocate(plan, 1, cols, fill=True).addr, 0)
    return _allocate(plan, blocks, cols, fill=True)


def _execute(plan: _Plan, instruction: isa.Instruction) -> None:
    """Run `instruction` on the golden memory, noting its writes and row scales."""
    o = instruction.operands
    writes: list[tuple[int, int]] = []
    scales: list[Payload] = []
    for i in range(o["row_blocks"]):
        a = _read(plan, o["a_addr"] + i * o["a_stride"], o["cols"])
        b = _read(plan, o["b_addr"] + i * o["b_stride"], o["cols"]) if instruction.op == "ADD" else a
        result, scale = _compute(plan, instruction, a, b)
        if scale is not None:
            scales.append({"addr": (o["r_addr"] + i) % 4096, "data": scale})
        data = pack(result, plan.tile, plan.dot)
        for w in range(plan.words(o["cols"])):
            word = int.from_bytes(data[w * plan.word_bytes : (w + 1) * plan.word_bytes], "little")
            writes.append(((o["o_addr"] + i * o["o_stride"] + w) % ADDRESSES, word))
        plan.memory.update(writes)
    plan.writes.append(writes)
    plan.scales.append(scales)


def _read(plan: _Plan, addr: int, cols: int) -> Int:
    words = [plan.memory[(addr + w) % ADDRESSES] for w in range(plan.words(cols))]
    data = b"".join(word.to_bytes(plan.word_bytes, "little") for word in words)
    return unpack(data, plan.tile, cols, plan.tile, plan.dot)


def _compute(plan: _Plan, instruction: isa.Instruction, a: Int, b: Int) -> tuple[Int, int | None]:
    """The result of one row-block and, for SOFTMAX, its row-scale entry."""
    o = instruction.operands
    if instruction.op == "SOFTMAX":
        p, scale = softmax(a, o["frac"])
        rows = zip(scale.mult, scale.shift, strict=True)
        return p, sum((int(m) | int(s) << 16) << 24 * r for r, (m, s) in enumerate(rows))
    if instruction.op == "ADD":
        return add_requantize(a, b, plan.params[o["p_addr"]], plan.params[o["p_addr"] + 1]), None
    used = plan.params[o["p_addr"] : o["p_addr"] + o["cols"]]
    mult, bias, shift = (np.array([getattr(p, name) for p in used]) for name in ("mult", "bias", "shift"))
    return layernorm(a, mult, bias, shift), None


def _judge(seen: Observed, plan: _Plan, style: _Style) -> list[Mismatch]:
    vectors = [_describe(i, plan) for i in plan.commands]
    wrong = _wrong_writes(seen, plan, vectors) or _wrong_scales(seen, plan, vectors) or _wrong_done(seen, plan, vectors)
    return wrong or (_slow(seen, plan, vectors) if style.stall == 0 else [])


def _describe(instruction: isa.Instruction, plan: _Plan) -> str:
    operands = " ".join(f"{name}={value}" for name, value in instruction.operands.items())
    return f"{instruction.op} {operands} (T={plan.tile}, D={plan.dot})"


def _wrong_writes(seen: Observed, plan: _Plan, vectors: Sequence[str]) -> list[Mismatch]:
    """The first word of an instruction that was not written exactly once, whole and right. Order within one is free."""
    transfers, at, full = seen.transfers["w"], 0, (1 << plan.word_bytes) - 1
    for expected, vector in zip(plan.writes, vectors, strict=True):
        due = dict(expected)
        for index in range(at, min(at + len(expected), len(transfers))):
            beat = transfers[index].payload
            want = due.pop(beat["addr"], None)
            if (beat["data"], beat["strb"]) != (want, full):
                due_word = "an address not yet written" if want is None else show({"data": want, "strb": full})
                return [Mismatch("w", index, transfers[index].cycle, due_word, show(beat), vector)]
        if due:
            return [Mismatch("w", len(transfers), -1, f"a write to 0x{next(iter(due)):x}", "nothing", vector)]
        at += len(expected)
    if len(transfers) > at:
        return [Mismatch("w", at, transfers[at].cycle, "nothing", "a write", "after the last instruction")]
    return []


def _wrong_scales(seen: Observed, plan: _Plan, vectors: Sequence[str]) -> list[Mismatch]:
    expected = [payload for scales in plan.scales for payload in scales]
    causes = [v for v, scales in zip(vectors, plan.scales, strict=True) for _ in scales]
    return compare_stream("rs", seen.transfers["rs"], expected, causes)


def _wrong_done(seen: Observed, plan: _Plan, vectors: Sequence[str]) -> list[Mismatch]:
    """`done` once an instruction, after its last write and row scale, and not before it was accepted."""
    done = seen.transfers["done"]
    wrong = compare_stream("done", done, [{}] * len(vectors), vectors)
    writes = np.cumsum([len(w) for w in plan.writes])
    scales = np.cumsum([len(s) for s in plan.scales])
    for index, pulse in enumerate(done[: len(vectors)]):
        causes = [seen.transfers["cmd"][index], seen.transfers["w"][writes[index] - 1]]
        if scales[index]:
            causes.append(seen.transfers["rs"][scales[index] - 1])
        last = max(cause.cycle for cause in causes)
        if not wrong and pulse.cycle < last:
            wrong = [
                Mismatch("done", index, pulse.cycle, f"after cycle {last}, its last write", "before", vectors[index])
            ]
    return wrong


def _cycle_limit(instruction: isa.Instruction, dot: int) -> int:
    """Cycles from command to `done` the contract allows while the memory refuses nothing."""
    o = instruction.operands
    rate = 2 if instruction.op == "ADD" and dot == 1 else 1
    return o["row_blocks"] * (PASSES[instruction.op] * rate * o["cols"] + BLOCK_LIMIT) + DONE_LIMIT


def _slow(seen: Observed, plan: _Plan, vectors: Sequence[str]) -> list[Mismatch]:
    """The first instruction that took longer than the contract allows."""
    for index, instruction in enumerate(plan.commands):
        begin, end = seen.transfers["cmd"][index].cycle, seen.transfers["done"][index].cycle
        limit = _cycle_limit(instruction, plan.dot)
        if end - begin > limit:
            return [Mismatch("done", index, end, f"within {limit} cycles", f"{end - begin} cycles", vectors[index])]
    return []
