"""The shape of each role's answer. The JSON schemas under `prompts/` are generated from these classes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agents.tools import untitled
from agents.tools.use import AnyCall


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _plain_union(schema: dict[str, Any]) -> None:
    """All a provider that enforces schemas knows of unions is `anyOf`."""
    calls = schema["properties"]["calls"]
    calls["items"] = {"anyOf": calls["items"]["oneOf"]}
    _all_required(schema)


def _all_required(schema: dict[str, Any]) -> None:
    """Every property required and none with a default, as providers want it; what is left out is still understood."""
    for field in schema["properties"].values():
        field.pop("default", None)
    schema["required"] = list(schema["properties"])
    untitled(schema)


class Setting(_Answer):
    """One parameter of `top` and its value."""

    name: str
    value: int


class BlockOrder(_Answer):
    """A block to write, and what to change in it and why, in a few sentences."""

    block: str
    intent: str


class PlannerAnswer(_Answer):
    """The plan of a round. `stop` ends the campaign; parameters not named keep their values."""

    reason: str = Field(description="one line: what is tried and why it should improve the objective")
    stop: bool
    parameters: list[Setting]
    orders: list[BlockOrder]


class File(_Answer):
    """A whole file."""

    name: str = Field(description="file name, <module>.v")
    text: str


class Edit(_Answer):
    """Replace text that occurs exactly once in a file."""

    name: str
    search: str
    replace: str


class WriterAnswer(_Answer):
    """New files, or edits of the current ones (files replace; edits apply to what is not replaced). With `calls` they
    make the draft that the tools see; without, they hand the block in."""

    model_config = ConfigDict(json_schema_extra=_plain_union)

    files: list[File]
    edits: list[Edit]
    calls: list[AnyCall] = Field(default_factory=list)


class Test(_Answer):
    """A scenario of the bench to run on this block from now on, with another seed, length, pace or reset."""

    model_config = ConfigDict(json_schema_extra=untitled)

    scenario: str
    seed: int
    transactions: int
    gap: float = Field(description="probability of a bubble a cycle, 0 to 0.6")
    stall: float = Field(description="probability of a refusal a cycle, 0 to 0.6")
    reset_after: int = Field(description="reset after so many input beats, 0: as it is")


class VerifierAnswer(_Answer):
    """What was wrong, for the writer. No findings gives the attempt up."""

    model_config = ConfigDict(json_schema_extra=_all_required)

    findings: list[str] = Field(description="each: the cause, the place (file:line), and what to write instead")
    tests: list[Test] = Field(default_factory=list, description="at most one")
