"""The main job from end to end: tools, model, campaign, accuracy on the RTL, comparison, and the bounds to meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import hwlib
import mfm
import verification
from agents import api, campaign
from agents.compare import Accuracy, Comparison
from agents.kept import sources
from agents.measure import compare_designs
from agents.progress import Progress
from agents.records import Budget, CampaignResult
from agents.report import Step
from hwlib.errors import InputError
from hwlib.spec import Spec
from mfm import api as mfm_api
from verification import cache, sandbox
from verification.system.simulation import MemoryModel
from verification.toolchain import find_tools, require

LEAST_ACCURACY = 0.97
MOST_LOSS = 0.005
"""Bounds: float accuracy, and what the integer model may differ from it (shares of 1)."""

Announce = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """A bound, whether it holds, and the figures that say so."""

    name: str
    holds: bool
    figures: str


@dataclass(frozen=True)
class Demonstration:
    """What the main job gave."""

    result: CampaignResult
    comparison: Comparison
    checks: tuple[Check, ...]
    steps: tuple[Step, ...]


class _Steps:
    """Times steps, and announces each before it begins."""

    def __init__(self, announce: Announce) -> None:
        self.done: list[Step] = []
        self._announce = announce

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self._announce(name)
        begin = time.monotonic()
        yield
        self.done.append(Step(name, time.monotonic() - begin))


def demonstrate(
    spec: Spec, budget: Budget, seed: int, images: int, announce: Announce, progress: Progress
) -> Demonstration:
    """Do the main job on `spec`, whose workload must be a digits model; `images` of the test set run on each RTL.

    Raises InputError if a tool is missing, or the campaign ends without an accepted design.
    """
    steps = _Steps(announce)
    with steps.step("tools"):
        _require_tools()
    with steps.step("model: trained on scikit-learn's digits, quantized"):
        mfm_api.load_graph(spec.workload.model)
    with steps.step("campaign: the search designer"):
        result = _campaign(spec, budget, seed, progress)
    words = (result.status.name, "expert")
    with steps.step(f"accuracy: float and integer, and {images} images on the RTL of both designs"):
        accuracy = tuple(_accuracy(word, spec, images) for word in words)
    with steps.step("comparison: synthesis, workload and gates of both designs"):
        found = replace(compare_designs(words, spec), accuracy=accuracy)
    return Demonstration(result, found, checks(found, result), tuple(steps.done))


def _require_tools() -> None:
    require(*(tool.name for tool in find_tools() if not tool.optional))
    sandbox.protection()


def _campaign(spec: Spec, budget: Budget, seed: int, progress: Progress) -> CampaignResult:
    """Run the campaign, or go on with the one this very software began for this spec, budget and seed."""
    name = f"{spec.name}-demo-{_identity(spec, budget, seed)[:8]}"
    if name in campaign.names():
        result = api.resume_campaign(name, progress=progress)
    else:
        result = api.start_campaign(spec, budget=budget, seed=seed, name=name, progress=progress)
    if result.design is None:
        raise InputError(f"no design was accepted ({result.why})", f"campaign '{name}'", f"see: rtloom status {name}")
    return result


def _identity(spec: Spec, budget: Budget, seed: int) -> str:
    """Hash of everything a campaign follows from."""
    rooms = [Path(room.__file__ or "").parent for room in (hwlib, verification, mfm)] + [Path(__file__).parent]
    kinds = ("py", "yaml", "j2", "v")
    parts = {f"{room.name} {kind}": sources(room, f"**/*.{kind}") for room in rooms for kind in kinds}
    return cache.digest(parts | {"asked": f"{spec.model_dump_json()} {budget.model_dump_json()} {seed}"})


def _accuracy(word: str, spec: Spec, images: int) -> Accuracy:
    memory = MemoryModel(latency=spec.memory.latency_cycles)
    found = mfm_api.evaluate(spec.workload.model, api.resolve_design(word), images, memory)
    if found.rtl_images is None or found.rtl_accuracy is None or found.logits_equal is None:
        raise InputError("nothing ran on the RTL", word)
    return Accuracy(
        label=word,
        float_accuracy=found.float_accuracy,
        integer_accuracy=found.integer_accuracy,
        test_images=found.test_images,
        rtl_accuracy=found.rtl_accuracy,
        images=found.rtl_images,
        logits_equal=found.logits_equal,
    )


def checks(found: Comparison, result: CampaignResult) -> tuple[Check, ...]:
    """The bounds of the main job: accuracy, exactness on the RTL, gates, and gain over the templates' defaults."""
    first = found.accuracy[0]
    loss = abs(first.float_accuracy - first.integer_accuracy)
    return (
        Check(f"float accuracy at least {LEAST_ACCURACY:.0%}", first.float_accuracy >= LEAST_ACCURACY,
              f"{first.float_accuracy:.2%} of {first.test_images} test images"),
        Check(f"integer within {100 * MOST_LOSS:g} points of float", loss <= MOST_LOSS,
              f"{first.integer_accuracy:.2%}"),
        *(
            Check(f"RTL of {a.label} equals the golden executor, every logit", a.logits_equal,
                  f"{a.images} images, {a.rtl_accuracy:.2%} right") for a in found.accuracy
        ),
        *(
            Check(f"{entry.label} passes every gate", entry.verified is True,
                  f"{sum(gate.passed for gate in entry.gates)} of {len(entry.gates)}") for entry in found.entries
        ),
        _gain(result),
    )  # fmt: skip


def _gain(result: CampaignResult) -> Check:
    """Better than the templates' defaults, on the spec's objective."""
    name = f"accepted design beats the templates' defaults ({result.status.objective})"
    first, best = result.status.baseline, result.accepted
    if first is None or first.figures is None or best is None or best.figures is None:
        return Check(name, False, "the defaults were not measured")
    ratio = best.figures.objective / first.figures.objective
    figures = f"{best.figures.objective:.4g} against {first.figures.objective:.4g} ({ratio:.3f})"
    return Check(name, ratio < 1, figures)
