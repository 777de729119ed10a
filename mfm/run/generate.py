"""Generates tokens greedily: the prompt but its last token at once, then token by token, state in the caches.

The same on the golden integer executor, the golden machine and a design's RTL, whose logits must be equal.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from mfm.compress.integer import IntegerGraph, execute
from mfm.program.program import Program
from mfm.run.machine import GoldenMachine
from mfm.run.rtl import RtlRunner
from mfm.schedule.lower import Choices
from mfm.schedule.panels import Memory
from mfm.schedule.schedule import EFFORT, build, schedule
from mfm.schedule.split import Split, split
from verification.system.simulation import MemoryModel, open_simulation

Int = NDArray[np.int64]
Inputs = Mapping[str, Int]
Place = Literal["integer", "golden", "rtl"]


@dataclass(frozen=True)
class TextModel:
    """A causal model as graphs.

    prefill: the graph of the first `rows` tokens, whose output nobody reads; step: that of one token after `past`
    others, its output the logits [1, vocabulary]. Both use the same cache slots. inputs: of either for its tokens.
    """

    prefill: Callable[[int], IntegerGraph]
    step: Callable[[int], IntegerGraph]
    inputs: Callable[[Sequence[int]], Inputs]


@dataclass(frozen=True)
class Prompt:
    """What is known before the first step: the graph and inputs of `rows` rows (None: no rows), then token `last`."""

    graph: IntegerGraph | None
    inputs: Inputs
    rows: int
    last: int


@dataclass(frozen=True)
class Generation:
    """Generated tokens, the logits each was chosen from, and the cycles of every run (by RTL only)."""

    tokens: tuple[int, ...]
    logits: tuple[Int, ...]
    cycles: tuple[int, ...]


class Runner(Protocol):
    """Runs the graphs of a model one after the other, caches kept in between.

    name: where; cycles: of each run, where it has any; seconds: spent running, compilation apart.
    """

    name: str
    cycles: list[int]
    seconds: float

    def run(self, graph: IntegerGraph, inputs: Inputs) -> Int:
        """The graph's output."""
        ...


@dataclass
class IntegerRunner:
    """The golden integer executor."""

    name: str = "integer"
    caches: dict[str, Int] = field(default_factory=dict)
    cycles: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def run(self, graph: IntegerGraph, inputs: Inputs) -> Int:
        """The graph's output."""
        start = time.monotonic()
        found = execute(graph, inputs, self.caches)
        self.seconds += time.monotonic() - start
        return found


class ModelImage:
    """The programs of one model in one memory: weights and caches once, scratch shared.

    A decode step takes the choices of the first one with its output, for which they were searched.
    """

    def __init__(self, manifest: Manifest, latency: int = 20, effort: int = EFFORT) -> None:
        self.manifest, self.latency, self.effort = manifest, latency, effort
        self.memory = Memory()
        self._programs: dict[int, Program] = {}
        self._kept: list[IntegerGraph] = []
        self._choices: dict[str, Choices] = {}
        self._splits: dict[int, Split] = {}

    def split(self, graph: IntegerGraph) -> Split:
        """The parts of `graph`, the same ones each time."""
        if id(graph) not in self._splits:
            self._kept.append(graph)
            self._splits[id(graph)] = split(graph)
        return self._splits[id(graph)]

    def program(self, graph: IntegerGraph, step: bool) -> Program:
        """The program of `graph`, compiled on first use."""
        if id(graph) not in self._programs:
            self._kept.append(graph)
            self._programs[id(graph)] = self._compile(graph, step)
        return self._programs[id(graph)]

    def _compile(self, graph: IntegerGraph, step: bool) -> Program:
        if step and graph.output in self._choices:
            memory = self.memory.copy()
            try:
                program = build(graph, self.manifest, self._choices[graph.output], self.latency, memory)
            except InputError:
                pass
            else:
                self.memory.adopt(memory)
                return program
        found = schedule(graph, self.manifest, self.latency, self.effort, self.memory)
        if step:
            self._choices[graph.output] = found.choices
        return found.program


