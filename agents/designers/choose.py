"""The designer a campaign asked for."""

from __future__ import annotations

import time

from agents.campaign import Campaign
from agents.designers import Designer
from agents.designers.library import TemplateLibrary
from agents.designers.search import SearchDesigner
from agents.designers.space import Space
from agents.evaluator import Evaluator
from agents.models import Listener, Model, Request
from agents.progress import Event, Progress, silent
from agents.traces import Traces, Untraced
from hwlib.errors import InputError

_NODES = {"planner": "plan", "rtl_writer": "write", "verifier": "verify"}
_SHOWN_S = 0.25
"""A stream's tokens are told this often."""
_UNTRACED = Untraced()


def designer_for(
    campaign: Campaign, evaluator: Evaluator, progress: Progress = silent, traces: Traces = _UNTRACED
) -> Designer:
    """Make the campaign's designer. InputError for an unknown model or a missing key."""
    space = Space(campaign.spec, evaluator.model_cycles, evaluator.cycle_use)
    if campaign.settings.designer == "search":
        return SearchDesigner(TemplateLibrary(), space)
    if campaign.settings.designer == "mcp":
        mend = f"go on with it: rtloom mcp --campaign {campaign.name}"
        raise InputError(f"campaign '{campaign.name}' is driven by an MCP client", str(campaign.folder), mend)
    return _llm_designer(campaign, space, progress, traces)


def _llm_designer(campaign: Campaign, space: Space, progress: Progress, traces: Traces) -> Designer:
    """Imports the providers' clients only here: they take seconds."""
    from agents.designers.llm import LlmDesigner
    from agents.models.meter import Metered, Purse
    from agents.models.team import Team, cast

    settings = campaign.settings

    purse = Purse(campaign.ledger, settings.budget)

    def make(word: str) -> Model:
        recorded = _recorded(campaign, word, progress, traces)
        return Metered(recorded, campaign.ledger, settings.budget, settings.prices, purse)

    team = Team.of(cast(settings.model), make)
    return LlmDesigner(team, TemplateLibrary(), space, drafts=settings.drafts, without=settings.without)


def _recorded(campaign: Campaign, word: str, progress: Progress, traces: Traces) -> Model:
    """The model `word` names, each of its answers kept; in a replay, the kept answers alone."""
    from agents.models.record import Recorded, Replay

    if campaign.settings.replay:
        return Replay(word.partition("@")[0], campaign.exchanges)
    from agents.models.choose import client
    from agents.models.retry import Retrying
    from agents.models.traced import TracedCalls

    called = TracedCalls(client(word, _telling(progress)), word, traces)
    return Recorded(Retrying(called), campaign.exchanges)


def _telling(progress: Progress) -> Listener:
    """A listener that passes on how much of an answer has come."""
    told: dict[tuple[str, str], float] = {}

    def listen(request: Request, tokens: int) -> None:
        now, place = time.monotonic(), (request.purpose, request.block)
        if now - told.get(place, 0.0) >= _SHOWN_S:
            told[place] = now
            node = _NODES.get(request.purpose, request.purpose)
            progress(Event("stream", node, request.round, request.block, text=f"~{tokens} tokens"))

    return listen
