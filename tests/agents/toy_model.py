"""A provider in this process that answers each role from the prompt alone, so that every run is asked the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.campaign import Campaign
from agents.designers.llm import LlmDesigner
from agents.designers.space import Space
from agents.evaluator import Evaluator
from agents.models import Model, Reply, Request, Usage
from agents.models.meter import Metered
from agents.models.record import Recorded
from tests.agents.stand_in import ToyLibrary

BLOCKS = ("requantizer", "array", "activation", "softmax", "norm", "eltwise")


class ToyModel:
    """Orders two blocks a round; writes each wrong first, then `quick`; the array never comes right."""

    name = "chat:toy"

    def ask(self, request: Request) -> Reply:
        """The scripted answer; 100 tokens in, 10 out."""
        return Reply(json.dumps(self._answer(request)), "done", Usage(100, 10), self.name)

    def _answer(self, request: Request) -> dict[str, Any]:
        if request.purpose == "planner":
            first = 2 * (request.round - 1) % len(BLOCKS)
            orders = [{"block": block, "intent": f"make {block} quick"} for block in BLOCKS[first : first + 2]]
            return {"reason": f"round {request.round}", "stop": False, "parameters": [], "orders": orders}
        if request.purpose == "verifier":
            return {"findings": ["write quick"]}
        said = "\n".join(message.text for message in request.messages)
        block = request.block
        word = "quick" if "a gate refused what you wrote" in said and block != "array" else "broken"
        text = f"// {word}\nmodule {block};\nendmodule\n" + "//\n" * ("a gate refused what you wrote" in said)
        return {"files": [{"name": f"{block}.v", "text": text}], "edits": []}


PAID, AGAIN = "paid", "again"


class Noted:
    """`model`, with every request it answered appended to a file before the answer is handed over: `paid`, or `again`
    if its answer was on disk already."""

    def __init__(self, model: Model, log: Path, exchanges: Path) -> None:
        self.name, self._model, self._log, self._exchanges = model.name, model, log, exchanges

    def ask(self, request: Request) -> Reply:
        """The answer of `model`."""
        key = request.key(self.name)
        word = AGAIN if (self._exchanges / f"{key}.json").exists() else PAID
        reply = self._model.ask(request)
        with self._log.open("a") as file:
            file.write(f"{word} {key}\n")
        return reply


def designer(model: Model, log: Path, campaign: Campaign, evaluator: Evaluator) -> LlmDesigner:
    """The LLM designer over the toy library, asking `model`, noted, recorded and metered."""
    recorded = Recorded(Noted(model, log, campaign.exchanges), campaign.exchanges)
    metered = Metered(recorded, campaign.ledger, campaign.settings.budget, {})
    space = Space(campaign.spec, evaluator.model_cycles)
    return LlmDesigner(metered, ToyLibrary(), space, without=campaign.settings.without)
