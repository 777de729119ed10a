"""The parameter points a spec allows: array shapes within its MAC budget, and memories just big enough."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, cached_property

from pydantic import ValidationError

from agents.cycle_use import CycleUse
from hwlib import contracts
from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec

SIZED = ("WORDS", "MATRIX_PARAMS", "VECTOR_PARAMS", "ROW_SCALES", "ACT_TABLES")
"""Memories sized to the smallest that fits, in this order."""
ENTRIES = ("MATRIX_PARAMS", "VECTOR_PARAMS", "ROW_SCALES")
LEAST_SHARE = 8
"""Arrays smaller than this part of the MAC budget are not considered."""


class Space:
    """Legal parameter points of a spec's workload, the cycles of each, and where they go."""

    def __init__(
        self,
        spec: Spec,
        model_cycles: Callable[[Manifest], int | None],
        cycle_use: Callable[[Manifest], CycleUse | None] = lambda _: None,
    ) -> None:
        self.spec = spec
        self._model_cycles, self._cycle_use = model_cycles, cycle_use
        self._cycles: dict[tuple[tuple[str, int], ...], int | None] = {}
        self._guess = {name: _power_above(p.min) for name, p in contracts.load("top").parameters.items()}

    def cycles(self, parameters: dict[str, int]) -> int | None:
        """Modelled cycles at `parameters`; None if they are illegal or the workload does not fit."""
        key = tuple(sorted(parameters.items()))
        if key not in self._cycles:
            manifest = self._manifest(parameters)
            self._cycles[key] = None if manifest is None else self._model_cycles(manifest)
        return self._cycles[key]

    def refusal(self, parameters: dict[str, int]) -> str:
        """Which of the spec's bounds on what is proposed the parameters break, in words; empty if none."""
        t, d, words = (parameters[name] for name in ("T", "D", "WORDS"))
        budgets = self.spec.budgets
        if t * t * d > budgets.macs_per_cycle:
            return f"{t * t * d} MACs are over the budget of {budgets.macs_per_cycle}"
        if words * t * d > budgets.scratchpad_kib * 1024:
            return f"{words * t * d / 1024:g} KiB of scratchpad are over the budget of {budgets.scratchpad_kib:g}"
        return ""

    def use(self, parameters: dict[str, int]) -> CycleUse | None:
        """Where those cycles go; None if that is not known."""
        manifest = self._manifest(parameters)
        return None if manifest is None else self._cycle_use(manifest)

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """(T, D) with room for an AXI beat in a word, within the MAC budget and not far below it, that fit."""
        most, axi = self.spec.budgets.macs_per_cycle, self.spec.memory.axi_bytes
        powers = [1, 2, 4, 8, 16, 32, 64]
        pairs = [(t, d) for t in powers[1:] for d in powers if t * d >= max(8, axi)]
        within = [(t, d) for t, d in pairs if most <= LEAST_SHARE * t * t * d <= LEAST_SHARE * most]
        return [shape for shape in within if self.sizes(*shape) is not None]

    @cached_property
    def default_shape(self) -> tuple[int, int]:
        """The shape a designer starts from: the largest, T as near to D as can be."""
        if not self.shapes:
            mend = "raise budgets.scratchpad_kib or budgets.macs_per_cycle"
            what = f"workload {self.spec.workload.model} fits no design in these budgets"
            raise InputError(what, self.spec.name, mend)
        return max(self.shapes, key=lambda s: (s[0] * s[0] * s[1], -abs(s[0] - s[1]), s[0]))

    @cache  # noqa: B019  # a space lives as long as its campaign
    def sizes(self, t: int, d: int) -> dict[str, int] | None:
        """Smallest memories that hold the workload at this shape; None if the scratchpad budget is too small."""
        top = contracts.load("top").parameters
        most = {name: _power_below(top[name].max) for name in SIZED}
        most["WORDS"] = min(most["WORDS"], _power_below(int(self.spec.budgets.scratchpad_kib * 1024) // (t * d)))
        base = {"T": t, "D": d, "AXI_BYTES": self.spec.memory.axi_bytes, "BANKS": 2, **most}
        if not self._fits(base):
            return None
        for name in SIZED:
            base[name] = self._smallest(base, name, top[name].min, most[name])
            self._guess[name] = base[name]
        return {name: base[name] for name in SIZED}

    def point(
        self, shape: tuple[int, int], *, lanes: int = 1, banks: int = 4, queue: int = 4, room: int = 1, entries: int = 1
    ) -> dict[str, int] | None:
        """All top parameters at a shape; `room` multiplies the smallest scratchpad, `entries` the parameter memories.

        None if that breaks a rule or a budget.
        """
        sizes = self.sizes(*shape)
        if sizes is None:
            return None
        t, d = shape
        fixed = {"T": t, "D": d, "AXI_BYTES": self.spec.memory.axi_bytes, "ACT_TABLES": sizes["ACT_TABLES"]}
        sized = {name: sizes[name] * entries for name in ENTRIES} | {"WORDS": sizes["WORDS"] * room}
        point = fixed | sized | {"ACT_LANES": lanes, "BANKS": banks, "QUEUE": queue}
        if point["WORDS"] * t * d > self.spec.budgets.scratchpad_kib * 1024 or self._manifest(point) is None:
            return None
        return dict(sorted(point.items()))

    def default_point(self) -> dict[str, int]:
        """A middling point at the default shape: memories of twice to four times the least."""
        rooms = [self.point(self.default_shape, room=room, entries=2) for room in (4, 2, 1)]
        return next(point for point in rooms if point is not None)

    def _smallest(self, base: dict[str, int], name: str, least: int, most: int) -> int:
        """Smallest power of two of parameter `name` that fits, searched from the last shape's; `most` fits."""
        size = min(max(_power_above(least), self._guess[name]), most)
        while not self._fits(base | {name: size}):
            size *= 2
        while size // 2 >= least and self._fits(base | {name: size // 2}):
            size //= 2
        return size

    def _fits(self, parameters: dict[str, int]) -> bool:
        return self.cycles(parameters) is not None

    def _manifest(self, parameters: dict[str, int]) -> Manifest | None:
        try:
            return Manifest(name=self.spec.name, parameters=parameters, clock_ns=self.spec.clock_ns)
        except ValidationError:
            return None


def _power_above(value: int) -> int:
    """Smallest power of two from `value`."""
    return 1 << (value - 1).bit_length()


def _power_below(value: int) -> int:
    """Largest power of two up to `value`, 0 for none."""
    return 1 << (value.bit_length() - 1) if value > 0 else 0
