"""Bench of `vector_unit`: random instructions of every kind over a memory, against the golden functions.

The judge compares every written word (address, bytes, exactly once), the row scales, and when `done` comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hwlib import isa
from hwlib.numerics import (
    RequantParams,
    add_requantize,
    causal,
    join_planes,
    layernorm,
    mul_requantize,
    pack,
    rmsnorm,
    rope,
    softmax,
    split_planes,
    unpack,
)
from hwlib.numerics.requantize import encode_param
from verification.benches.row_blocks import lower_param, random_param, upper_param
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
PARAM_BITS = (11, 11, 8, 14, 16)
"""Sizes of the values that parameters bring to int8: normalised, sums, products and wide sums."""
UPPER_SHARE, LOWER_SHARE = 0.15, 0.15
"""Of parameter entries that show a sum's upper bits, and its lower ones."""
UPPER_SHIFT, UPPER_USED = 27, 0.4
"""Entries of at least so great a shift are used by this share of the element-wise instructions."""
FAR_TRIES, SOON = 8, 1 << 14
FAR_SHARE = 0.3
"""Of second operands whose row-blocks lie anywhere."""
NORMS = ("LAYERNORM", "RMSNORM")
TWO_PASSES = (*NORMS, "SOFTMAX")
WIDE_KINDS = ("ADD WIDE", "ADD WIDE_OUT", "ADD WIDE WIDE_OUT")
KINDS = (*NORMS, "SOFTMAX", "SOFTMAX CAUSAL", "ADD", "MUL", "ROPE", *WIDE_KINDS)
"""Opcodes with their flags."""
PLANES = 3
"""Planes of a group that has wide operands: two neighbours, and one more that an output in place may use."""


@dataclass(frozen=True)
class _Style:
    """How a scenario differs: kinds used, memory latency and refusals, sizes, a reset, `least` transfers."""

    name: str
    kinds: tuple[str, ...] = KINDS
    latency: tuple[int, int] = (1, 4)
    stall: float = 0.0
    cols: tuple[int, int] = (1, 40)
    blocks: int = 4
    reset: bool = False
    least: int = 0


STYLES = (
    _Style("norms", NORMS, (4, 4)),
    _Style("softmax", ("SOFTMAX", "SOFTMAX CAUSAL"), (3, 3)),
    _Style("elements", ("ADD", "MUL", "ROPE"), (4, 4), least=200),
    _Style("wide", WIDE_KINDS, (4, 4), least=200),
    _Style("mixed", latency=(1, 4), stall=0.3),
    _Style("slow-memory", latency=(1, 12), stall=0.6, cols=(1, 12)),
    _Style("long-rows", latency=(1, 1), cols=(100, 130), blocks=2),
    _Style("sustained", WIDE_KINDS[2:], (1, 1), cols=(1400, 1500), blocks=1),
    _Style("reset", latency=(1, 4), stall=0.2, reset=True),
)


@dataclass(frozen=True)
class _Group:
    """Row-blocks of one or more planes in memory: plane k begins at word ``addr + k*span``; `stride` words between
    row-blocks. near: planes of a row-block lie side by side, else a plane's row-blocks do."""

    addr: int
    stride: int
    span: int
    planes: int
    near: bool = False

    def plane(self, k: int) -> int:
        return (self.addr + k * self.span) % ADDRESSES

    def part(self, k: int, planes: int) -> _Group:
        """`planes` planes from k on."""
        return _Group(self.plane(k), self.stride, self.span, planes, self.near)


