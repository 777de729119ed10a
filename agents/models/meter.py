"""Books every call in the campaign's ledger and refuses a call the budget does not allow."""

from __future__ import annotations

from collections.abc import Mapping

from agents.designers import BudgetSpent
from agents.ledger import Ledger
from agents.models import Model, Reply, Request
from agents.models.prices import Price
from agents.records import Budget, ModelCall
from hwlib.errors import InputError


class Metered:
    """`model` on a budget. `model` should record, so that a repeated call costs nothing and is booked once."""

    def __init__(self, model: Model, ledger: Ledger, budget: Budget, prices: Mapping[str, Price]) -> None:
        self.name = model.name
        self._model, self._ledger, self._budget = model, ledger, budget
        self._price = prices.get(model.name)
        if budget.money_usd is not None and self._price is None:
            mend = "give its price (--prices FILE), or a budget of tokens instead"
            raise InputError(f"no price known for {model.name}", "--budget money_usd", mend)

    def ask(self, request: Request) -> Reply:
        """Ask if the budget allows; BudgetSpent if it does not."""
        spent = self._ledger.spent()
        if self._budget.tokens is not None and spent.tokens >= self._budget.tokens:
            raise BudgetSpent(f"budget: {self._budget.tokens} tokens")
        if self._budget.money_usd is not None and spent.money_usd >= self._budget.money_usd:
            raise BudgetSpent(f"budget: {self._budget.money_usd:.2f} USD")
        reply = self._model.ask(request)
        used = reply.usage
        self._ledger.book(f"call/{request.key(self.name)}", ModelCall(
            role=request.purpose, model=self.name, round=request.round, block=request.block, order=request.order,
            stop=reply.stop, input_tokens=used.input_tokens, cached_tokens=used.cached_tokens,
            written_tokens=used.written_tokens, output_tokens=used.output_tokens, estimated=used.estimated,
            money_usd=self._price.of(used) if self._price else None,
        ))  # fmt: skip
        return reply
