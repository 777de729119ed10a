"""Round 0 of every designer: the template defaults at a middling parameter point, to be bettered."""

from __future__ import annotations

from agents.cost import Choice
from agents.designers import Context, Plan, WorkOrder
from agents.designers.library import Library
from agents.designers.space import Space
from hwlib import contracts


def baseline(context: Context, library: Library, space: Space) -> Plan:
    """Order the defaults; past round 0 there is nothing to build on, and the campaign ends."""
    parameters = space.default_point()
    if context.round > 0:
        return Plan(parameters, (), "failed: the template defaults did not pass their gates")
    orders = tuple(order_for(0, library.choices(block)[0]) for block in contracts.names())
    return Plan(parameters, orders, f"baseline: template defaults at T={parameters['T']} D={parameters['D']}")


def order_for(round_: int, choice: Choice) -> WorkOrder:
    """The order to render `choice`."""
    return WorkOrder(round_, choice.block, choice.variant, dict(choice.options))
