"""What writer and verifier of a suite's problem answer; `prompts/suite_writer/answer.json` is this class's schema."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class SuiteAnswer(BaseModel):
    """A turn on a problem: the writer fills the text, the verifier the findings; the rest stays empty."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)

    text: str = Field(default="", description="the whole Verilog text of the answer")
    findings: list[str] = Field(
        default=[], description="each: what is wrong, where, and what to write instead; none accepts the text"
    )
