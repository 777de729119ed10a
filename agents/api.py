"""What the command line and the web page call: campaigns, designs by name, and review decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from agents import campaign as campaigns
from agents import checkpoints as checkpointing
from agents import decisions, limits, traces, watching
from agents.campaign import Campaign, Settings
from agents.designers import Designer
from agents.evaluator import Evaluator
from agents.ledger import pareto_front
from agents.models.prices import Price, price_list, prices_of
from agents.models.stream import closed_on_interrupt
from agents.models.team import cast
from agents.progress import Progress, silent
from agents.records import Budget, CampaignResult, CampaignState, CampaignStatus, PendingReview, Revision
from agents.roles import omissions
from agents.spending import Spending, spending
from agents.workshop import Workshop, best_revision
from hwlib.design import EXPERT, Design, read_design
from hwlib.errors import InputError
from hwlib.spec import Spec, read_spec

DesignerName = Literal["search", "llm"]
ReviewMode = Literal["auto", "wait"]
Evaluators = Callable[[Spec], Evaluator]
Designers = Callable[[Campaign, Evaluator], Designer]


def flow_evaluator(spec: Spec) -> Evaluator:
    """The real judge; InputError for a missing tool or an unknown technology, before anything is begun.

    Imported here, since the compiler takes seconds to import and most commands need neither.
    """
    from agents.flow import FlowEvaluator
    from verification.sandbox import protection
    from verification.toolchain import find_tools, require

    require(*(tool.name for tool in find_tools() if not tool.optional))
    protection()
    return FlowEvaluator(spec)


def start_campaign(
    spec: Path | Spec,
    *,
    designer: DesignerName = "search",
    model: str = "",
    budget: Budget | None = None,
    seed: int = 0,
    review: ReviewMode = "auto",
    name: str = "",
    prices: Path | None = None,
    drafts: int = 1,
    without: tuple[str, ...] = (),
    checkpoints: str = "",
    progress: Progress = silent,
    evaluators: Evaluators = flow_evaluator,
    designers: Designers | None = None,
) -> CampaignResult:
    """Create the campaign and run it to its end, a review wait or a stop. `name` defaults to the spec's name.

    `model` is what --model says (`models.team`), `prices` a table over the shipped one, `drafts` how many of each order
    an LLM designer writes, `without` what it does without (`roles.omissions`), `checkpoints` the PostgreSQL server for
    the graph's checkpoints (`agents.checkpoints`; empty: a file in the campaign's folder). `evaluators` and `designers`
    make the judge and the designer, in place of the real judge and the one that is asked for.
    Raises InputError if a campaign of that name exists, or the spec, model, key, prices or budget is bad; a campaign
    that fails so before it judged anything leaves nothing behind.
    """
    omissions.check(without)
    asked = spec if isinstance(spec, Spec) else read_spec(spec)
    settings = Settings(
        name=name or asked.name, designer=designer, model=model, seed=seed, budget=budget or Budget(), review=review,
        prices=_prices(model, prices), drafts=drafts, without=without,
        checkpoints=checkpoints,
    )  # fmt: skip
    return _begin(asked, settings, progress, evaluators, designers)


def _prices(model: str, file: Path | None) -> dict[str, Price]:
    """The prices of the models in `model`."""
    listed = price_list(file)
    return prices_of(cast(model).words, listed) if model else {}


def _begin(
    spec: Spec,
    settings: Settings,
    progress: Progress,
    evaluators: Evaluators,
    designers: Designers | None,
    prepare: Callable[[Campaign], None] = lambda campaign: None,
) -> CampaignResult:
    """Create the campaign, `prepare` it and run it."""
    limits.check(settings.budget)
    campaigns.check_free(settings.name)
    checkpointing.check(settings.checkpoints)
    traces.check()
    evaluator = evaluators(spec)
    campaign = Campaign.create(spec, settings)
    try:
        prepare(campaign)
        return _run(campaign, progress, lambda spec: evaluator, designers, fresh=True)
    finally:
        campaign.close()


def replay_campaign(
    name: str,
    *,
    called: str = "",
    progress: Progress = silent,
    evaluators: Evaluators = flow_evaluator,
    designers: Designers | None = None,
) -> tuple[CampaignResult, bool]:
    """Run campaign `name` again as the new one `called`, its models answering from the record, without a network.

    Returns how that ended, and whether it made the same revisions with the same fate. Wall time does not limit it.
    InputError if something is asked that was not recorded.
    """
    with _opened(name) as old:
        if old.settings.designer == "mcp":
            raise InputError("its designer came through rtloom mcp and is not recorded", f"campaign '{name}'")
        budget = old.settings.budget.model_copy(update={"wall_s": None})
        settings = old.settings.model_copy(
            update={"name": called or f"{name}-replay", "replay": True, "budget": budget, "checkpoints": ""}
        )
        known = old.ledger.revisions()
        result = _begin(old.spec, settings, progress, evaluators, designers, lambda new: new.remember(old))
    while result.status.state == "waiting" and not pending_reviews(settings.name):
        result = resume_campaign(settings.name, progress=progress, evaluators=evaluators, designers=designers)
    again = revisions(settings.name)
    return result, [(r.revision, r.state) for r in again] == [(r.revision, r.state) for r in known]


def resume_campaign(
    name: str,
    *,
    progress: Progress = silent,
    evaluators: Evaluators = flow_evaluator,
    designers: Designers | None = None,
) -> CampaignResult:
    """Continue after a kill, a stop or a review decision. An ended campaign just reports its result again."""
    with _opened(name) as campaign:
        return _run(campaign, progress, evaluators, designers)


def _run(
    campaign: Campaign, progress: Progress, evaluators: Evaluators, designers: Designers | None, fresh: bool = False
) -> CampaignResult:
    """Run it. A fresh one that InputError ends before anything was judged is removed."""
    from agents import runner
    from agents.designers.choose import designer_for

    with (
        campaign.locked(), closed_on_interrupt(), watching.kept(campaign, progress) as told,
        traces.opened(told) as spans,
    ):  # fmt: skip
        try:
            evaluator = evaluators(campaign.spec)
            made = designers(campaign, evaluator) if designers else designer_for(campaign, evaluator, told, spans)
            _, why = runner.run(Workshop(campaign, made, evaluator, told, traces=spans))
        except InputError:
            spent = campaign.ledger.spent()
            if fresh and not spent.evaluations and not spent.tokens:
                checkpointing.forget(campaign)
                campaign.remove()
            raise
    status = _status(campaign)
    folder = campaign.revisions.checkout(status.best.revision) if status.best else None
    return CampaignResult(status, status.best, folder, why)


def stop_campaign(name: str) -> None:
    """Ask the running campaign to stop after the step it is in; `resume_campaign` continues it."""
    with _opened(name) as campaign:
        if not campaign.running:
            raise InputError(f"campaign '{name}' is not running", str(campaign.folder), f"rtloom status {name}")
        campaign.request_stop()


def campaign_status(name: str) -> CampaignStatus:
    """The campaign at a glance; reads only, works while it runs."""
    with _opened(name) as campaign:
        return _status(campaign)


def follow_campaign(name: str, poll_s: float = watching.POLL_S) -> Iterator[watching.Glance]:
    """What the campaign does, every `poll_s`, until no process works on it; reads only."""
    with _opened(name) as campaign:
        yield from watching.glances(campaign, poll_s)


def list_campaigns() -> list[CampaignStatus]:
    """Every campaign that can be read, by name."""
    return survey()[0]


def survey() -> tuple[list[CampaignStatus], list[str]]:
    """Every campaign, by name; and of each damaged one, a line that says what is wrong with which file."""
    found, damaged = [], []
    for name in campaigns.names():
        try:
            found.append(campaign_status(name))
        except InputError as error:
            damaged.append(str(error))
    return found, damaged


def revisions(name: str) -> list[Revision]:
    """Every revision of the campaign, oldest first, with gates, figures and cost."""
    with _opened(name) as campaign:
        return campaign.ledger.revisions()


def accepted_design(name: str) -> Path:
    """Folder of the campaign's accepted design (best so far while it runs); InputError if there is none yet."""
    with _opened(name) as campaign:
        best = best_revision(campaign)
        if best is None:
            raise InputError(f"campaign '{name}' has no accepted design", str(campaign.folder), f"rtloom resume {name}")
        return campaign.revisions.checkout(best.revision)


