"""What of a block's RTL its bench runs: Verilator's counts of executed lines and toggled bits, over bench points."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwlib import contracts
from hwlib.design import Design
from hwlib.errors import InputError
from verification import cache, coverage, sandbox, simulate
from verification.benches import exchange

_POINT = re.compile(r"^C '(?P<key>[^']*)' (?P<count>\d+)$", re.MULTILINE)
_MAX_BYTES = 64 << 20

Key = tuple[str, int, str]
"""File, line, and what of it: a branch, or a bit and its direction."""


@dataclass(frozen=True)
class Covered:
    """Of a block: points of each kind and how many were met; where the others are. bins: of the contract, and those
    never met."""

    block: str
    lines: Mapping[Key, int]
    toggles: Mapping[Key, int]
    bins: Mapping[str, int]

    def to_data(self) -> dict[str, Any]:
        """Plain data for JSON."""
        data: dict[str, Any] = {"block": self.block}
        for name, points in (("line", self.lines), ("toggle", self.toggles), ("bin", self.bins)):
            met = sum(count > 0 for count in points.values())
            data |= {f"{name}s": len(points), f"{name}s_met": met, f"{name}_share": met / max(1, len(points))}
        missed = {"lines_missed": self.lines, "toggles_missed": self.toggles}
        data |= {name: [f"{file}:{line}: {what}" for (file, line, what), n in sorted(points.items()) if not n]
                 for name, points in missed.items()}  # fmt: skip
        return data | {"bins_missed": [name for name, count in self.bins.items() if not count]}


def measure(design: Design, block: str, transactions: int, seed: int = 1) -> Covered:
    """Run `block`'s bench with `transactions`, spread over its bench points, in Verilator.

    Points of instances and bench points that share file, line and name count as one. Raises InputError if the block
    does not pass, BuildFailed if Verilator refuses it.
    """
    contract = contracts.load(block)
    lines, toggles, bins = Counter[Key](), Counter[Key](), Counter(dict.fromkeys(coverage.bins(contract), 0))
    for point in contract.bench_points:
        scenarios = simulate.bench(block)(point, seed, -(-transactions // len(contract.bench_points)))
        files, ports = design.closure_files(block), contract.ports(point)
        executable = simulate.build(block, files, point, "verilator", ports, coverage=True)
        with cache.scratch_folder("coverage") as work:
            stimulus = exchange.encode(contract, point, scenarios)
            said, done = simulate.run_in(work, executable, block, stimulus, "verilator", seed)
            text = sandbox.result_text(work / simulate.COVERAGE, _MAX_BYTES) or ""
        results = [simulate.result(s, said[i] if i < len(said) else None, done, contract, "verilator")
                   for i, s in enumerate(scenarios)]  # fmt: skip
        for result in results:
            if not result.passed:
                raise InputError(f"does not pass its bench: {result.why}", block, "see rtloom verify --gate simulate")
        bins.update(coverage.count(contract, point, [r.observed for r in results if r.observed]))
        _add(text, lines, toggles)
    return Covered(block, lines, toggles, bins)


def _add(text: str, lines: Counter[Key], toggles: Counter[Key]) -> None:
    """Count the points in the text of Verilator's file."""
    for match in _POINT.finditer(text):
        fields = dict(part.split("\x02", 1) for part in match["key"].split("\x01") if "\x02" in part)
        kind = toggles if fields.get("page", "").startswith("v_toggle") else lines
        kind[fields["f"], int(fields["l"]), fields["o"]] += int(match["count"])
