"""The spec's workload as the designers need it: whether it fits a manifest, and its cycles by the cycle model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np

import mfm
from agents.store import write_atomically
from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec
from mfm.compress.integer import IntegerGraph, QGemm, QOp
from mfm.program.program import TARGET_PARAMETERS, Program
from mfm.run.cycles import run_cycles
from mfm.schedule.lower import Choices
from mfm.schedule.schedule import build
from verification.cache import cache_root


class WorkloadCompiler:
    """Compiles one graph for many manifests.

    Cycles are of the better of two standard schedules, not of the scheduler's whole search, which takes ten times as
    long; they are kept on disk by graph, manifest and compiler source.
    """

    def __init__(self, graph: IntegerGraph, spec: Spec) -> None:
        self.graph = graph
        self._latency = spec.memory.latency_cycles
        self._programs: dict[tuple[object, ...], Program | None] = {}

    def fits(self, manifest: Manifest) -> bool:
        """Whether the most frugal schedules can be placed on a design with this manifest."""
        return any(self._cycles_of(manifest, choices) is not None for choices in _frugal(manifest))

    def model_cycles(self, manifest: Manifest) -> int | None:
        """Cycles of the workload; None if nothing fits."""
        path = cache_root() / "cycles" / f"{self._key(manifest)}.json"
        if path.exists():
            known: int | None = json.loads(path.read_text())
            return known
        found = self._model(manifest)
        write_atomically(path, json.dumps(found).encode())
        return found

    def _model(self, manifest: Manifest) -> int | None:
        words, blocks = manifest.parameters["WORDS"], -(-self._rows // manifest.tile)
        roomy = (Choices(1, words // 10, chunk=3, ahead=0, context_home=True), Choices(blocks, words // 8, ahead=1))
        for starts in (roomy, _frugal(manifest)):
            found = [cycles for c in starts if (cycles := self._cycles_of(manifest, c)) is not None]
            if found:
                return min(found)
        return None

    def _cycles_of(self, manifest: Manifest, choices: Choices) -> int | None:
        """Cycles of the program these choices make; programs are kept, as most parameters do not change them."""
        key = (choices, *(manifest.parameters[name] for name in TARGET_PARAMETERS))
        if key not in self._programs:
            self._programs[key] = self._build(manifest, choices)
        program = self._programs[key]
        return None if program is None else run_cycles(program, manifest, self._latency).cycles

    def _build(self, manifest: Manifest, choices: Choices) -> Program | None:
        try:
            return build(self.graph, manifest, choices, self._latency)
        except InputError:
            return None

    @cached_property
    def _rows(self) -> int:
        return max(op.rows for op in self.graph.ops if isinstance(op, QGemm))

    def _key(self, manifest: Manifest) -> str:
        said = [self._graph_hash, sorted(manifest.parameters.items()), sorted(manifest.timing.items()), self._latency]
        return hashlib.sha256((_source_hash() + json.dumps(said)).encode()).hexdigest()

    @cached_property
    def _graph_hash(self) -> str:
        return hashlib.sha256(repr([_outline(op) for op in self.graph.ops]).encode()).hexdigest()


def _frugal(manifest: Manifest) -> tuple[Choices, Choices]:
    whole = Choices(1, 1, chunk=1, context_home=True)
    return whole, replace(whole, split_words=max(1, manifest.parameters["WORDS"] // 8))


def _outline(op: QOp) -> dict[str, object]:
    """What of an op decides its schedule: arrays by their shape, since values change no cycle."""
    parts = {field.name: getattr(op, field.name) for field in fields(op)}
    return {"op": type(op).__name__} | {n: v.shape if isinstance(v, np.ndarray) else v for n, v in parts.items()}


@cache
def _source_hash() -> str:
    """Hash of the compiler's source: another compiler may give other cycles."""
    digest = hashlib.sha256()
    for path in sorted(Path(mfm.__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