def revision_design(name: str, revision: str) -> Path:
    """Folder with `revision` (full hash, unique prefix, or rN for round N's) checked out."""
    with _opened(name) as campaign:
        return campaign.revisions.checkout(_find(campaign, revision).revision)


def resolve_design(word: str) -> Design:
    """The design `word` names: "expert", a design folder, a campaign, or campaign:revision."""
    if word == "expert":
        return read_design(EXPERT)
    name, _, revision = word.partition(":")
    if name in campaigns.names():
        return read_design(revision_design(name, revision) if revision else accepted_design(name))
    if not Path(word).is_dir():
        raise InputError(f"no design '{word}'", "", "give `expert`, a design folder, a campaign or campaign:revision")
    return read_design(Path(word))


def pending_reviews(name: str) -> list[PendingReview]:
    """Revisions of the campaign that wait for a decision."""
    with _opened(name) as campaign:
        return decisions.pending(campaign)


def record_decision(name: str, revision: str, approve: bool, reason: str, tree_hash: str) -> None:
    """Record a review decision against the tree hash; void (InputError) if that is not the revision's tree hash.

    A rejection needs a reason; it goes to the designer as a constraint. `resume_campaign` continues the campaign.
    """
    with _opened(name) as campaign:
        decisions.decide(campaign, _find(campaign, revision), approve, reason, tree_hash)


