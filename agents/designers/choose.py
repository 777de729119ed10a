"""The designer a campaign asked for."""

from __future__ import annotations

from agents.campaign import Campaign
from agents.designers import Designer
from agents.designers.library import TemplateLibrary
from agents.designers.search import SearchDesigner
from agents.designers.space import Space
from agents.evaluator import Evaluator


def designer_for(campaign: Campaign, evaluator: Evaluator) -> Designer:
    """Make the campaign's designer. InputError for an unknown model or a missing key."""
    space = Space(campaign.spec, evaluator.model_cycles)
    return SearchDesigner(TemplateLibrary(), space)
