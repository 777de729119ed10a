"""What passes between the judge (outside) and the driver (inside the simulator): stimulus out, observations back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from hwlib.contracts.schema import Contract, Interface, evaluate
from hwlib.errors import InputError
from verification.benches.scenario import Agent, AxiMemory, Drive, Memory, Observed, Payload, Scenario, Seen, Wave


def encode(contract: Contract, point: Mapping[str, int], scenarios: Iterable[Scenario]) -> dict[str, Any]:
    """The stimulus as JSON data: interfaces with port names and widths, scenarios with hex payloads in field order.

    Raises InputError for a scenario that names an interface or field the contract does not have.
    """
    env = {name: p.default for name, p in contract.parameters.items()} | dict(point)
    interfaces = [_interface(i, env) for i in contract.interfaces]
    order = {i["name"]: [field[0] for field in i["fields"]] for i in interfaces}
    return {"interfaces": interfaces, "scenarios": [_scenario(s, order, contract.block) for s in scenarios]}


def decode(report: Mapping[str, Any], contract: Contract) -> Observed:
    """The driver's report of one scenario; X payload fields come back as -1. Pulses of a Respond carry no payload."""
    fields = {i.name: list(i.fields) for i in contract.interfaces}
    transfers = {
        name: [
            Seen(cycle, dict(zip(fields.get(name, ()), (int(w, 16) for w in words), strict=True)))
            for cycle, words in seen
        ]
        for name, seen in report["transfers"].items()
    }
    memories = {name: {a: int(word, 16) for a, word in words} for name, words in report["memories"].items()}
    wires = {name: dict(counts) for name, counts in report["wires"].items()}
    waits, before = dict(report["waits"]), report["before_reset"]
    return Observed(transfers, memories, wires, list(report["violations"]), report["cycles"], report["finished"],
                    waits, None if before is None else dict(before))  # fmt: skip


def _interface(interface: Interface, env: Mapping[str, int]) -> dict[str, Any]:
    stem = interface.name + interface.separator if interface.name else ""
    fields = [[name, stem + name, evaluate(str(width), env)] for name, width in interface.fields.items()]
    kind, direction = interface.kind, interface.direction
    return {"name": interface.name, "stem": stem, "kind": kind, "direction": direction, "fields": fields}


def _scenario(scenario: Scenario, order: Mapping[str, list[str]], block: str) -> dict[str, Any]:
    where = f"bench of {block}, scenario {scenario.name}"
    for name in [n.partition(".")[0] for n in scenario.until] + list(scenario.may_withdraw):
        _fields(order, name, where)
    return {
        "name": scenario.name,
        "seed": scenario.seed,
        "agents": [_agent(agent, order, where) for agent in scenario.agents],
        "until": [[name, count] for name, count in scenario.until.items()],
        "max_cycles": scenario.max_cycles,
        "drain": scenario.drain,
        "reset_after": list(scenario.reset_after) if scenario.reset_after else None,
        "may_withdraw": list(scenario.may_withdraw),
    }


def _agent(agent: Agent, order: Mapping[str, list[str]], where: str) -> dict[str, Any]:
    if isinstance(agent, Drive):
        fields = _fields(order, agent.interface, where)
        beats = [[_payload(b.payload, fields, where), [list(a) for a in b.after]] for b in agent.beats]
        return {"type": "Drive", "interface": agent.interface, "gap": agent.gap, "pause": agent.pause, "beats": beats}
    if isinstance(agent, Wave):
        fields = _fields(order, agent.interface, where)
        rows = [_payload(v, fields, where) for v in agent.values]
        return {"type": "Wave", "interface": agent.interface, "values": rows}
    data = asdict(agent) | {"type": type(agent).__name__}
    if isinstance(agent, Memory):
        data["image"] = [[address, f"{word:x}"] for address, word in agent.image.items()]
    if isinstance(agent, AxiMemory):
        data["image"] = _runs(agent.image)
    return data


def _fields(order: Mapping[str, list[str]], interface: str, where: str) -> list[str]:
    if interface not in order:
        raise InputError(f"no interface '{interface}'", where, f"use one of {', '.join(order)}")
    return order[interface]


def _payload(payload: Payload, fields: list[str], where: str) -> list[str]:
    if set(payload) != set(fields):
        raise InputError(f"payload fields {sorted(payload)}", where, f"give exactly {fields}")
    return [f"{payload[name]:x}" for name in fields]


def _runs(image: Mapping[int, int]) -> list[list[Any]]:
    """Consecutive bytes joined: [start, hex]."""
    runs: list[tuple[int, bytearray]] = []
    for address in sorted(image):
        if not runs or address != runs[-1][0] + len(runs[-1][1]):
            runs.append((address, bytearray()))
        runs[-1][1].append(image[address])
    return [[start, data.hex()] for start, data in runs]
