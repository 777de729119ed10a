"""Judge the draft before it is handed in: quick gates, synthesis, and beside what it is to better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from agents.designers import BlockCost
from agents.evaluator import BlockReport
from agents.roles.condense import condense
from agents.tools import Call
from agents.tools.aim import said, wanted
from agents.tools.desk import Desk
from hwlib import contracts

if TYPE_CHECKING:
    from verification.synthesize import Part

FIRST, LAST = 20, 24
"""Points of a long critical path that are shown."""
PARTS = 12
"""Modules of a block whose area is shown."""


class CheckDraft(Call):
    """Quick verdict on your draft as it is now: policy, lint and a short bench on one simulator."""

    judges: ClassVar[bool] = True
    tool: Literal["check_draft"]

    def answer(self, desk: Desk) -> str:
        """A line a gate, with what it found."""
        contract, lines = contracts.load(desk.block), []
        for outcome in desk.judge.check_quick(desk.design(), desk.block):
            lines.append(f"{outcome.gate}: {'passed' if outcome.passed else 'refused'}")
            lines += [f"- {finding}" for finding in condense(outcome, contract, desk.cone)]
        return "\n".join(lines)


class SynthesiseDraft(Call):
    """Area, by module too, minimum period and critical path of your draft, without the blocks it instantiates."""

    judges: ClassVar[bool] = True
    tool: Literal["synthesise_draft"]

    def answer(self, desk: Desk) -> str:
        """Figures, those of what is built on beside them, and the path."""
        design = desk.design()
        report = desk.judge.block_report(design, desk.block)
        return report_text(report, desk.base.cost, desk.judge.block_parts(design, desk.block))


class Compare(Call):
    """The figures your draft has to better, of the block and of the design that is built on, and what to aim at."""

    tool: Literal["compare"]

    def answer(self, desk: Desk) -> str:
        """What there is to better; see `agents.tools.aim`."""
        return wanted(desk)


def report_text(report: BlockReport, built: BlockCost | None, parts: Sequence[Part] = ()) -> str:
    """A block's synthesis in words."""
    lines = [f"draft: {said(report.cost)}, {report.cells} cells"]
    lines += [f"built on: {said(built)}"] if built else []
    lines += [_made_of(parts)] if len(parts) > 1 else []
    lines.append(f"critical path, {report.start} to {report.end} (ns, pin, cell):")
    points = [f"  {time_ns:.2f} {pin} {cell}" for pin, cell, time_ns in report.path]
    if len(points) > FIRST + LAST:
        points[FIRST:-LAST] = [f"  ({len(points) - FIRST - LAST} points left out)"]
    lines += points
    return "\n".join(lines)


def _made_of(parts: Sequence[Part]) -> str:
    """The parts with the most area first."""
    most = sorted(parts, key=lambda part: -part.count * part.area_um2)[:PARTS]
    told = [f"{part.module} {part.count} times {part.area_um2:.0f}" if part.count > 1
            else f"{part.module} {part.area_um2:.0f}" for part in most]  # fmt: skip
    return f"by module, each mapped by itself (um2): {', '.join(told)}"
