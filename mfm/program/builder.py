"""Builds an instruction stream; derives every wait from what the instructions touch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from hwlib import isa
from hwlib.design import Manifest
from mfm.program.effects import accesses
from mfm.program.hazards import HazardTracker, Waits, encoded_waits


class ProgramBuilder:
    """Appends instructions in program order. Semantics: as if each finished before the next began."""

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._tracker = HazardTracker(manifest)
        self.instructions: list[isa.Instruction] = []
        self.layers: list[str] = []

    def emit(
        self,
        op: str,
        operands: Mapping[str, int],
        flags: Iterable[str] = (),
        layer: str = "",
        need: Waits | None = None,
    ) -> None:
        """Append one instruction of an engine; `layer` labels it in profiles.

        need: the retired counts it depends on, where all instructions come with them; else they are derived.
        """
        engine = isa.BY_NAME[op].engine
        if engine is None:
            raise ValueError(f"{op} is appended by finish()")
        names = frozenset(flags)
        before = list(self._tracker.issued)
        if need is None:
            need = self._tracker.issue(engine, accesses(op, operands, names, self._manifest))
        else:
            self._tracker.issued[engine] += 1
        self.instructions.append(isa.Instruction(op, dict(operands), names, encoded_waits(need, before)))
        self.layers.append(layer)

    def finish(self) -> tuple[isa.Instruction, ...]:
        """The stream, with END."""
        return (*self.instructions, isa.Instruction("END", {}))
