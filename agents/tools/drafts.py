"""Judge the draft before it is handed in: quick gates, synthesis, and beside what it is to better."""

from __future__ import annotations

from typing import ClassVar, Literal

from agents.designers import BlockCost
from agents.evaluator import BlockReport
from agents.roles.condense import condense
from agents.tools import Call
from agents.tools.desk import Desk
from hwlib import contracts

STEPS = 24
"""Points of the critical path that are shown, the last ones."""


class CheckDraft(Call):
    """Quick verdict on your draft as it is now: policy, lint and a short bench on one simulator."""

    judges: ClassVar[bool] = True
    tool: Literal["check_draft"]

    def answer(self, desk: Desk) -> str:
        """A line a gate, with what it found."""
        contract, lines = contracts.load(desk.block), []
        for outcome in desk.judge.check_quick(desk.design(), desk.block):
            lines.append(f"{outcome.gate}: {'passed' if outcome.passed else 'refused'}")
            lines += [f"- {finding}" for finding in condense(outcome, contract)]
        return "\n".join(lines)


class SynthesiseDraft(Call):
    """Area, minimum period and critical path of your draft, without the blocks it instantiates."""

    judges: ClassVar[bool] = True
    tool: Literal["synthesise_draft"]

    def answer(self, desk: Desk) -> str:
        """Figures, those of what is built on beside them, and the path."""
        report = desk.judge.block_report(desk.design(), desk.block)
        return report_text(report, desk.base.cost)


class Compare(Call):
    """The figures your draft has to better: those of the block and of the whole design that is built on."""

    tool: Literal["compare"]

    def answer(self, desk: Desk) -> str:
        """A line each for the block and the whole."""
        figures = desk.base.figures
        cost = f"{desk.block}: {_cost(desk.base.cost) if desk.base.cost else 'none yet'}"
        if figures is None:
            return f"{cost}\ndesign: not measured yet"
        return (
            f"{cost}\ndesign: area {figures.area_um2:.0f} um2, period {figures.period_ns:.2f} ns, "
            f"{figures.cycles} cycles, objective {figures.objective:.5g}"
        )


def report_text(report: BlockReport, built: BlockCost | None) -> str:
    """A block's synthesis in words."""
    lines = [f"draft: {_cost(report.cost)}, {report.cells} cells"]
    lines += [f"built on: {_cost(built)}"] if built else []
    lines.append(f"critical path, {report.start} to {report.end} (ns, pin, cell):")
    lines += [f"  {time_ns:.2f} {pin} {cell}" for pin, cell, time_ns in report.path[-STEPS:]]
    return "\n".join(lines)


def _cost(cost: BlockCost) -> str:
    return f"area {cost.area_um2:.0f} um2, period {cost.period_ns:.2f} ns"
