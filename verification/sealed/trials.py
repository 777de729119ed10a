"""Sealed scenarios: those of a block's bench from a secret seed, with other bubbles, refusals, latencies and resets."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from verification.benches.scenario import Accept, Agent, AxiMemory, Drive, Memory, Scenario, ScenarioFactory
from verification.sealed.points import hidden_points
from verification.simulate import Simulator

LOWEST, GAP, STALL = 0.02, 0.5, 0.6
"""Probabilities a cycle of bubbles and refusals lie between the lowest and these."""
LATENCY = 12
SLACK = 4
"""How much longer a scenario may take with the strongest of them."""
RESETS = 0.4
"""Share of the scenarios without a reset that get one. None of those that end with a fault does: it may come before the
beat after which to reset, and then nothing would."""
FAULT = "fault"


@dataclass(frozen=True)
class Trial:
    """One simulation: a point, what is driven, and the seed of the stimulus and of Verilator's initial state."""

    point: dict[str, int]
    simulator: Simulator
    scenarios: tuple[Scenario, ...]
    seed: int

    @property
    def promised(self) -> int:
        """Transactions its scenarios compare."""
        return sum(scenario.transactions for scenario in self.scenarios)


POINTS = 2
"""Points a block is tried at."""
TRANSACTIONS = 240
"""At least so many are compared at each, over its scenarios."""
LONG = 1000
"""At least so many are compared in one scenario without a reset, at one of the points."""
ON_ICARUS = ("activation", "control")
"""Blocks so small at every sealed point that Icarus is quicker than building a Verilator model."""


def trials(block: str, factory: ScenarioFactory, used: Sequence[Mapping[str, int]], seed: int) -> list[Trial]:
    """What `block` is tried with: at points not among `used`, everything else drawn from `seed` too."""
    rng = _dice(block, seed)
    simulator: Simulator = "icarus" if block in ON_ICARUS else "verilator"
    points = hidden_points(block, used, rng, POINTS)
    return [_trial(factory, point, simulator, rng, index == 0) for index, point in enumerate(points)]


def trial_at(block: str, factory: ScenarioFactory, point: Mapping[str, int], seed: int) -> Trial:
    """The trial of `block` at a point of the caller's choice: how strict the sealed ones are, not what they are."""
    return _trial(factory, point, "verilator", random.Random(f"{seed} {block}"), True)


def _trial(
    factory: ScenarioFactory, point: Mapping[str, int], simulator: Simulator, rng: random.Random, longer: bool
) -> Trial:
    start = rng.getrandbits(28)
    scenarios = [varied(scenario, rng) for scenario in factory(point, start, TRANSACTIONS)]
    if longer:
        scenarios.append(long(factory, point, rng, LONG))
    rng.shuffle(scenarios)
    return Trial(dict(point), simulator, tuple(scenarios), start)


def points(block: str, used: Sequence[Mapping[str, int]], seed: int) -> list[dict[str, int]]:
    """Where `trials` tries it."""
    return hidden_points(block, used, _dice(block, seed), POINTS)


def _dice(block: str, seed: int) -> random.Random:
    return random.Random(f"{seed} {block}")


def long(factory: ScenarioFactory, point: Mapping[str, int], rng: random.Random, transactions: int) -> Scenario:
    """One scenario with many transactions and no reset: what answers right for a while only is seen to stop."""
    seed = rng.getrandbits(28)
    each = factory(point, seed, transactions * len(factory(point, seed, 1)))
    most = max(scenario.transactions for scenario in each)
    chosen = rng.choice([s for s in each if s.reset_after is None and 2 * s.transactions >= min(most, transactions)])
    return replace(varied(chosen, rng, reset=False), name=f"long {chosen.name}")


def varied(scenario: Scenario, rng: random.Random, reset: bool = True) -> Scenario:
    """`scenario` with bubbles, refusals and latencies of its own where its pace is not judged, and maybe a reset."""
    agents = tuple(_varied_agent(agent, rng) for agent in scenario.agents) if _loose(scenario) else scenario.agents
    moment = scenario.reset_after
    if reset and moment is None and FAULT not in scenario.until and rng.random() < RESETS:
        moment = _moment(scenario, rng)
    slack = SLACK if _loose(scenario) else 1
    return replace(scenario, agents=agents, max_cycles=scenario.max_cycles * slack, reset_after=moment,
                   seed=rng.getrandbits(28))  # fmt: skip


def smaller(factory: ScenarioFactory, trial: Trial) -> Iterator[Trial]:
    """Ever larger trials at the same point, all smaller than `trial`: as the bench has them, then varied, no resets
    before resets. The first that fails is the example to show."""
    rng = random.Random(trial.seed)
    for transactions in (1, TRANSACTIONS // 2):
        seed = rng.getrandbits(28)
        plain = [scenario for scenario in factory(trial.point, seed, transactions) if scenario.reset_after is None]
        yield replace(trial, scenarios=tuple(plain), seed=seed)
        yield replace(trial, scenarios=tuple(varied(scenario, rng, reset=False) for scenario in plain), seed=seed)


def _loose(scenario: Scenario) -> bool:
    """Whether all that can refuse does so sometimes, not mostly: of no such scenario do benches judge the pace."""
    refusing = [agent.stall for agent in scenario.agents if isinstance(agent, Accept | Memory | AxiMemory)]
    return bool(refusing) and all(0 < stall <= STALL for stall in refusing)


def _varied_agent(agent: Agent, rng: random.Random) -> Agent:
    if isinstance(agent, Drive):
        return replace(agent, gap=rng.uniform(LOWEST, GAP)) if 0 < agent.gap <= GAP else agent
    if isinstance(agent, Accept):
        return replace(agent, stall=rng.uniform(LOWEST, STALL))
    if isinstance(agent, Memory | AxiMemory):
        return replace(agent, stall=rng.uniform(LOWEST, STALL), latency=(1, rng.randint(1, LATENCY)))
    return agent


def _moment(scenario: Scenario, rng: random.Random) -> tuple[str, int] | None:
    """A beat of the longest drive, neither the first nor one of the last, after which to reset; None if it is short."""
    drives = [agent for agent in scenario.agents if isinstance(agent, Drive)]
    longest = max(drives, key=lambda drive: len(drive.beats), default=None)
    if longest is None or len(longest.beats) < 4:
        return None
    return longest.interface, rng.randint(1, len(longest.beats) - 2)
