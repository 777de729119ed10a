"""What the graph's steps share: the campaign with its designer and evaluator, and how gates are run and booked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import yaml

from agents import limits
from agents.campaign import Campaign
from agents.designers import BudgetSpent, Context, Designer, Files, WorkOrder
from agents.evaluator import Evaluator
from agents.limits import BLOCK_EVALUATIONS, DESIGN_EVALUATIONS, TEMPLATE_EVALUATIONS
from agents.progress import Event, Kind, Progress
from agents.records import GateOutcome, Revision
from agents.state import Order, State
from agents.store import text_hash
from agents.traces import Traces, Untraced, Value
from hwlib import contracts
from hwlib.design import Design, Manifest, read_design

LESSON_CHARACTERS = 400


def level(block: str) -> int:
    """0 for a leaf; otherwise one more than the highest block it instantiates."""
    below = [name for name in contracts.load(block).uses if name in contracts.names()]
    return 1 + max(map(level, below)) if below else 0


TOP_LEVEL = max(level(name) for name in contracts.names())


@dataclass(frozen=True)
class Workshop:
    """What the nodes work with; not part of the state."""

    campaign: Campaign
    designer: Designer
    evaluator: Evaluator
    progress: Progress
    clock: limits.Clock = field(default_factory=limits.Clock)
    traces: Traces = field(default_factory=Untraced)

    def tell(self, kind: Kind, node: str, round_: int, *, block: str = "", gate: str = "", text: str = "",
             seconds: float = 0.0) -> None:  # fmt: skip
        """Report progress with the best objective so far."""
        found = best_revision(self.campaign)
        best = found.figures.objective if found and found.figures else None
        self.progress(Event(kind, node, round_, block, gate, text, best, seconds))

    def learn(self, topic: str, round_: int, text: str) -> None:
        """Keep a lesson about the round as a whole."""
        self.campaign.ledger.learn(f"{round_:03d}-{topic}", round_, f"round {round_}: {text}"[:LESSON_CHARACTERS])

    def revision(self, name: str) -> Revision:
        """The record of revision `name`."""
        return next(r for r in self.campaign.ledger.revisions() if r.revision == name)

    def check_time(self) -> None:
        """BudgetSpent if the campaign's wall time is."""
        why = limits.time_spent(self.campaign, self.clock)
        if why:
            raise BudgetSpent(why)

    def pay(self, key: str, kind: str, round_: int) -> None:
        """Book one evaluation before it is made; BudgetSpent if wall time or evaluations are."""
        self.check_time()
        most = self.campaign.settings.budget.evaluations
        if not self.campaign.ledger.reserve(key, kind, round_, most):
            raise BudgetSpent(f"budget: {most} evaluations")

    def laid_out(self, files: Files) -> Design:
        """`files` by path as a design to judge: a folder of the campaign's, the same for the same content."""
        folder = self.campaign.folder / "benches" / text_hash(str(sorted(files.items())))[:24]
        return read_design(folder if folder.exists() else self.campaign.revisions.lay_out(files, folder))

    def files(self, candidate: str) -> Files:
        """The text of a candidate's files, by name."""
        hashes = self.campaign.ledger.candidate(candidate).files
        return {name: self.campaign.texts.get(content) for name, content in hashes.items()}


def best_revision(campaign: Campaign) -> Revision | None:
    """The accepted revision, if there is one yet."""
    return next((r for r in campaign.ledger.revisions() if r.state == "accepted"), None)


def as_data(order: WorkOrder) -> Order:
    return Order(
        round=order.round, block=order.block, variant=order.variant, options=order.options, intent=order.intent,
        draft=order.draft, expected=order.expected, start=order.start,
    )  # fmt: skip


def as_order(data: Order) -> WorkOrder:
    return WorkOrder(**data)


def context(state: State, shop: Workshop) -> Context:
    """What the designer may know in this round; the same after a resume, since it comes from records only."""
    campaign, number = shop.campaign, state.get("round", 0)
    revisions = tuple(r for r in campaign.ledger.revisions() if r.round < number)
    return Context(
        spec=campaign.spec,
        seed=campaign.settings.seed,
        round=number,
        best=next((r for r in revisions if r.revision == state.get("best")), None),
        revisions=revisions,
        candidates=tuple(campaign.ledger.candidates(before=number)),
        lessons=campaign.ledger.lessons(before=number),
        rejections=campaign.ledger.rejections(),
        orders_left=orders_left(campaign, number),
        templates_an_order=max(1, order_evaluations(campaign) // TEMPLATE_EVALUATIONS),
        rounds_left=max(0, campaign.settings.budget.rounds - number - 1),
    )


def orders_left(campaign: Campaign, number: int) -> int:
    """Blocks that round `number` may order: what the evaluations left pay for, with repairs and the whole; of the llm
    designer the writers' checks and the verifiers' tests, graded after a refusal and run on attempts, too."""
    allowed = campaign.settings.budget.evaluations
    if allowed is None:
        return 10_000
    spent = sum(campaign.ledger.spent(r).evaluations for r in range(number))
    return max(0, (allowed - spent - DESIGN_EVALUATIONS) // order_evaluations(campaign))


def order_evaluations(campaign: Campaign) -> int:
    """What one order takes at most."""
    settings = campaign.settings
    each = BLOCK_EVALUATIONS * (1 + settings.repairs)
    return each + settings.tool_checks + 2 * settings.repairs + 1 if settings.designer == "llm" else each


def manifest_text(shop: Workshop, parameters: dict[str, int], variants: dict[str, str]) -> str:
    manifest = Manifest(
        name=shop.campaign.spec.name,
        parameters=parameters,
        variants={block: variant for block, variant in sorted(variants.items()) if variant},
        clock_ns=shop.campaign.spec.clock_ns,
    )
    return yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False)


def run_gates(gates: Sequence[str], scope: str, key: str, number: int, run: Callable[[str], GateOutcome],
               shop: Workshop) -> tuple[GateOutcome, ...]:  # fmt: skip
    """Run `gates` in order up to the first that fails; each is booked once. A spent budget is a gate that refuses."""
    outcomes: list[GateOutcome] = []
    for name in gates:
        try:
            shop.pay(f"{key}/{name}", name, number)
        except BudgetSpent as error:
            return (*outcomes, GateOutcome("budget", scope, False, (str(error),)))
        shop.tell("start", "verify", number, block=scope, gate=name)
        begin = time.monotonic()
        about: dict[str, Value] = {"rtloom.gate.name": name, "rtloom.gate.scope": scope, "rtloom.round": number}
        with shop.traces.span(f"gate {name}", about) as note:
            outcome = run(name)
            note({"rtloom.gate.passed": outcome.passed})
        outcomes.append(outcome)
        first = "" if outcome.passed else (outcome.findings or ("refused",))[0]
        shop.tell("done" if outcome.passed else "fail", "verify", number, block=scope, gate=name, text=first,
                  seconds=time.monotonic() - begin)  # fmt: skip
        if not outcome.passed:
            break
    return tuple(outcomes)


def keep(shop: Workshop, revision: Revision) -> None:
    shop.campaign.ledger.put_revision(revision.round, revision)
