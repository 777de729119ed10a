"""The shape of each role's answer. The JSON schemas under `prompts/` are generated from these classes."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


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


class BlockAnswer(_Answer):
    """A turn on a block. The RTL writer fills files and edits (files replace; edits apply to what is not replaced), the
    verifier findings; the rest stays empty."""

    files: list[File] = []
    edits: list[Edit] = []
    findings: list[str] = Field(
        default=[], description="each: the cause, the place (file:line), and what to write instead; none gives it up"
    )


def schema_of(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of an answer, in which every field is required, as providers that enforce one want it."""
    return answer.model_json_schema(mode="serialization")
