"""The server itself: the tools over the MCP SDK, on stdin and stdout, one request at a time."""

from __future__ import annotations

import sys
import traceback
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp_types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)
from pydantic import ValidationError

from agents.designers import BudgetSpent
from agents.mcp.drafts import Draft
from agents.mcp.requests import REQUESTS, Request
from agents.mcp.session import Session
from agents.tools import Call
from agents.tools.contracts import ReadContract
from agents.tools.earlier import ListEarlier, ReadEarlier
from agents.tools.numerics import ReadNumerics
from agents.tools.templates import ListTemplates, ReadTemplate
from agents.tools.use import cut, shown
from hwlib.errors import InputError, plain

READING: dict[str, type[Call]] = {
    "read_contract": ReadContract,
    "read_numerics": ReadNumerics,
    "list_templates": ListTemplates,
    "read_template": ReadTemplate,
    "list_earlier": ListEarlier,
    "read_earlier": ReadEarlier,
}
JUDGING: dict[str, type[Request]] = {request.name: request for request in REQUESTS}
LINE = 600
"""Characters of an error: one line."""
INSTRUCTIONS = """\
You write blocks of a transformer accelerator in Verilog-2005. Read a block's contract and its current files, hand in a
draft (submit_draft), try it (check_draft, synthesise_draft), have it judged (run_gates), and when it passed put it into
the design (submit_design). Smaller objective is better. Every judgement is booked in the campaign's ledger.
"""


def serve(session: Session) -> None:
    """Serve one client on stdin and stdout until it leaves."""
    anyio.run(_serve, session)


async def _serve(session: Session) -> None:
    one_at_a_time = anyio.CapacityLimiter(1)

    async def list_tools(context: Any, params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=tools())

    async def call_tool(context: Any, params: CallToolRequestParams) -> CallToolResult:
        work = partial(answer, session, params.name, params.arguments or {})
        return await anyio.to_thread.run_sync(work, limiter=one_at_a_time)

    server = Server("rtloom", instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def tools() -> list[Tool]:
    """Every tool with its schema, which is that of its class."""
    found = []
    for name, call in READING.items():
        schema = call.model_json_schema()
        del schema["properties"]["tool"]
        schema["required"] = [field for field in schema.get("required", []) if field != "tool"]
        found.append(Tool(name=name, description=schema.pop("description"), input_schema=schema))
    for name, request in JUDGING.items():
        schema = request.model_json_schema()
        found.append(Tool(name=name, description=schema.pop("description"), input_schema=schema))
    return found


def answer(session: Session, name: str, arguments: dict[str, Any]) -> CallToolResult:
    """A tool's result, or one line that says what is wrong with the request."""
    try:
        with session.timed():
            return _result(cut(shown(_answer(session, name, arguments))))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "arguments"
        return _result(f"{name}: {where}: {first['msg']}", wrong=True)
    except (InputError, BudgetSpent) as error:
        return _result(f"{name}: {error}", wrong=True)
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)
        return _result(f"{name}: a fault in rtloom ({type(error).__name__})", wrong=True)


def _answer(session: Session, name: str, arguments: dict[str, Any]) -> str:
    if name in READING:
        call = READING[name].model_validate(arguments | {"tool": name})
        return call.answer(session.desk(Draft("", "", {})))
    if name in JUDGING:
        return JUDGING[name].model_validate(arguments).answer(session)
    raise InputError(f"no tool '{name[:60]}'", "tools/call", f"use one of {', '.join([*READING, *JUDGING])}")


def _result(text: str, wrong: bool = False) -> CallToolResult:
    said = " ".join(plain(text, LINE).split()) if wrong else text
    return CallToolResult(content=[TextContent(type="text", text=said)], is_error=wrong)