class GoldenRunner:
    """The golden machine, its local storages full of noise at first if `noise` is given."""

    def __init__(self, image: ModelImage, noise: np.random.Generator | None = None) -> None:
        self.name, self.cycles, self.seconds, self.image = "golden", list[int](), 0.0, image
        self.machine = GoldenMachine(image.manifest, 0, noise)
        self._loaded: set[int] = set()

    def run(self, graph: IntegerGraph, inputs: Inputs) -> Int:
        """The graph's output."""
        return self.image.split(graph).run(inputs, self._run)

    def _run(self, graph: IntegerGraph, inputs: Inputs) -> Inputs:
        program, machine = self.image.program(graph, _is_step(graph)), self.machine
        start = time.monotonic()
        machine.grow(program.memory_bytes)
        for segment in program.image:
            if segment.addr not in self._loaded:
                machine.write(segment.addr, segment.data)
                self._loaded.add(segment.addr)
        for part in program.feed(inputs):
            machine.write(part.addr, part.data)
        for item in program.chosen(inputs):
            machine.execute(item)
        found = {
            slot.name: slot.decode(machine.read(slot.addr, slot.nbytes(program.target)), program.target)
            for slot in program.outputs
        }
        self.seconds += time.monotonic() - start
        return found


class DesignRunner:
    """A design's RTL. Raises InputError where a run does not end well."""

    def __init__(self, image: ModelImage, stack: ExitStack, design: Design, memory: MemoryModel) -> None:
        self.name, self.cycles, self.seconds = "rtl", list[int](), 0.0
        self.image, self.design, self.memory = image, design, memory
        self.simulation = stack.enter_context(open_simulation(design, memory))
        self.runner: RtlRunner | None = None
        self.counters: list[dict[str, int]] = []

    def run(self, graph: IntegerGraph, inputs: Inputs) -> Int:
        """The graph's output."""
        return self.image.split(graph).run(inputs, self._run)

    def _run(self, graph: IntegerGraph, inputs: Inputs) -> Inputs:
        program = self.image.program(graph, _is_step(graph))
        if self.runner is None:
            self.runner = RtlRunner(self.simulation, self.design.manifest, program)
        self.runner.switch(program)
        start = time.monotonic()
        done = self.runner.run(inputs)
        self.seconds += time.monotonic() - start
        if done.status != "done":
            raise InputError(f"'{graph.name}' ended with {done.status}", str(self.design.folder), "verify the design")
        self.cycles.append(done.cycles)
        self.counters.append(done.counters)
        return done.outputs


def _is_step(graph: IntegerGraph) -> bool:
    return all(op.rows == 1 for op in graph.inputs)


@contextmanager
def open_runners(
    places: Sequence[Place],
    manifest: Manifest,
    design: Design | None = None,
    memory: MemoryModel | None = None,
    effort: int = EFFORT,
) -> Iterator[list[Runner]]:
    """Runners in `places`, which share compiled programs. Raises InputError if 'rtl' has no design."""
    model = memory or MemoryModel()
    image = ModelImage(manifest, model.latency, effort)
    with ExitStack() as stack:
        made: list[Runner] = []
        for place in places:
            if place == "integer":
                made.append(IntegerRunner())
            elif place == "golden":
                made.append(GoldenRunner(image, np.random.default_rng(0)))
            elif design is None:
                raise InputError("running on 'rtl' needs a design", "--design", "name one, or 'expert'")
            else:
                made.append(DesignRunner(image, stack, design, model))
        yield made


def _silent(count: int, token: int) -> None:
    """Nobody listens."""


def generate(
    model: TextModel, prompt: Prompt, count: int, runners: Sequence[Runner], say: Callable[[int, int], None] = _silent
) -> Generation:
    """`count` tokens after a prompt. Every runner makes every logit; `say` hears (how many, which) of each token.

    Raises InputError where a runner's logits differ from the first one's.
    """
    if prompt.graph is not None:
        for runner in runners:
            runner.run(prompt.graph, prompt.inputs)
    tokens, logits = [prompt.last], []
    for position in range(prompt.rows, prompt.rows + count):
        graph, inputs = model.step(position), model.inputs(tokens[-1:])
        found = [runner.run(graph, inputs) for runner in runners]
        for runner, values in zip(runners, found, strict=True):
            if not np.array_equal(values, found[0]):
                raise InputError(
                    f"logits of token {position} on '{runner.name}' differ from those on '{runners[0].name}'",
                    graph.name,
                    "verify the design",
                )
        logits.append(found[0][0])
        tokens.append(int(found[0][0].argmax()))
        say(len(logits), tokens[-1])
    cycles = next((tuple(runner.cycles) for runner in runners if runner.cycles), ())
    return Generation(tuple(tokens[1:]), tuple(logits), cycles)


def text_prompt(model: TextModel, tokens: Sequence[int]) -> Prompt:
    """The prompt of `tokens`: all but the last at once. Raises InputError for an empty one."""
    if not tokens:
        raise InputError("an empty prompt", "prompt", "give at least one token")
    rows = len(tokens) - 1
    if not rows:
        return Prompt(None, {}, 0, tokens[-1])
    return Prompt(model.prefill(rows), model.inputs(tokens[:-1]), rows, tokens[-1])
