"""Books every call in the campaign's ledger and refuses a call that the budget might not pay for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from agents.designers import BudgetSpent
from agents.ledger import UNPAID, Ledger
from agents.models import Model, Reply, Request, Usage
from agents.models.prices import Price
from agents.models.record import Recorded
from agents.records import Budget, ModelCall
from hwlib.errors import InputError

_UNPRICED: Mapping[str, Price] = MappingProxyType({})


class Purse:
    """What is left of a budget for model calls, with what calls under way may still take. One for all models of a
    campaign, as they are asked side by side."""

    def __init__(self, ledger: Ledger, budget: Budget) -> None:
        self._ledger, self._budget = ledger, budget
        self._settled = threading.Condition()
        self._under_way: list[tuple[int, float]] = []

    @contextmanager
    def held(self, tokens: int, money_usd: float) -> Iterator[None]:
        """Hold so much back for a call. Waits where that turns on calls under way; BudgetSpent if it is not there."""
        most = (tokens, money_usd)
        with self._settled:
            self._settled.wait_for(lambda: self._lacking(most, self._under_way) == "" or self._lacking(most, []) != "")
            lacking = self._lacking(most, [])
            if lacking:
                self._ledger.set_fact(UNPAID, lacking)
                raise BudgetSpent(lacking)
            self._under_way.append(most)
        try:
            yield
        finally:
            with self._settled:
                self._under_way.remove(most)
                self._settled.notify_all()

    def _lacking(self, most: tuple[int, float], others: list[tuple[int, float]]) -> str:
        """Which limit a call that takes `most` would pass, if `others` take all they may."""
        spent, budget = self._ledger.spent(), self._budget
        tokens = spent.tokens + sum(other[0] for other in others) + most[0]
        money = spent.money_usd + sum(other[1] for other in others) + most[1]
        if budget.tokens is not None and tokens > budget.tokens:
            return f"budget: {budget.tokens} tokens"
        if budget.money_usd is not None and money > budget.money_usd:
            return f"budget: {budget.money_usd:.2f} USD"
        return ""


class Metered:
    """`model` on a budget. `model` should record, so that a repeated call costs nothing and is booked once."""

    def __init__(
        self,
        model: Model,
        ledger: Ledger,
        budget: Budget,
        prices: Mapping[str, Price] = _UNPRICED,
        purse: Purse | None = None,
    ) -> None:
        self.name = model.name
        self._model, self._ledger = model, ledger
        self._purse = purse or Purse(ledger, budget)
        self._price = prices.get(model.name)
        if budget.money_usd is not None and self._price is None:
            mend = "give its price (--prices FILE), or a budget of tokens instead"
            raise InputError(f"no price known for {model.name}", "--budget money_usd", mend)

    def ask(self, request: Request) -> Reply:
        """Ask if the budget pays for the longest answer; BudgetSpent if not. What was answered before is free."""
        if isinstance(self._model, Recorded) and self._model.known(request):
            return self._booked(request)
        sent = request.tokens
        longest = Usage(sent, request.max_tokens, written_tokens=sent)
        with self._purse.held(longest.tokens, self._cost(longest) or 0.0):
            return self._booked(request)

    def _booked(self, request: Request) -> Reply:
        reply = self._model.ask(request)
        used = reply.usage
        self._ledger.book(f"call/{request.key(self.name)}", ModelCall(
            role=request.purpose, model=self.name, round=request.round, block=request.block, order=request.order,
            stop=reply.stop, input_tokens=used.input_tokens, cached_tokens=used.cached_tokens,
            written_tokens=used.written_tokens, output_tokens=used.output_tokens, estimated=used.estimated,
            money_usd=self._cost(used),
        ))  # fmt: skip
        return reply

    def _cost(self, usage: Usage) -> float | None:
        return self._price.of(usage) if self._price else None
