"""The parameter points a spec allows: array shapes within its MAC budget, and memories just big enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property, lru_cache

from hwlib import contracts
from hwlib.design import Manifest
from hwlib.errors import InputError
from hwlib.spec import Spec

Cycles = Callable[[Manifest], int | None]
"""Cycles of the spec's workload on a manifest, None if it does not fit."""

SIZED = ("MATRIX_PARAMS", "VECTOR_PARAMS", "ROW_SCALES", "ACT_TABLES")
"""Memories shrunk to the smallest that fits; the scratchpad comes first."""


class Space:
    """Legal parameter points of a spec's workload, and the cycles of each."""

    def __init__(self, spec: Spec, cycles: Cycles) -> None:
        self.spec = spec
        self._cycles = lru_cache(maxsize=None)(lambda key: self._run(cycles, dict(key)))

    def cycles(self, parameters: dict[str, int]) -> int | None:
        """Modelled cycles at `parameters`; None if they are illegal or the workload does not fit."""
        return self._cycles(tuple(sorted(parameters.items())))

    def _run(self, cycles: Cycles, parameters: dict[str, int]) -> int | None:
        try:
            manifest = Manifest(name=self.spec.name, parameters=parameters, clock_ns=self.spec.clock_ns)
        except ValueError:
            return None
        return cycles(manifest)

    @cached_property
    def shapes(self) -> list[tuple[int, int]]:
        """(T, D) with room for an AXI beat in a word, at most the spec's MACs a cycle, at least an eighth of them."""
        most, axi = self.spec.budgets.macs_per_cycle, self.spec.memory.axi_bytes
        powers = [1, 2, 4, 8, 16, 32, 64]
        pairs = [(t, d) for t in powers[1:] for d in powers if max(8, axi) <= t * d and most // 8 <= t * t * d <= most]
        return [pair for pair in pairs if self.sizes(*pair) is not None]

    @cached_property
    def default_shape(self) -> tuple[int, int]:
        """The shape a designer starts from: the largest, T as near to D as can be."""
        if not self.shapes:
            mend = "raise budgets.scratchpad_kib or budgets.macs_per_cycle"
            raise InputError(
                f"workload {self.spec.workload.model} fits no design in these budgets", self.spec.name, mend
            )
        return max(self.shapes, key=lambda s: (s[0] * s[0] * s[1], -abs(s[0] - s[1]), s[0]))

    @cache  # noqa: B019  # a space lives as long as its campaign
    def sizes(self, t: int, d: int) -> dict[str, int] | None:
        """Smallest memories that hold the workload at this shape; None if the scratchpad budget is too small."""
        top = contracts.load("top").parameters
        largest = {name: _power_below(top[name].max) for name in SIZED}
        most = _power_below(int(self.spec.budgets.scratchpad_kib * 1024) // (t * d))
        base = {"T": t, "D": d, "AXI_BYTES": self.spec.memory.axi_bytes, "BANKS": 4, **largest}
        words = self._smallest(base, "WORDS", most)
        if words is None:
            return None
        base["WORDS"] = words
        for name in SIZED:
            found = self._smallest(base, name, base[name])
            assert found is not None, "the largest was just seen to fit"
            base[name] = found
        return {name: base[name] for name in ("WORDS", *SIZED)}

    def _smallest(self, base: dict[str, int], name: str, most: int) -> int | None:
        """Smallest power of two of parameter `name` that fits; fitting is monotonic."""
        least = contracts.load("top").parameters[name].min
        fits = list(_powers(least, most))
        low, high = 0, len(fits) - 1
        if high < 0 or self.cycles(base | {name: fits[high]}) is None:
            return None
        while low < high:
            middle = (low + high) // 2
            if self.cycles(base | {name: fits[middle]}) is None:
                low = middle + 1
            else:
                high = middle
        return fits[low]

    def point(
        self, shape: tuple[int, int], *, lanes: int = 1, banks: int = 4, queue: int = 4, room: int = 1
    ) -> dict[str, int] | None:
        """All top parameters at a shape; `room` multiplies the scratchpad. None if that breaks a rule or a budget."""
        sizes = self.sizes(*shape)
        if sizes is None:
            return None
        t, d = shape
        chosen = {
            "T": t,
            "D": d,
            "AXI_BYTES": self.spec.memory.axi_bytes,
            "ACT_LANES": lanes,
            "BANKS": banks,
            "QUEUE": queue,
        }
        point = sizes | chosen | {"WORDS": sizes["WORDS"] * room}
        if point["WORDS"] * t * d > self.spec.budgets.scratchpad_kib * 1024 or self.cycles(point) is None:
            return None
        return dict(sorted(point.items()))


def _powers(least: int, most: int) -> Iterator[int]:
    value = 1
    while value <= most:
        if value >= least:
            yield value
        value *= 2


def _power_below(value: int) -> int:
    return 1 << max(0, value.bit_length() - 1) if value else 0
