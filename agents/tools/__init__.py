"""The tools whoever writes RTL may use, a model in a campaign or an MCP client: one subject a module.

A tool is a class of calls: its fields are the arguments, its docstring says what it does, `answer` gives the result as
text. None shows the expert's RTL, a bench or what the sealed gate draws: they know contracts, numerics, templates, the
campaign's own records, and what gates and synthesis say of a draft.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from agents.tools.desk import Desk


def untitled(schema: dict[str, Any]) -> None:
    """Drop the titles pydantic makes up: schemas are read by models, and paid for."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class Call(BaseModel):
    """One use of a tool; `tool` is its name."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=untitled)

    judges: ClassVar[bool] = False
    """Whether a use is an evaluation: it runs gates or synthesis."""
    done: ClassVar[bool] = False
    """Whether it was done before it is booked, so that no allowance can refuse it: it changes the draft."""
    tool: str

    @abstractmethod
    def answer(self, desk: Desk) -> str:
        """The result. InputError for arguments that name nothing."""
