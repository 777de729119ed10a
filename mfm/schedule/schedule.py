"""From an integer graph and a manifest to a Program: candidate schedules, judged by the cycle model."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.isa import INSTRUCTION_BYTES
from mfm.compress.integer import IntegerGraph, QAttention, QGemm
from mfm.program.builder import ProgramBuilder
from mfm.program.program import TARGET_PARAMETERS, Program
from mfm.run.cycles import run_cycles
from mfm.schedule.lower import Choices, Lowering
from mfm.schedule.order import program_order
from mfm.schedule.panels import Memory
from mfm.schedule.residency import Hopeless, residency

EFFORT = 22_000
"""Instructions the search may emit over the schedules it tries at a level: bounds its time on every machine alike."""
LADDER_BYTES = 65_536
"""The least scratchpad searched on the way to a larger one."""
LEVELS = 12


@dataclass(frozen=True)
class Scheduled:
    """A program, the choices that made it, its modelled cycles, and how many schedules were tried."""

    program: Program
    choices: Choices
    cycles: int
    tried: int


def build(
    graph: IntegerGraph,
    manifest: Manifest,
    choices: Choices,
    latency: int = 20,
    memory: Memory | None = None,
    most: float = float("inf"),
) -> Program:
    """The program of one set of choices, in `memory` (a fresh one) with what is there already.

    Raises InputError if it does not fit the machine, and Hopeless if it is found on the way that it must take more
    than `most` cycles; `memory` is then of no further use.
    """
    used = manifest
    if choices.words:
        limited = manifest.parameters | {"WORDS": min(choices.words, manifest.parameters["WORDS"])}
        used = manifest.model_copy(update={"parameters": limited})
    lowered = Lowering(graph, used, choices, Memory() if memory is None else memory).run()
    events = program_order(residency(lowered.steps, used, latency, most), used, latency)
    builder = ProgramBuilder(manifest)
    for event, need in events:
        builder.emit(event.op, event.operands, event.flags, event.layer, need)
    instructions = builder.finish()
    code = lowered.memory.reserve(len(instructions) * INSTRUCTION_BYTES)
    return Program(
        name=graph.name,
        target={name: manifest.parameters[name] for name in TARGET_PARAMETERS},
        instructions=instructions,
        layers=(*builder.layers, "end"),
        program_addr=code,
        segments=tuple(lowered.memory.segments),
        inputs=lowered.inputs,
        outputs=lowered.outputs,
        memory_bytes=lowered.memory.size,
        caches=lowered.caches,
    )


def schedule(
    graph: IntegerGraph,
    manifest: Manifest,
    latency: int = 20,
    effort: int = EFFORT,
    memory: Memory | None = None,
) -> Scheduled:
    """The best program found by coordinate descent over the choices; with no effort, of the starting points only.

    memory: of the model's programs so far, to which this one is added. Deterministic. Raises InputError naming the
    parameter that is too small if nothing fits.
    """
    search = _Search(graph, manifest, latency, effort, Memory() if memory is None else memory)
    gc.freeze()
    try:
        return search.run()
    finally:
        gc.unfreeze()


class _Search:
    def __init__(self, graph: IntegerGraph, manifest: Manifest, latency: int, limit: int, memory: Memory) -> None:
        self.memory, self.best_memory = memory, memory
        self.graph, self.manifest, self.latency, self.limit = graph, manifest, latency, limit
        self.seen: dict[Choices, int | None] = {}
        self.best: tuple[int, Choices, Program] | None = None
        self.error: InputError | None = None
        self.effort = 0
        self.level_memory = memory

    def run(self) -> Scheduled:
        """Level by level: the program of a smaller scratchpad runs on a larger one too, so none is ever slower."""
        whole = self.manifest.parameters["WORDS"]
        ladder = [LADDER_BYTES << n >> (self.manifest.word_bytes.bit_length() - 1) for n in range(LEVELS)]
        for words in [*(size for size in ladder if size < whole), whole]:
            self._level(words, 0 if words == whole else words)
        if self.best is None:
            raise self.error or InputError("nothing to schedule", self.graph.name)
        cycles, choices, program = self.best
        self.memory.adopt(self.best_memory)
        return Scheduled(program, choices, cycles, len(self.seen))

    def _level(self, words: int, limit: int) -> None:
        """Search with `words` of scratchpad, from the starting points and from the best of the levels before."""
        self.effort, before, self.best = 0, self.best, None
        starts = list(self._starts(words))
        for choices in [*starts, *([before[1]] if before is not None else [])]:
            self._try(replace(choices, words=limit))
        if self.best is None:
            for choices in self._last_starts(words):
                self._try(replace(choices, words=limit))
        self._descend(words)
        found = self.best
        self.best = min((item for item in (before, found) if item is not None), key=lambda item: item[0], default=None)
        if self.best is not found:
            self.best_memory = self.level_memory
        self.level_memory = self.best_memory

    def _descend(self, words: int) -> None:
        """Change one choice of the best at a time, again as long as that gains something and effort is left."""
        gained = True
        while gained and self.best is not None and self.effort < self.limit:
            before = self.best[0]
            for name, values in self._axes(words):
                for value in values:
                    if self.effort < self.limit:
                        self._try(replace(self.best[1], **{name: value}))  # type: ignore[arg-type]
            gained = self.best[0] < before

    def _try(self, choices: Choices) -> None:
        if choices in self.seen:
            return
        memory, most = self.memory.copy(), float("inf") if self.best is None else self.best[0]
        try:
            program = build(self.graph, self.manifest, choices, self.latency, memory, most)
        except InputError as error:
            self.seen[choices], self.error = None, error
            return
        except Hopeless as error:
            self.seen[choices] = None
            self.effort += error.events
            return
        self.effort += len(program.instructions)
        cycles = run_cycles(program, self.manifest, self.latency).cycles
        self.seen[choices] = cycles
        if self.best is None or cycles < self.best[0]:
            self.best, self.best_memory = (cycles, choices, program), memory

    def _starts(self, words: int) -> Iterable[Choices]:
        """From the roomy to the frugal."""
        width = self._width()
        yield Choices(self._row_blocks(), words // 8, ahead=1)
        if self._row_blocks() == 1:
            return
        if self.manifest.dot <= self.manifest.tile:
            yield Choices(1, width, 3, 0, True, width)
        yield Choices(
            1, self._step * width, 3, 0, True, columns=4 * self._step * self.manifest.tile // self.manifest.dot
        )

    def _last_starts(self, words: int) -> Iterable[Choices]:
        """For scratchpads where nothing else fits."""
        yield Choices(1, 1, chunk=1, context_home=True)
        yield Choices(1, 1, chunk=1, context_home=True, columns=1)
        yield Choices(1, 1, chunk=1, context_home=True, split_words=max(1, words // 8), columns=1)

    @property
    def _step(self) -> int:
        """Column tiles a weight panel has at least."""
        return max(1, self.manifest.dot // self.manifest.tile)

    def _width(self) -> int:
        """Words of a row of the narrowest tensor that enters a linear layer of more than a tile of columns."""
        return -(-max(1, int(np.median(self._columns()))) // self.manifest.dot)

    def _columns(self) -> list[int]:
        """Columns of the linear layers' inputs; of the inputs if there is no linear layer."""
        columns = [op.weight.shape[1] for op in self.graph.ops if isinstance(op, QGemm)]
        return columns or [op.cols for op in self.graph.inputs]

    def _row_blocks(self) -> int:
        rows = [op.rows for op in self.graph.ops if isinstance(op, QGemm)] or [op.rows for op in self.graph.inputs]
        return -(-max(rows) // self.manifest.tile)

    def _chunks(self, words: int, groups: int) -> list[int]:
        """Row groups that may pass together: the most whose widest rows fit beside the weights for them, and fewer."""
        panel = -(-max(self._columns()) // self.manifest.dot) * self._step
        beside = 1 if self.manifest.dot <= self.manifest.tile else 2
        fit = [count for count in (1, 2, 3, 4) if count < groups and (count + beside) * panel <= words]
        return fit[:-4:-1] or [1]

    def _axes(self, words: int) -> list[tuple[str, list[int]]]:
        """What may be changed in the best so far, one at a time, the likeliest to matter first."""
        blocks, width = self._row_blocks(), self._width()
        heads = max((len(op.heads) for op in self.graph.ops if isinstance(op, QAttention)), default=1)
        panels = sorted({words // 24, words // 12, words // 5, width, 2 * width})
        if blocks == 1:
            return [("ahead", sorted({0, 1, heads - 1})), ("weight_words", panels)]
        groups = -(-blocks // self._step)
        step = self._step * self.manifest.tile // self.manifest.dot
        return [
            ("chunk", [*self._chunks(words, groups), 0]),
            ("ahead", [0, 1]),
            ("columns", [12 * step, 4 * step]),
            ("interleave", [2]),
            ("context_home", [0, 1]),
            ("interleave", [0, 3]),
            ("columns", [0]),
            ("sweep", sorted({0, -(-groups // 2)})),
            ("weight_words", panels),
            ("group", sorted({g for g in (1, 2, 4) if g <= blocks})),
            ("ahead", [heads - 1]),
            ("split_words", [0, width] if self.manifest.dot <= self.manifest.tile else [0]),
        ]