@dataclass
class _Plan:
    """A program under construction with the memory it leaves behind and the transfers it must cause."""

    rng: np.random.Generator
    tile: int
    dot: int
    params: Sequence[RequantParams]
    cursor: int
    image: dict[int, int] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=dict)
    commands: list[isa.Instruction] = field(default_factory=list)
    writes: list[list[tuple[int, int]]] = field(default_factory=list)
    scales: list[list[Payload]] = field(default_factory=list)
    used: int = 0
    previous: tuple[_Group, int, int] | None = None

    @property
    def word_bytes(self) -> int:
        return self.tile * self.dot

    def words(self, cols: int) -> int:
        return -(-cols // self.dot)


def scenarios(point: Mapping[str, int], seed: int, transactions: int) -> list[Scenario]:
    """Kinds of instructions by themselves, all mixed, slow memory, long rows, and a reset in mid-flight."""
    count = max(20, -(-transactions // len(STYLES)))
    return [_scenario(style, point, max(count, style.least), seed * len(STYLES) + i) for i, style in enumerate(STYLES)]


def _scenario(style: _Style, point: Mapping[str, int], count: int, seed: int) -> Scenario:
    rng = np.random.default_rng(seed)
    params = _params(rng, point["PARAMS"])
    plan = _Plan(rng, point["T"], point["D"], params, int(rng.integers(0, ADDRESSES)))
    while not plan.commands or _transfers(plan) < count:
        for kind in rng.permutation(style.kinds):
            _add_instruction(plan, style, str(kind))
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
    ordinary = [random_param(rng, int(rng.choice(PARAM_BITS))) for _ in range(entries)]
    kinds = rng.random(entries)
    return [upper_param(rng) if kind < UPPER_SHARE else lower_param(rng) if kind > 1 - LOWER_SHARE else each
            for each, kind in zip(ordinary, kinds, strict=True)]  # fmt: skip


def _par_beats(params: Sequence[RequantParams], plan: _Plan) -> list[Beat]:
    """Writes of the whole parameter memory, in random order."""
    space = b"".join(encode_param(p).to_bytes(8, "little") for p in params)
    size = plan.word_bytes
    order = plan.rng.permutation(len(space) // size)
    return [Beat({"addr": int(w), "data": int.from_bytes(space[w * size : (w + 1) * size], "little")}) for w in order]


def _add_instruction(plan: _Plan, style: _Style, kind: str) -> None:
    """Append a random instruction of `kind` and what it must do."""
    rng, (op, *flags) = plan.rng, kind.split()
    blocks, cols, source = _source(plan, style, op, flags)
    a = source.part(int(rng.integers(source.planes - ("WIDE" in flags))), 1)
    b = _second(plan, source, blocks, cols)
    out = _output(plan, (source, b), blocks, cols, flags)
    span = source.span if "WIDE" in flags else out.span if "WIDE_OUT" in flags else _valid(rng, plan.tile, cols)
    entries = len(plan.params)
    uppers = [] if op in NORMS else [n for n, p in enumerate(plan.params[:-1]) if p.shift >= UPPER_SHIFT]
    operands = {
        "a_addr": a.addr, "b_addr": b.addr, "o_addr": out.addr, "row_blocks": blocks, "cols": cols,
        "a_stride": a.stride, "b_stride": b.stride, "o_stride": out.stride,
        "p_addr": int(rng.choice(uppers)) if uppers and rng.random() < UPPER_USED
        else int(rng.integers(0, entries - (cols if op in NORMS else 2) + 1)),
        "r_addr": int(rng.integers(0, 4096)), "frac": int(rng.integers(2, 6)), "span": span,
    }  # fmt: skip
    instruction = isa.Instruction(op, operands, frozenset(flags))
    plan.commands.append(instruction)
    plan.previous = (out, blocks, cols)
    _execute(plan, instruction)


def _source(plan: _Plan, style: _Style, op: str, flags: Sequence[str]) -> tuple[int, int, _Group]:
    """Row-blocks, columns, and the first operand's words: new ones, or the output of the instruction before."""
    rng = plan.rng
    if plan.previous and rng.random() < 0.3:
        source, blocks, cols = plan.previous
        fits = cols <= len(plan.params) if op in NORMS else op != "ROPE" or cols % 2 == 0
        if fits and ("WIDE" not in flags or source.planes > 1):
            return blocks, cols, source
    blocks, cols = int(rng.integers(1, style.blocks + 1)), int(rng.integers(style.cols[0], style.cols[1] + 1))
    if op in NORMS:
        cols = min(cols, len(plan.params))
    elif op == "ROPE":
        cols += cols % 2
    return blocks, cols, _allocate(plan, blocks, cols, PLANES if set(flags) & {"WIDE", "WIDE_OUT"} else 1)


def _allocate(plan: _Plan, blocks: int, cols: int, planes: int, like: _Group | None = None) -> _Group:
    """Unused words for `blocks` row-blocks at a random stride; random bytes in them, beyond `cols` too.

    With `like` the planes are as far apart, in the same direction, as that group's.
    """
    rng, words = plan.rng, plan.words(cols)
    near = like.near if like else rng.random() < 0.3
    apart = words + int(rng.integers(0, 3)) if near else blocks * (words + 3) + int(rng.integers(0, 20))
    span = like.span if like else apart * int(rng.choice([-1, 1])) % ADDRESSES
    apart = min(span, ADDRESSES - span)
    stride = PLANES * apart + int(rng.integers(0, 4)) if near else words + int(rng.integers(0, 4))
    size = (blocks * stride if near else 0) + planes * apart + int(rng.integers(0, 50))
    while True:
        start = plan.cursor if span == apart else plan.cursor + (planes - 1) * apart
        group = _Group(start % ADDRESSES, stride, span, planes, near)
        inside = [
            (group.plane(k) + i * stride + w) % ADDRESSES
            for k in range(planes) for i in range(blocks) for w in range(words)
        ]  # fmt: skip
        taken = any(address in plan.image for address in inside)
        step = words if taken else size
        plan.cursor, plan.used = (plan.cursor + step) % ADDRESSES, plan.used + step
        if plan.used > ADDRESSES:
            raise AssertionError("a scenario's operands do not fit the memory")
        if not taken:
            break
    for address in inside:
        plan.image[address] = plan.memory[address] = int.from_bytes(rng.bytes(plan.word_bytes), "little")
    return group


def _second(plan: _Plan, source: _Group, blocks: int, cols: int) -> _Group:
    """The second operand: other words, a plane beside the first operand, or one row-block for all (stride 0)."""
    kind = plan.rng.random()
    if kind < 0.15:
        return source.part(int(plan.rng.integers(source.planes)), 1)
    if kind < 0.3:
        return _Group(_allocate(plan, 1, cols, 1).addr, 0, 0, 1)
    if source.planes == 1 and plan.used < SOON and kind < 0.3 + FAR_SHARE:
        return _anywhere(plan, blocks, cols) or _allocate(plan, blocks, cols, 1, source)
    return _allocate(plan, blocks, cols, source.planes, source if source.span else None)


def _anywhere(plan: _Plan, blocks: int, cols: int) -> _Group | None:
    """Row-blocks at any start and stride whose words are not used, nor behind the cursor where they might soon be."""
    for _ in range(FAR_TRIES):
        start, stride = (int(plan.rng.integers(ADDRESSES)) for _ in range(2))
        words = [(start + i * stride + w) % ADDRESSES for i in range(blocks) for w in range(plan.words(cols))]
        free = not any(word in plan.image or (word - plan.cursor) % ADDRESSES < SOON for word in words)
        if free and len(set(words)) == len(words):
            for word in words:
                plan.image[word] = plan.memory[word] = int.from_bytes(plan.rng.bytes(plan.word_bytes), "little")
            return _Group(start, stride, 0, 1)
    return None


def _output(plan: _Plan, operands: Sequence[_Group], blocks: int, cols: int, flags: Sequence[str]) -> _Group:
    """Where the output goes: into planes of an operand's group, the operand's own among them, or to other words."""
    planes = 1 + ("WIDE_OUT" in flags)
    places = [group for group in operands if group.stride and group.planes >= planes]
    if places and plan.rng.random() < 0.5:
        group = places[int(plan.rng.integers(len(places)))]
        return group.part(int(plan.rng.integers(group.planes - planes + 1)), planes)
    return _allocate(plan, blocks, cols, planes, operands[0] if "WIDE" in flags else None)


def _valid(rng: np.random.Generator, tile: int, cols: int) -> int:
    """Valid elements of row 0 under a causal mask: few, around the row's end, far beyond, or so many that adding rows
    overflows."""
    beyond = int(rng.integers(1, 16)) << 12 | int(rng.integers(0, cols))
    overflows = (1 << 16) - int(rng.integers(1, tile + 1))
    inside = int(rng.integers(1, cols + 1))
    return int(rng.choice([1, tile, inside, inside, cols, 4095, beyond, beyond, overflows, overflows]))


def _execute(plan: _Plan, instruction: isa.Instruction) -> None:
    """Run `instruction` on the golden memory, noting its writes and row scales."""
    o, flags = instruction.operands, instruction.flags
    writes: list[tuple[int, int]] = []
    scales: list[Payload] = []
    for i in range(o["row_blocks"]):
        at = o["a_addr"] + i * o["a_stride"]
        a = _read(plan, at, o["cols"])
        if "WIDE" in flags:
            a = join_planes(a, _read(plan, at + o["span"], o["cols"]))
        b = _read(plan, o["b_addr"] + i * o["b_stride"], o["cols"])
        result, scale = _compute(plan, instruction, a, b, i)
        if scale is not None:
            scales.append({"addr": (o["r_addr"] + i) % 4096, "data": scale})
        planes = split_planes(result) if "WIDE_OUT" in flags else (result,)
        for k, plane in enumerate(planes):
            writes += _words(plan, o["o_addr"] + i * o["o_stride"] + k * o["span"], plane)
        plan.memory.update(writes)
    plan.writes.append(writes)
    plan.scales.append(scales)


def _words(plan: _Plan, address: int, plane: Int) -> list[tuple[int, int]]:
    """(address, word) of a row-block's plane that begins at `address`."""
    data, size = pack(plane, plan.tile, plan.dot), plan.word_bytes
    words = (int.from_bytes(data[at : at + size], "little") for at in range(0, len(data), size))
    return [((address + w) % ADDRESSES, word) for w, word in enumerate(words)]


def _read(plan: _Plan, addr: int, cols: int) -> Int:
    words = [plan.memory[(addr + w) % ADDRESSES] for w in range(plan.words(cols))]
    data = b"".join(word.to_bytes(plan.word_bytes, "little") for word in words)
    return unpack(data, plan.tile, cols, plan.tile, plan.dot)


def _compute(plan: _Plan, instruction: isa.Instruction, a: Int, b: Int, block: int) -> tuple[Int, int | None]:
    """The result of row-block number `block` and, for SOFTMAX, its row-scale entry."""
    o = instruction.operands
    if instruction.op == "SOFTMAX":
        masked = "CAUSAL" in instruction.flags
        counted = causal(plan.tile, o["cols"], o["span"] + block * plan.tile) if masked else None
        p, scale = softmax(a, o["frac"], counted)
        rows = zip(scale.mult, scale.shift, strict=True)
        return p, sum((int(m) | int(s) << 16) << 24 * r for r, (m, s) in enumerate(rows))
    if instruction.op in NORMS:
        used = plan.params[o["p_addr"] : o["p_addr"] + o["cols"]]
        mult, bias, shift = (np.array([getattr(p, name) for p in used]) for name in ("mult", "bias", "shift"))
        return (layernorm if instruction.op == "LAYERNORM" else rmsnorm)(a, mult, bias, shift), None
    first = plan.params[o["p_addr"]]
    if instruction.op == "ADD":
        return add_requantize(a, b, first, plan.params[o["p_addr"] + 1], "WIDE_OUT" in instruction.flags), None
    return (mul_requantize if instruction.op == "MUL" else rope)(a, b, first), None


def _judge(seen: Observed, plan: _Plan, style: _Style) -> list[Mismatch]:
    vectors = [_describe(i, plan) for i in plan.commands]
    wrong = _wrong_writes(seen, plan, vectors) or _wrong_scales(seen, plan, vectors) or _wrong_done(seen, plan, vectors)
    return wrong or (_slow(seen, plan, vectors) if style.stall == 0 else [])


def _describe(instruction: isa.Instruction, plan: _Plan) -> str:
    operands = " ".join(f"{name}={value}" for name, value in instruction.operands.items())
    return f"{' '.join((instruction.op, *sorted(instruction.flags)))} {operands} (T={plan.tile}, D={plan.dot})"


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
    if instruction.op in TWO_PASSES:
        cycles = 2 * o["cols"]
    else:
        words = 2 + ("WIDE" in instruction.flags)  # read for D columns; at most 2 are written
        cycles = -(-o["cols"] * max(words, dot) // dot)
    return o["row_blocks"] * (cycles + BLOCK_LIMIT) + DONE_LIMIT


def _slow(seen: Observed, plan: _Plan, vectors: Sequence[str]) -> list[Mismatch]:
    """The first instruction that took longer than the contract allows."""
    for index, instruction in enumerate(plan.commands):
        begin, end = seen.transfers["cmd"][index].cycle, seen.transfers["done"][index].cycle
        limit = _cycle_limit(instruction, plan.dot)
        if end - begin > limit:
            return [Mismatch("done", index, end, f"within {limit} cycles", f"{end - begin} cycles", vectors[index])]
    return []
