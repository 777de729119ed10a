"""Read what a block promises."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from agents.tools import Call
from agents.tools.desk import Desk
from hwlib import contracts
from hwlib.contracts.schema import Contract
from hwlib.design import platform_files
from hwlib.templates.render import module_header


class ReadContract(Call):
    """The contract of a block: ports, numerics, throughput, latency; of a platform cell, what it does and its ports."""

    tool: Literal["read_contract"]
    block: str

    def answer(self, desk: Desk) -> str:
        """Its parts in the order a writer needs them."""
        cells = {path.stem: path for path in platform_files()}
        if self.block in cells:
            return cell_text(cells[self.block])
        return contract_text(contracts.load(self.block))


def cell_text(path: Path) -> str:
    """What the platform's module in the file says of itself, and its header."""
    return path.read_text().partition("\n);")[0] + "\n);"


def contract_text(contract: Contract) -> str:
    """The contract for people and models, with the module header derived from it."""
    parameters = [f"- {name} = {p.default}: {p.doc} ({p.min} to {p.max})" for name, p in contract.parameters.items()]
    ports = [f"- {i.name} ({i.kind}, {i.direction}): {i.doc}" for i in contract.interfaces]
    parts = [
        f"{contract.block}: {contract.summary}",
        "\n".join(["Parameters:", *parameters]),
        f"Module header:\n{module_header(contract)}",
        "\n".join(["Interfaces:", *ports]),
        f"Behaviour:\n{contract.behaviour.strip()}",
        f"Throughput: {contract.throughput}\nLatency: {contract.latency}",
        f"Numerics: {', '.join(contract.numerics) or 'none'}\nIt may instantiate: {', '.join(contract.uses) or 'none'}",
    ]
    return "\n\n".join(parts)
