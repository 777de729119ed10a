"""The shape of each role's answer. The JSON schemas under `prompts/` are generated from these classes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from agents.tools import untitled
from agents.tools.use import AnyCall


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


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


class Take(_Answer):
    """A block to try as a template has it: no writer is asked. Of what is tried of a block and what is written of it,
    or if nothing is what it is now, that is taken which serves the whole best."""

    block: str
    template: str = Field(description="variant and options, such as 'pipelined stages=2'; options not named: defaults")


class BlockOrder(_Answer):
    """A block to write: what to change in it, why it should pay, and by how much (it is held against what is measured;
    0: no change)."""

    block: str
    template: str = Field(default="", description="begin from this one, as in `templates`; empty: the block as it is")
    intent: str = Field(description="what to change, in a few sentences")
    hypothesis: str = Field(default="", description="why that pays, in one")
    area_percent: float = Field(default=0, description="of the block's area, such as -20")
    period_percent: float = Field(default=0, description="of the block's period")
    cycles_percent: float = Field(default=0, description="of the workload's cycles")


class PlannerAnswer(_Answer):
    """The plan of a round. `stop` ends the campaign; parameters not named keep their values; `parent` names the design
    to build on, rN of the archive, or is empty for the best. Orders come the most promising first."""

    reason: str = Field(description="one line: what is tried and why it should improve the objective")
    stop: bool
    parent: str = ""
    parameters: list[Setting]
    templates: list[Take] = []
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


class Test(_Answer):
    """A scenario of the bench to run on this block from now on, with another seed, length, pace or reset."""

    model_config = ConfigDict(json_schema_extra=untitled)

    scenario: str
    seed: int
    transactions: int
    gap: float = Field(description="probability of a bubble a cycle, 0 to 0.6")
    stall: float = Field(description="probability of a refusal a cycle, 0 to 0.6")
    reset_after: int = Field(description="reset after so many input beats, 0: as it is")


class BlockAnswer(_Answer):
    """A turn on a block. The RTL writer fills files and edits (files replace; edits apply to what is not replaced),
    removed for files the block no longer needs, and calls to use tools first; the verifier fills findings, and tests if
    it has any. The rest stays empty."""

    model_config = ConfigDict(json_schema_extra=_plain_union)

    files: list[File] = []
    edits: list[Edit] = []
    removed: list[str] = Field(default=[], description="names of files to take out")
    calls: list[AnyCall] = []
    findings: list[str] = Field(
        default=[], description="each: the cause, the place (file:line), and what to write instead; none gives it up"
    )
    tests: list[Test] = Field(default=[], description="at most one")
    note: str = Field(
        default="",
        description="the writer, handing in: what was changed and why it pays, in one line; a lesson for later, with "
        "what is measured",
    )


def schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an answer, in which every field is required, as providers that enforce one want it."""
    return answer.model_json_schema(mode="serialization")
