"""Tests a verifier proposed and that proved their worth: kept in the campaign, run on later candidates of the block."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from agents.ledger import Ledger
from agents.tools.desk import Desk
from hwlib.errors import InputError
from verification.proposals import Proposal

MOST = 8
"""Tests kept of a block."""


def offer(test: Proposal, desk: Desk) -> str:
    """Grade the test, once, as an evaluation, and keep it if it finds a fault the bench leaves; else say why not."""
    said = json.dumps(asdict(test), sort_keys=True)
    name = f"{_prefix(desk.block)}{hashlib.sha256(said.encode()).hexdigest()[:24]}"
    ledger, most = desk.campaign.ledger, desk.campaign.settings.budget.evaluations
    if name in ledger.facts(name):
        return ""
    if len(ledger.facts(_prefix(desk.block))) >= MOST:
        return f"{MOST} tests of {desk.block} are kept already"
    if not ledger.reserve(f"{desk.order}/{name}", "grade", desk.round, most):
        return f"the campaign's {most} evaluations are spent"
    try:
        grade = desk.judge.grade_test(desk.block, test)
    except InputError as error:
        return str(error)
    if grade.kept:
        ledger.set_fact(name, json.dumps({"round": desk.round, "test": asdict(test), "found": grade.found[:4]}))
    return grade.why


def kept(ledger: Ledger, block: str, before: int) -> tuple[Proposal, ...]:
    """The tests of `block` kept in rounds earlier than `before`."""
    found = [json.loads(value) for value in ledger.facts(_prefix(block)).values()]
    return tuple(Proposal(**each["test"]) for each in found if each["round"] < before)


def _prefix(block: str) -> str:
    return f"test/{block}/"