def _find(campaign: Campaign, word: str) -> Revision:
    known = campaign.ledger.revisions()
    found = [r for r in known if word == f"r{r.round}" or (len(word) >= 4 and r.revision.startswith(word))]
    if len(found) != 1:
        names = ", ".join(f"r{r.round}" for r in known) or "none yet"
        raise InputError(f"no single revision '{word}'", campaign.name, f"revisions: {names}")
    return found[0]


def _status(campaign: Campaign) -> CampaignStatus:
    known = campaign.ledger.revisions()
    settings = campaign.settings
    return CampaignStatus(
        name=campaign.name,
        folder=campaign.folder,
        state=_state(campaign),
        designer=settings.designer,
        model=settings.model,
        seed=settings.seed,
        round=max((r.round for r in known), default=0),
        budget=settings.budget,
        spent=campaign.ledger.spent(),
        objective=campaign.spec.objective,
        baseline=next((r for r in known if r.round == 0 and r.figures), None),
        best=best_revision(campaign),
        revisions=len(known),
        pareto=pareto_front(known),
        lessons=campaign.ledger.lessons(before=10**9),
        spending=_spending(campaign),
        why=campaign.ledger.fact("why"),
    )


def _spending(campaign: Campaign) -> Spending | None:
    ledger, settings = campaign.ledger, campaign.settings
    calls = ledger.calls()
    if not calls:
        return None
    writers = tuple(word.partition("@")[0] for word in cast(settings.model).writer) if settings.model else ()
    candidates = ledger.candidates(before=10**9)
    return spending(calls, candidates, ledger.revisions(), writers, settings.prices, ledger.spent)


def _state(campaign: Campaign) -> CampaignState:
    kept = campaign.ledger.fact("state") or "running"
    if kept == "running" and not campaign.running:
        return "interrupted"
    return kept  # type: ignore[return-value]  # only the runner writes it, from CampaignState


@contextmanager
def _opened(name: str) -> Iterator[Campaign]:
    campaign = Campaign.open(name)
    try:
        yield campaign
    finally:
        campaign.close()
