"""How much of the input of a block's repair loop a provider's cache holds, and how long prompts become.

For every block, from its template: the writer's first draft is refused, the verifier reads, the writer mends, is
refused again, and mends again; five calls. Requests are what the Anthropic client sends, taken off the wire; cached is
what an earlier request of the same loop marked for caching and this one repeats byte for byte (nothing is counted as
left over from other blocks or rounds). Twice: the writer answers in edits; and in whole files, except where the prompt
asks for edits since the block is long. Tokens are bytes / 3, more than there are. Bars: at least 70 % cached for every
block; no prompt over 24,000 tokens.

Superseded texts of files stay where they were said while there is room. The last lines say what it would cost to take
them out at once: input at a provider's prices (a cached token a tenth, one written to the cache 1.25), relative to the
same loop as it is.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from agents.designers import Files, Talk, WorkOrder
from agents.designers.library import TemplateLibrary
from agents.designers.llm import LlmDesigner
from agents.designers.space import Space
from agents.models.anthropic_messages import AnthropicMessages
from agents.records import GateOutcome
from agents.roles import bounds
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.design import Design
from hwlib.spec import Spec
from tests.agents.misbehaving import misbehaving, streamed
from tests.agents.protocols import MESSAGES
from tests.benchmarks.bars import Bar, at_least, at_most, figure, main

SHARE = 0.70
ATTEMPTS = 3
MOST_TOKENS = 24_000
LEAST_TOKENS = 1024
"""A shorter prefix is not cached."""
INTENT = (
    "Cut the longest path: register the operands where they enter, split the final addition in two stages and hand the "
    "carry on, so that the period falls by a fifth; latency may grow by one cycle, throughput must stay as it is."
)
OUTCOMES = (
    GateOutcome("policy", "block", True),
    GateOutcome("lint", "block", True),
    GateOutcome("simulate", "block", False, tuple(
        f"scenario {n}: cycle {40 + n}: out.data is 0x{17 * n:04x}, expected 0x{17 * n + 1:04x}; the first {n} "
        f"transactions were right; inputs in.data=0x{n:08x}, in.last=1, stalled 3 cycles before" for n in range(1, 7)
    )),
)  # fmt: skip
FINDINGS = [
    "The second stage adds the carry of the beat before: the carry register is updated while the pipeline is stalled. "
    "Gate its enable with the same condition as the operands' (see the handshake at the top of the file).",
    "The valid bit passes one stage fewer than the data: add the register that belongs to the new stage.",
]
LIBRARY = TemplateLibrary()
READ, WRITTEN = 0.1, 1.25
"""Prices of a cached input token, and of one that is put into the cache, relative to one that is neither."""
Piece = tuple[str, bool]
"""Text, and whether a mark after it says: cache up to here."""


def tokens(bytes_: int) -> int:
    """More tokens than so many bytes are."""
    return -(-bytes_ // 3)


def pieces(body: dict[str, Any]) -> list[Piece]:
    """A request as the provider reads it: tools, system prompt, messages."""
    found = [(json.dumps([body["tools"], body["tool_choice"], body["model"]]), False)]
    blocks = [("system", block) for block in body["system"]]
    blocks += [(message["role"], block) for message in body["messages"] for block in message["content"]]
    return found + [(f"\n[{role}] {block['text']}", "cache_control" in block) for role, block in blocks]


def length(request: Sequence[Piece]) -> int:
    """Bytes of a request."""
    return sum(len(text.encode()) for text, _ in request)


def cached(request: Sequence[Piece], earlier: Sequence[Sequence[Piece]]) -> int:
    """Bytes at the beginning of `request` that an earlier one told the provider to keep."""
    whole = "".join(text for text, _ in request)
    kept = [prefix for one in earlier for prefix in _marked(one) if whole.startswith(prefix)]
    best = max((len(prefix.encode()) for prefix in kept), default=0)
    return best if tokens(best) >= LEAST_TOKENS else 0


def _marked(request: Sequence[Piece]) -> Iterator[str]:
    text = ""
    for piece, mark in request:
        text += piece
        if mark:
            yield text


def cost(requests: Sequence[Sequence[Piece]]) -> float:
    """Input of a loop in bytes at full price: cached ones at READ, all others are written to the cache at WRITTEN."""
    kept = [cached(request, requests[:number]) for number, request in enumerate(requests)]
    lengths = [length(request) for request in requests]
    return sum(READ * old + WRITTEN * (new - old) for old, new in zip(kept, lengths, strict=True))


def without_superseded(requests: Sequence[Sequence[Piece]], versions: Sequence[Files]) -> list[list[Piece]]:
    """The requests with only the newest text of each file that they hold in full; `versions` are in the order said."""
    return [_newest_only(request, versions) for request in requests]


def _newest_only(request: Sequence[Piece], versions: Sequence[Files]) -> list[Piece]:
    texts, marks = [text for text, _ in request], [mark for _, mark in request]
    whole = "".join(texts)
    said = [v for v in versions if all(text in whole or _quoted(text) in whole for text in v.values())]
    for text in dict.fromkeys(text for version in said for text in version.values()):
        places = [n for n, piece in enumerate(texts) if text in piece or _quoted(text) in piece]
        for n in places[:-1] if text in said[-1].values() else places:
            texts[n] = texts[n].replace(text, "(replaced)").replace(_quoted(text), "(replaced)")
    return list(zip(texts, marks, strict=True))


def _quoted(text: str) -> str:
    """As it stands within an answer."""
    return json.dumps(text)[1:-1]


def answers(files: Files, block: str, whole: bool) -> list[dict[str, Any]]:
    """What writer and verifier say in turn; each of the writer's changes every file's first line."""
    name = f"{block}.v"
    found: list[dict[str, Any]] = []
    for attempt in range(ATTEMPTS):
        first = files[name].splitlines()[0]
        changed = f"{first[:100]} (attempt {attempt})"
        edit = {"name": name, "search": first + "\n", "replace": changed + "\n" + "// registered\n" * 12}
        files = files | {name: files[name].replace(edit["search"], edit["replace"], 1)}
        given = [{"name": n, "text": t} for n, t in files.items()]
        found += [{"files": given if whole else [], "edits": [] if whole else [edit]}, {"findings": FINDINGS}]
    return found[:-1]


def desk(order: WorkOrder) -> Desk:
    """A desk for a writer that asks for no tools."""
    campaign: Any = SimpleNamespace(settings=SimpleNamespace(tool_rounds=0, tool_checks=0), spec=Spec(name="x"))
    nothing: Any = None
    return Desk(campaign, nothing, order.key, order.block, order.round, {}, lambda files: None)


def begun(block: str) -> Files:
    """The files that a block's loop begins with."""
    return LIBRARY.render(LIBRARY.choices(block)[0])


