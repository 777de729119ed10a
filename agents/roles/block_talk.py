"""The conversation on one block order: the RTL writer and the verifier take turns in it.

Each request repeats the one before and adds to its end, so that a provider's cache holds nearly all of it. A turn that
would make it too long gives an empty conversation instead: then a new one is opened with the block as it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from agents.designers import Files, WorkOrder
from agents.models import Message
from agents.records import GateOutcome
from agents.roles import bounds, prompts
from hwlib import contracts
from hwlib.templates.render import module_header

Messages = tuple[Message, ...]


def opened(order: WorkOrder, files: Files, findings: Sequence[str], *, writing: bool) -> Messages:
    """A new conversation: contract, order and the block as it is; `writing`: the writer is asked."""
    contract = contracts.load(order.block)
    return prompts.begin(
        "rtl_writer", contract=contract, header=module_header(contract), intent=order.intent,
        findings=bounds.shortened(findings), files=files, writing=writing,
        long=sum(len(text.encode("utf-8", "replace")) for text in files.values()) > bounds.EDITED,
    )  # fmt: skip


def mended(talk: Messages, findings: Sequence[str]) -> Messages:
    """`talk` with the writer asked to mend; findings that were said already are not said again."""
    heard = "\n".join(message.text for message in talk)
    fresh = [finding for finding in findings if not _in(finding, heard)]
    return _further(talk, "rtl_writer", prompts.turn("rtl_writer", "turn", findings=bounds.shortened(fresh)))


def _in(finding: str, heard: str) -> bool:
    """Whether it was said, with or without the gate's name before it, or within an answer's JSON."""
    gate, _, rest = finding.partition(": ")
    return any(
        text in heard for text in (finding, json.dumps(finding)[1:-1], *([rest] if rest and " " not in gate else []))
    )


def judged(talk: Messages, outcomes: Sequence[GateOutcome]) -> Messages:
    """`talk` with the verifier asked to read what the gates said."""
    shown = [GateOutcome(o.gate, o.scope, o.passed, tuple(bounds.shortened(o.findings))) for o in outcomes]
    return _further(talk, "verifier", prompts.turn("verifier", "turn", outcomes=shown))


def _further(talk: Messages, role: str, text: str) -> Messages:
    """`talk` with one more message of the user's; empty if there is no talk, or it would not fit."""
    if not talk:
        return ()
    if talk[-1].role == "user":
        last = Message("user", f"{talk[-1].text}\n{text}", talk[-1].stable)
        messages = (*talk[:-1], last)
    else:
        messages = (*talk, Message("user", text))
    return messages if bounds.fits(messages, prompts.schema(role)) else ()
