"""What a client may ask for besides reading: hand in a draft of a block, have it judged, hand in a whole design."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from agents.designers import Candidate, Files, WorkOrder
from agents.designers.library import TemplateLibrary, chosen
from agents.mcp.drafts import Draft
from agents.mcp.session import Session
from agents.mcp.whole import submit
from agents.roles.answers import BlockAnswer, Edit, File
from agents.roles.condense import condense
from agents.roles.edits import apply
from agents.tools import untitled
from agents.tools.drafts import CheckDraft, SynthesiseDraft
from agents.tools.use import use
from agents.workshop import run_gates
from hwlib import contracts
from hwlib.errors import InputError
from verification import gates

FILES, EDITS, DRAFTS = 64, 200, 20
"""Most of each in one request."""


class Request(BaseModel):
    """One tool of the server that is not one of `agents.tools`; `name` is its name there."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=untitled)
    name: ClassVar[str]

    @abstractmethod
    def answer(self, session: Session) -> str:
        """The result. InputError for a request that cannot be met, in a line for the client."""


class SubmitDraft(Request):
    """Hand in Verilog of one block. Files replace, edits change the block's files in the design that is built on, or
    those of an earlier draft or of a template (variant, then option=value) if you name it; removed names files to take
    out. Gives the draft's name, by which the other tools know it."""

    name: ClassVar[str] = "submit_draft"
    block: str
    files: list[File] = Field(default_factory=list, max_length=FILES)
    edits: list[Edit] = Field(default_factory=list, max_length=EDITS)
    removed: list[str] = Field(default_factory=list, max_length=FILES)
    draft: str = ""
    template: str = ""

    def answer(self, session: Session) -> str:
        """The draft's name and files."""
        contracts.load(self.block)
        parent = self._parent(session)
        changes = BlockAnswer(files=self.files, edits=self.edits, removed=self.removed)
        try:
            files = parent if self.template and changes == BlockAnswer() else apply(changes, parent, self.block)
        except ValueError as error:
            raise InputError(str(error), "submit_draft") from None
        made = session.drafts.put(self.block, files)
        return f"draft {made.id}\nfiles: {', '.join(made.files)}"

    def _parent(self, session: Session) -> Files:
        if self.template and self.draft:
            raise InputError("a draft and a template", "submit_draft", "name one of them to build on")
        if self.template:
            library = TemplateLibrary()
            return library.render(chosen(library, self.block, self.template))
        if not self.draft:
            return session.block_files(self.block)
        earlier = session.drafts.get(self.draft)
        if earlier.block != self.block:
            raise InputError(f"that draft is of {earlier.block}", "draft", f"name one of {self.block}")
        return earlier.files


class ReadCurrent(Request):
    """One file of a block in the design that is built on; without a name, which files there are."""

    name: ClassVar[str] = "read_current"
    block: str
    file: str = ""

    def answer(self, session: Session) -> str:
        """Its Verilog."""
        contracts.load(self.block)
        files = session.block_files(self.block)
        if not self.file:
            return "\n".join(files)
        if self.file not in files:
            raise InputError(f"no file '{self.file}' in it", "file", f"use {', '.join(files)}")
        return files[self.file]


class _OfDraft(Request):
    draft: str


class Check(_OfDraft):
    """Quick verdict on a draft: policy, lint and a short bench on one simulator. It does not accept anything."""

    name: ClassVar[str] = "check_draft"

    def answer(self, session: Session) -> str:
        """A line a gate, with what it found."""
        return use(CheckDraft(tool="check_draft"), session.desk(session.drafts.get(self.draft)))


class Synthesise(_OfDraft):
    """Area, minimum period and critical path of a draft, beside those of the block in the design that is built on."""

    name: ClassVar[str] = "synthesise_draft"

    def answer(self, session: Session) -> str:
        """Figures and the path."""
        draft = session.drafts.get(self.draft)
        return use(SynthesiseDraft(tool="synthesise_draft"), session.desk(draft, session.base_cost(draft.block)))


class RunGates(_OfDraft):
    """All gates of one block on a draft, in order, up to the first that refuses it: what a design must pass, sealed
    trials included. A draft that passes all is a candidate for submit_design."""

    name: ClassVar[str] = "run_gates"

    def answer(self, session: Session) -> str:
        """A line a gate, with what it found; area and period if all passed."""
        draft = session.drafts.get(self.draft)
        candidate = judged(draft, session)
        session.campaign.ledger.put_candidate(candidate)
        lines = findings_of(candidate)
        if candidate.cost:
            lines.append(f"area {candidate.cost.area_um2:.0f} um2, period {candidate.cost.period_ns:.2f} ns")
        return "\n".join([*lines, "all gates passed" if candidate.passed else "refused"])


