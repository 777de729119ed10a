"""Measures a design's timing constants by running microprograms on its RTL.

Every figure is a period: the cycles that `REPEATS` more copies of a body add to a run. Bodies of independent
instructions give what an instruction occupies, chains of dependent ones its latency to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hwlib import isa
from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from mfm.program.builder import ProgramBuilder
from mfm.run.cycles import simulate_stream
from mfm.run.timing import Timing, later_writes
from verification.system.simulation import MemoryModel, Simulation, open_simulation

REPEATS = 8
PROGRAM_ADDR = 1 << 20
LATENCY = 10
FAR_LATENCIES = (200, 400)
LONG_BEATS = 128
BACKLOGS = range(0, 513, 16)
FAMILIES: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "SOFTMAX": (("SOFTMAX", ("CAUSAL",)),),
    "LAYERNORM": (("RMSNORM", ()),),
    "ADD": (("MUL", ()), ("ROPE", ())),
}
"""Vector instructions, and those that share their constants."""
Body = Callable[[ProgramBuilder, int], None]


@dataclass(frozen=True)
class Calibration:
    """The constants found, by name, for `design.yaml`'s `timing`."""

    timing: dict[str, float]


class _Bench:
    """Microprograms of one design. Addresses stay within the smallest legal scratchpad's proportions."""

    def __init__(self, simulation: Simulation, manifest: Manifest) -> None:
        self.simulation, self.manifest = simulation, manifest
        self.words = manifest.parameters["WORDS"]
        self.half = self.words // 2
        self.k = max(manifest.tile, min(64, self.words // 8))

    def period(self, body: Body, repeats: int = REPEATS) -> float:
        """Cycles a copy of `body` adds once the machine is in its stride."""
        return (self._cycles(body, 2 * repeats) - self._cycles(body, repeats)) / repeats

    def _cycles(self, body: Body, copies: int) -> int:
        builder = ProgramBuilder(self.manifest)
        for copy in range(copies):
            body(builder, copy)
        return self.cycles(builder.finish())

    def cycles(self, stream: Sequence[isa.Instruction]) -> int:
        """Cycles of a run of `stream`, by the design's own counter."""
        code = b"".join(isa.encode(i).to_bytes(isa.INSTRUCTION_BYTES, "little") for i in stream)
        self.simulation.write(PROGRAM_ADDR, code)
        result = self.simulation.run(PROGRAM_ADDR, 10_000_000)
        if result.status != "done":
            raise InputError(
                f"a microprogram ended with {result.status}", self.manifest.name, "verify the design first"
            )
        return result.counters["cycles"]

    def gemm(self, chain: bool = False, flags: tuple[str, ...] = (), k: int = 0, tiles: int = 1) -> Body:
        """A GEMM of one row-block and `tiles` column tiles; `chain` makes it read what the one before wrote."""
        k = k or self.k
        out = 0 if chain else self.half

        def body(builder: ProgramBuilder, copy: int) -> None:
            strides = {"a_stride": k, "b_stride": 0, "o_stride": k}
            fixed = {"m_tiles": 1, "n_tiles": tiles, "k_words": k, "p_addr": 0, "r_addr": 0, "act_table": 0, "gain": 0}
            builder.emit("GEMM", {"a_addr": 0, "b_addr": k, "o_addr": out} | strides | fixed, flags)

        return body

    def vector(self, op: str, blocks: int, cols: int, chain: bool = False, flags: tuple[str, ...] = ()) -> Body:
        """A vector instruction; `chain` makes it work in place. Second planes, and the causal limit, are at `span`."""
        words = -(-cols // self.manifest.dot)

        def body(builder: ProgramBuilder, copy: int) -> None:
            operands = {f"{name}_stride": words for name in "abo"} | {"frac": 3, "p_addr": 0, "r_addr": 0}
            operands |= {"a_addr": 0, "b_addr": 0, "o_addr": 0 if chain else self.half}
            builder.emit(op, operands | {"row_blocks": blocks, "cols": cols, "span": words}, flags)

        return body

    def transfer(self, op: str, rows: int, row_words: int, local: int = 0) -> Body:
        """A LOAD or STORE between scratchpad word `local` and memory, rows apart by a burst."""

        def body(builder: ProgramBuilder, copy: int) -> None:
            pitch = 2 * row_words * self.manifest.word_bytes
            operands = {"dram_addr": 0, "local_addr": local, "rows": rows, "row_words": row_words}
            builder.emit(op, operands | {"dram_stride": pitch, "local_stride": row_words, "space": 0})

        return body


def _both(first: Body, second: Body) -> Body:
    def body(builder: ProgramBuilder, copy: int) -> None:
        first(builder, copy)
        second(builder, copy)

    return body


def calibrate(design: Design) -> Calibration:
    """Measure every constant of `Timing` on `design`. Raises InputError if it does not build or run."""
    with open_simulation(design, MemoryModel(latency=LATENCY)) as simulation:
        bench = _Bench(simulation, design.manifest)
        found = _fetch(bench) | _vector(bench)
        found |= _matrix(bench, found["retire"])
        for kind in ("load", "store"):
            found |= _transfer(bench, kind, found)
        bench.simulation.set_memory(MemoryModel(latency=LATENCY))
        found |= _backlog(bench, found)
    return Calibration({name: round(value, 3) for name, value in found.items()})


def _fetch(bench: _Bench) -> dict[str, float]:
    """From the decode interval at long latencies, and behind a long load."""
    default, beats = Timing(), isa.INSTRUCTION_BYTES / bench.manifest.parameters["AXI_BYTES"]
    tiny = bench.gemm(flags=("HOLD",), k=1)
    times = []
    for latency in FAR_LATENCIES:
        bench.simulation.set_memory(MemoryModel(latency=latency))
        times.append(bench.period(tiny, 8 * REPEATS))
    bench.simulation.set_memory(MemoryModel(latency=LATENCY))
    slope = (times[1] - times[0]) / (FAR_LATENCIES[1] - FAR_LATENCIES[0])
    window = min(64.0, max(default.fetch_group, round(1 / max(slope, 1e-3))))
    group = default.fetch_group * beats
    fixed = max(0.0, times[0] * window - FAR_LATENCIES[0] - group)
    return {"fetch": fixed, "fetch_window": window}


def _backlog(bench: _Bench, found: dict[str, float]) -> dict[str, float]:
    """The backlog with which the model best tells when the last of many tiny instructions behind long loads is decoded.

    A softmax that waits for it, and outlasts the loads, makes that the length of the run.
    """
    builder = ProgramBuilder(bench.manifest)
    words, m = bench.half // 4, bench.manifest
    beats = 4 * words * m.word_bytes // m.parameters["AXI_BYTES"]
    for copy in range(4):
        bench.transfer("LOAD", 1, words, bench.half + copy * words)(builder, copy)
    for copy in range(min(48, beats // 40)):
        bench.gemm(flags=("HOLD",), k=1)(builder, copy)
    cols = min(64, words * m.dot)
    bench.vector("SOFTMAX", 1 + beats // cols, cols, chain=True)(builder, 0)
    stream = builder.finish()
    measured = bench.cycles(stream)

    def model(backlog: int) -> int:
        timing = found | {"read_backlog": float(backlog)}
        return simulate_stream(stream, bench.manifest.model_copy(update={"timing": timing}), LATENCY).cycles

    return {"read_backlog": float(min(BACKLOGS, key=lambda b: (abs(model(b) - measured), b)))}


def _matrix(bench: _Bench, retire: float) -> dict[str, float]:
    p, k, default = bench.manifest.parameters, bench.k, Timing()
    short, long = bench.period(bench.gemm(k=k)), bench.period(bench.gemm(k=2 * k))
    beat = (long - short) / k
    tiles = bench.period(bench.gemm(tiles=4))
    tile = max(0.0, (tiles - short) / 3 - k * beat)
    chain = bench.period(bench.gemm(chain=True))
    acted = bench.period(bench.gemm(chain=True, flags=("ACT",)))
    latency = chain - k * beat - tile - p["T"] - later_writes(bench.manifest) - default.matrix_start - retire
    act = acted - chain - (p["T"] * p["T"] / p["ACT_LANES"] - p["T"])
    return {
        "matrix_beat": beat,
        "matrix_tile": tile,
        "matrix_gap": max(0.0, short - k * beat - tile),
        "matrix_done": latency,
        "matrix_act": act,
    }


def _vector(bench: _Bench) -> dict[str, float]:
    """From one and two row-blocks of three widths; and `retire`, by which a dependent chain is slower.

    What instructions of a family take alike is the slowest's.
    """
    dot, result = bench.manifest.dot, dict[str, float]()
    most = min(64, bench.half // 4 * dot, bench.manifest.parameters["VECTOR_PARAMS"] // dot * dot)
    few, some = dot * max(1, most // (16 * dot)), dot * max(1, most // (4 * dot))
    for op, family in FAMILIES.items():
        one = {cols: bench.period(bench.vector(op, 1, cols)) for cols in (few, some, most)}
        extra = {cols: bench.period(bench.vector(op, 2, cols)) - one[cols] for cols in (few, some)}
        column = (one[most] - one[some]) / (most - some)
        share = (extra[some] - extra[few]) / (some - few)
        slowest = max([one[most], *(bench.period(bench.vector(name, 1, most, flags=flags)) for name, flags in family)])
        figures = {
            "fixed": slowest - column * most,
            "column": column,
            "share": share,
            "block": extra[few] - share * few,
        }
        result |= {f"{op.lower()}_{name}": value for name, value in figures.items()}
        result["retire"] = bench.period(bench.vector(op, 1, most, chain=True)) - one[most]
    return result | {"add_wide": _wide(bench, few)}


def _wide(bench: _Bench, cols: int) -> float:
    """What int16 results cost; int16 operands cost as much, and beats where a word is short."""
    narrow, wide = (bench.period(bench.vector("ADD", 1, cols, flags=flags)) for flags in ((), ("WIDE_OUT",)))
    return max(0.0, wide - narrow)


def _transfer(bench: _Bench, kind: str, found: dict[str, float]) -> dict[str, float]:
    """From back-to-back transfers, short and long, at latencies that show how many are in progress at once."""
    op, m, start = kind.upper(), bench.manifest, getattr(Timing(), f"{kind}_start")
    beats_word = m.word_bytes / m.parameters["AXI_BYTES"]
    words = min(bench.half // 8, max(1, int(LONG_BEATS / beats_word)))
    beats = words * beats_word
    gap = bench.period(bench.transfer(op, 1, words)) - beats
    row = (bench.period(bench.transfer(op, 4, words)) - beats - gap) / 3 - beats
    chain = bench.period(_chain(bench, op, words)) - _gemm_latency(bench, found)
    short, long = [], []
    for latency in FAR_LATENCIES:
        bench.simulation.set_memory(MemoryModel(latency=latency))
        short.append(bench.period(bench.transfer(op, 1, 1)))
        long.append(bench.period(bench.transfer(op, 8, words)) - bench.period(bench.transfer(op, 4, words)))
    bench.simulation.set_memory(MemoryModel(latency=LATENCY))
    span = FAR_LATENCIES[1] - FAR_LATENCIES[0]
    per_beat = (long[1] - long[0]) / (4 * beats * span)
    return {
        f"{kind}_gap": max(0.0, gap if kind == "load" else min(gap, start)),
        f"{kind}_row": max(0.0, row),
        f"{kind}_start": start,
        f"{kind}_done": chain - LATENCY - beats - start - found["retire"],
        f"{kind}_depth": float(max(1, round(span / max(short[1] - short[0], 1e-3)))),
        f"{kind}_window": min(4096.0, 1 / max(per_beat, 1e-6)),
    }


def _chain(bench: _Bench, op: str, words: int) -> Body:
    """A transfer and a GEMM, each waiting for the other: through the operand (LOAD) or the result (STORE)."""
    k = bench.manifest.tile
    local = 0 if op == "LOAD" else bench.half
    return _both(bench.transfer(op, 1, words, local), bench.gemm(k=k))


def _gemm_latency(bench: _Bench, found: dict[str, float]) -> float:
    """Issue to dependents' issue of the GEMM in `_chain`."""
    t, tile = Timing(), bench.manifest.tile
    work = tile * found["matrix_beat"] + found["matrix_tile"]
    return t.matrix_start + work + tile + later_writes(bench.manifest) + found["matrix_done"] + found["retire"]
