"""The designer a campaign asked for."""

from __future__ import annotations

from agents.campaign import Campaign
from agents.designers import Designer
from agents.designers.library import TemplateLibrary
from agents.designers.search import SearchDesigner
from agents.designers.space import Space
from agents.evaluator import Evaluator
from hwlib.errors import InputError


def designer_for(campaign: Campaign, evaluator: Evaluator) -> Designer:
    """Make the campaign's designer. InputError for an unknown model or a missing key."""
    space = Space(campaign.spec, evaluator.model_cycles)
    if campaign.settings.designer == "search":
        return SearchDesigner(TemplateLibrary(), space)
    if campaign.settings.designer == "mcp":
        mend = f"go on with it: rtloom mcp --campaign {campaign.name}"
        raise InputError(f"campaign '{campaign.name}' is driven by an MCP client", str(campaign.folder), mend)
    return _llm_designer(campaign, space)


def _llm_designer(campaign: Campaign, space: Space) -> Designer:
    """Imports the providers' clients only here: they take seconds."""
    from agents.designers.llm import LlmDesigner
    from agents.models.choose import client
    from agents.models.meter import Metered
    from agents.models.record import Recorded
    from agents.models.retry import Retrying

    recorded = Recorded(Retrying(client(campaign.settings.model)), campaign.exchanges)
    return LlmDesigner(Metered(recorded, campaign.ledger, campaign.settings.budget), TemplateLibrary(), space)
