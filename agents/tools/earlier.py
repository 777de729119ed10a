"""What the campaign wrote before: its candidates of a block, their files, and why they were refused."""

from __future__ import annotations

from typing import Literal

from agents.designers import Candidate
from agents.tools import Call
from agents.tools.desk import Desk
from hwlib.errors import InputError

MOST = 30
"""Candidates listed of a block: the newest."""


class ListEarlier(Call):
    """The campaign's earlier candidates of a block, with area, period, or the gate that refused them."""

    tool: Literal["list_earlier"]
    block: str

    def answer(self, desk: Desk) -> str:
        """A line a candidate, oldest first; the one that is built on is marked."""
        found = [c for c in desk.candidates() if c.block == self.block][-MOST:]
        built = desk.base.candidate
        return "\n".join(_line(c) + (" (built on)" if c.id == built else "") for c in found) or "none yet"


class ReadEarlier(Call):
    """One file of an earlier candidate (its id is in list_earlier)."""

    tool: Literal["read_earlier"]
    candidate: str
    file: str

    def answer(self, desk: Desk) -> str:
        """Its Verilog."""
        found = _candidate(self.candidate, desk)
        if self.file not in found.files:
            raise InputError(f"no file '{self.file}' in it", self.candidate, f"use {', '.join(found.files) or 'none'}")
        return desk.campaign.texts.get(found.files[self.file])


class ReadFindings(Call):
    """What the gates found wrong with an earlier candidate."""

    tool: Literal["read_findings"]
    candidate: str

    def answer(self, desk: Desk) -> str:
        """A line a gate, its findings below it."""
        outcomes = _candidate(self.candidate, desk).outcomes
        lines = [
            line
            for outcome in outcomes
            for line in (
                f"{outcome.gate}: {'passed' if outcome.passed else 'refused'}",
                *(f"- {finding}" for finding in outcome.findings),
            )
        ]
        return "\n".join(lines) or "nothing was judged"


def _candidate(identity: str, desk: Desk) -> Candidate:
    for candidate in desk.candidates():
        if candidate.id == identity:
            return candidate
    raise InputError(f"no candidate '{identity}'", "candidate", "list_earlier names them")


def _line(candidate: Candidate) -> str:
    what = candidate.order.variant or candidate.order.intent
    if candidate.cost is not None:
        figures = f"{candidate.cost.area_um2:.0f} um2, {candidate.cost.period_ns:.2f} ns"
    else:
        figures = f"refused by {candidate.outcomes[-1].gate}" if candidate.outcomes else "not judged"
    return f"{candidate.id}: {figures}; {what[:160]}; files {', '.join(candidate.files) or 'none'}"
