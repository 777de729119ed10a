"""Use a tool: within the order's allowance, booked in the ledger, bounded, and never judged twice."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from pydantic import Field, TypeAdapter

from agents.records import Cost
from agents.tools import Call
from agents.tools.contracts import ReadContract
from agents.tools.desk import Desk
from agents.tools.drafts import CheckDraft, Compare, SynthesiseDraft
from agents.tools.earlier import ListEarlier, ReadEarlier, ReadFindings
from agents.tools.numerics import ReadNumerics
from agents.tools.readable import unread
from agents.tools.templates import ListTemplates, ReadTemplate, UseTemplate
from hwlib.errors import InputError, plain
from hwlib.files import write_whole

AnyCall = Annotated[
    ReadContract | ReadNumerics | ListTemplates | ReadTemplate | UseTemplate | ListEarlier | ReadEarlier | ReadFindings
    | CheckDraft | SynthesiseDraft | Compare,
    Field(discriminator="tool"),
]  # fmt: skip
"""Every tool there is, told apart by its name."""
CALL: TypeAdapter[AnyCall] = TypeAdapter(AnyCall)
MOST_CHARACTERS = 14_000
"""Of a result; the rest is left out, and said so."""
CALLS = 4
"""Tools used in one answer at most; further calls are not made."""
USES = 16
"""Of tools, in one order, whatever they cost."""


def use(call: Call, desk: Desk) -> str:
    """The call's result, or in one line why there is none.

    A use is booked before it is made; judging calls are evaluations, and their results kept by content, so that the
    same draft is neither paid for nor judged again. A draft that policy or lint refuses is told so instead, as a use
    but no evaluation.
    """
    key = f"{_prefix(desk)}{_digest(call, desk)}"
    kept = desk.campaign.folder / "tools" / key.rpartition("/")[2]
    if call.judges and kept.exists():
        return kept.read_text()
    refusal = unread(desk) if call.judges else ""
    refused = _book(key, call, desk, free=not call.judges or bool(refusal))
    if refused:
        return f"refused: {refused}"
    if refusal:
        return cut(shown(refusal))
    try:
        text = cut(shown(call.answer(desk)))
    except InputError as error:
        return f"refused: {error}"
    if call.judges:
        write_whole(kept, text.encode())
    return text


def cut(text: str, most: int = MOST_CHARACTERS) -> str:
    """`text` of at most `most` characters, with a word on what is left out."""
    return text if len(text) <= most else f"{text[:most]}\n({len(text) - most} characters left out)"


def shown(text: str) -> str:
    """Without what a terminal or a log would obey: some of it is quoted from sources."""
    return "\n".join(plain(line) for line in text.replace("\t", "    ").split("\n"))


def _book(key: str, call: Call, desk: Desk, free: bool) -> str:
    """Book the use, as an evaluation unless it is `free`; in words why it may not be made, if so."""
    ledger, settings = desk.campaign.ledger, desk.campaign.settings
    if ledger.booked(key):
        return ""
    if ledger.booked(_prefix(desk)) >= USES and not call.done:
        return f"this order's {USES} uses of tools are spent"
    if free:
        ledger.charge(key, call.tool, desk.round, Cost())
        return ""
    if ledger.evaluations_under(_prefix(desk)) >= settings.tool_checks:
        return f"this order's {settings.tool_checks} checks and syntheses of drafts are spent"
    if not ledger.reserve(key, call.tool, desk.round, settings.budget.evaluations):
        return f"the campaign's {settings.budget.evaluations} evaluations are spent"
    return ""


def _prefix(desk: Desk) -> str:
    return f"tool/{desk.order}/"


def _digest(call: Call, desk: Desk) -> str:
    """What the result follows from: the call, and where it judges the draft and its parameters."""
    where = [sorted(desk.draft.items()), sorted(desk.parameters.items()), desk.block, desk.base.candidate]
    judged = where if call.judges else []
    said = [call.model_dump(mode="json"), judged]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32]
