"""Whether a draft can be judged at all: a text that policy or lint refuses is told so in seconds, as no evaluation."""

from __future__ import annotations

from agents.evaluator import TEMPLATE_GATES
from agents.roles.condense import condense
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.errors import InputError

UNREAD = "Not judged, which costs no check: "
"""How the answer begins for such a draft."""


def unread(desk: Desk) -> str:
    """What the first of policy and lint that refuses the desk's draft found; empty if both pass, or if there is no
    draft to lay out, which whoever judges it will say."""
    try:
        design = desk.design()
    except InputError:
        return ""
    for gate in TEMPLATE_GATES:
        outcome = desk.judge.check_block(design, desk.block, gate)
        if not outcome.passed:
            findings = condense(outcome, contracts.load(desk.block))
            return "\n".join([f"{UNREAD}{gate} refuses it", *(f"- {finding}" for finding in findings)])
    return ""