def written_whole(block: str) -> bool:
    """Whether the block is short enough to be written in whole files."""
    return sum(len(text.encode()) for text in begun(block).values()) <= bounds.EDITED


@cache
def loop(block: str, whole: bool) -> list[list[Piece]]:
    """The requests of the block's repair loop."""
    files = begun(block)
    whole = whole and written_whole(block)
    said = [streamed(MESSAGES.events(json.dumps(answer))) for answer in answers(files, block, whole)]
    os.environ.setdefault("ANTHROPIC_API_KEY", "none")
    with misbehaving(*said) as server:
        designer = LlmDesigner(AnthropicMessages("m", server.url), LIBRARY, Space(Spec(name="x"), lambda manifest: 1))
        order, contract = WorkOrder(1, block, intent=INTENT), contracts.load(block)
        findings, talk = list[str](), Talk()
        for attempt in range(ATTEMPTS):
            written = designer.write(order, contract, files, findings, desk(order), talk)
            files, talk = written.files, written.talk
            if attempt + 1 < ATTEMPTS:
                reading = designer.read(order, files, OUTCOMES, desk(order), talk)
                findings, talk = reading.findings, reading.talk
    return [pieces(body) for body in server.asked]


def measure_block(block: str, whole: bool) -> tuple[int, int, int]:
    """Bytes of all requests, of them cached, and of the longest."""
    requests = loop(block, whole)
    lengths = [length(request) for request in requests]
    kept = [cached(request, requests[:number]) for number, request in enumerate(requests)]
    return sum(lengths), sum(kept), max(lengths)


def taken_out(block: str) -> tuple[float, float, int, int]:
    """The block's loop in whole files with superseded texts taken out at once: its input cost, that of the loop as it
    is; its bytes cached, and all its bytes."""
    files = begun(block)
    said = [{file["name"]: file["text"] for file in answer["files"]}
            for answer in answers(files, block, whole=True) if "files" in answer]  # fmt: skip
    requests = loop(block, whole=True)
    shorter = without_superseded(requests, [files, *said])
    kept = sum(cached(request, shorter[:number]) for number, request in enumerate(shorter))
    return cost(shorter), cost(requests), kept, sum(map(length, shorter))


def measure(_: Design) -> Iterable[Bar]:
    """All blocks, in both manners; from the templates, whatever design is named."""
    for whole in (False, True):
        manner = "whole files" if whole else "edits"
        found = {block: measure_block(block, whole) for block in contracts.names()}
        for block, (sent, kept, longest) in found.items():
            yield at_least(f"{block}, {manner}", "share of input tokens cached", kept / sent, SHARE)
            yield figure(f"{block}, {manner}", "longest prompt, tokens", tokens(longest))
        sums = [sum(column) for column in zip(*found.values(), strict=True)]
        yield at_least(f"all blocks, {manner}", "share of input tokens cached", sums[1] / sums[0], SHARE)
        longest = max(longest for _, _, longest in found.values())
        yield at_most(f"all blocks, {manner}", "longest prompt, tokens", tokens(longest), MOST_TOKENS)
    short = {block: taken_out(block) for block in contracts.names() if written_whole(block)}
    for block, (out, now, kept, sent) in short.items():
        yield figure(f"{block}, whole files", "input cost, superseded texts taken out at once", out / now)
        yield figure(f"{block}, whole files", "share cached, superseded texts taken out at once", kept / sent)


if __name__ == "__main__":
    sys.exit(main("prompt_cache", __doc__ or "", measure))