class Findings(_OfDraft):
    """What run_gates found in a draft, again."""

    name: ClassVar[str] = "read_findings"

    def answer(self, session: Session) -> str:
        """A line a gate, with what it found."""
        return "\n".join(findings_of(known(session.drafts.get(self.draft), session)))


class Compare(_OfDraft):
    """A draft that passed its gates beside the block it replaces, and the figures of the design that is built on."""

    name: ClassVar[str] = "compare"

    def answer(self, session: Session) -> str:
        """Areas (um2) and periods (ns), and the whole's figures."""
        draft = session.drafts.get(self.draft)
        found, base = known(draft, session).cost, session.base_cost(draft.block)
        if found is None:
            raise InputError("it did not pass its gates", draft.id, "run_gates says why")
        figures = session.desk(draft).base.figures
        whole = "not measured yet" if figures is None else (
            f"area {figures.area_um2:.0f} um2, period {figures.period_ns:.2f} ns, {figures.cycles} cycles, "
            f"objective {figures.objective:.5g}")  # fmt: skip
        return (
            f"draft: area {found.area_um2:.0f} um2 ({100 * (found.area_um2 / base.area_um2 - 1):+.1f} %), period "
            f"{found.period_ns:.2f} ns\nnow: area {base.area_um2:.0f} um2, period {base.period_ns:.2f} ns\n"
            f"design: {whole}"
        )


class SubmitDesign(Request):
    """Put drafts that passed run_gates, of one block each, into the design that is built on, and judge the whole: all
    gates, then area, period and cycles of the workload. Better than the best so far and within the budgets is accepted,
    and what further drafts build on. The first may be without drafts, to measure what there is. Takes minutes."""

    name: ClassVar[str] = "submit_design"
    drafts: list[str] = Field(max_length=DRAFTS)
    reason: str = Field(max_length=300)

    def answer(self, session: Session) -> str:
        """How it went, and its figures."""
        drafts = [session.drafts.get(name) for name in self.drafts]
        return submit(drafts, [known(draft, session) for draft in drafts], self.reason, session)


REQUESTS: tuple[type[Request], ...] = (
    SubmitDraft, ReadCurrent, Check, Synthesise, RunGates, Findings, Compare, SubmitDesign,
)  # fmt: skip


def order_of(draft: Draft) -> WorkOrder:
    """A draft's order: it has no round of its own, so that the same draft is the same candidate."""
    return WorkOrder(0, draft.block, intent=f"draft {draft.id}")


def judged(draft: Draft, session: Session) -> Candidate:
    """The draft as a candidate, judged by every block gate and synthesised. Each gate is booked once."""
    shop, order = session.shop, order_of(draft)
    design = session.lay_out(draft)
    names = {name: session.campaign.texts.put(text) for name, text in draft.files.items()}
    parameters = design.manifest.parameters
    blank = Candidate(order, parameters, names, False, (), None, 1, "mcp")
    key = f"mcp/{draft.id}/{design.tree_hash[:16]}"
    outcomes = run_gates(gates.BLOCK_GATES, draft.block, key, session.round,
                         lambda gate: shop.evaluator.check_block(design, draft.block, gate), shop)  # fmt: skip
    if not all(outcome.passed for outcome in outcomes):
        return replace(blank, outcomes=outcomes)
    shop.pay(f"{key}/cost", "synthesise", session.round)
    cost = shop.evaluator.block_cost(design, draft.block)
    return replace(blank, passed=True, outcomes=outcomes, cost=cost)


def known(draft: Draft, session: Session) -> Candidate:
    """What run_gates found of the draft; InputError if it was not run."""
    identity = order_of(draft).key
    for candidate in session.campaign.ledger.candidates(before=session.round):
        if candidate.id == identity:
            return candidate
    raise InputError("its gates were not run", draft.id, "call run_gates first")


def findings_of(candidate: Candidate) -> list[str]:
    """A line a gate, with what it found, condensed."""
    contract, lines = contracts.load(candidate.block), []
    for outcome in candidate.outcomes:
        lines.append(f"{outcome.gate}: {'passed' if outcome.passed else 'refused'}")
        lines += [f"- {finding}" for finding in condense(outcome, contract)]
    return lines
