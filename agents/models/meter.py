"""Books every call in the campaign's ledger and refuses a call the budget does not allow."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from agents.designers import BudgetSpent
from agents.ledger import Ledger
from agents.models import Model, Reply, Request, Usage
from agents.records import Budget, Cost
from hwlib.errors import InputError


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    input: float
    cached: float
    output: float

    def of(self, usage: Usage) -> float:
        """Dollars for `usage`."""
        fresh = usage.input_tokens - usage.cached_tokens
        return (fresh * self.input + usage.cached_tokens * self.cached + usage.output_tokens * self.output) / 1e6


@lru_cache
def _prices() -> dict[str, Price]:
    data = yaml.safe_load((Path(__file__).parent / "prices.yaml").read_text())
    return {name: Price.model_validate(price) for name, price in data.items()}


def price_of(model: str) -> Price | None:
    """The listed price of `model` (as in --model); servers of one's own cost nothing, None where unknown."""
    return Price(input=0, cached=0, output=0) if model.startswith("chat:") else _prices().get(model)


class Metered:
    """`model` on a budget. `model` should record, so that a repeated call costs nothing and is booked once."""

    def __init__(self, model: Model, ledger: Ledger, budget: Budget) -> None:
        self.name = model.name
        self._model, self._ledger, self._budget = model, ledger, budget
        self._price = price_of(model.name)
        if budget.money_usd is not None and self._price is None:
            raise InputError(f"no price known for {model.name}", "--budget money", "set a budget of tokens instead")

    def ask(self, request: Request) -> Reply:
        """Ask if the budget allows; BudgetSpent if it does not."""
        spent = self._ledger.spent()
        if self._budget.tokens is not None and spent.tokens >= self._budget.tokens:
            raise BudgetSpent(f"budget: {self._budget.tokens} tokens")
        if self._budget.money_usd is not None and spent.money_usd >= self._budget.money_usd:
            raise BudgetSpent(f"budget: {self._budget.money_usd:.2f} USD")
        reply = self._model.ask(request)
        money = self._price.of(reply.usage) if self._price else 0.0
        cost = Cost(tokens=reply.usage.tokens, money_usd=money)
        self._ledger.charge(f"call/{request.key(self.name)}", request.purpose, request.round, cost)
        return reply
