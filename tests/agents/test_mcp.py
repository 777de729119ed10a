"""The MCP server with the SDK's own client over stdio: reading, a draft from hand-in to verdict, and bad requests."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters

from agents import api, cli
from agents.campaign import Campaign
from hwlib import contracts, templates
from hwlib.design import Manifest
from hwlib.generate import ROOT
from tests.agents.test_tools import broken, secret_lines

BLOCK = "requantizer"
SMALL = {"T": 4, "D": 4}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    """A design to build on: the templates' defaults, small."""
    manifest = Manifest(name="small", parameters=SMALL, clock_ns=20)
    return templates.render_design(tmp_path / "start", manifest, templates.defaults()).folder


def talk(tmp_path: Path, say: Callable[[Client], Awaitable[None]], *words: str) -> None:
    """Start the server as a client does, and `say` something to it."""
    code = "import sys; from agents.cli import run; sys.exit(run(sys.argv[1:]))"
    home = {"RTLOOM_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    server = StdioServerParameters(
        command=sys.executable, args=["-c", code, "mcp", *words], env=home, cwd=tmp_path
    )

    async def session() -> None:
        with anyio.fail_after(120):
            async with Client(server) as client:
                await say(client)

    anyio.run(session)


async def ask(client: Client, tool: str, /, **arguments: Any) -> str:
    """A tool's text; it must not be an error."""
    result = await client.call_tool(tool, arguments)
    text: str = result.content[0].text  # type: ignore[union-attr]
    assert not result.is_error, text
    return text


async def refused(client: Client, tool: str, /, **arguments: Any) -> str:
    """A tool's error: one line."""
    result = await client.call_tool(tool, arguments)
    text: str = result.content[0].text  # type: ignore[union-attr]
    assert result.is_error
    assert "\n" not in text
    assert "Traceback" not in text
    assert "a fault in rtloom" not in text
    return text


def files_of(texts: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "text": text} for name, text in texts.items()]


def test_a_draft_from_hand_in_to_verdict(tmp_path: Path, start: Path) -> None:
    async def say(client: Client) -> None:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert {"read_contract", "submit_draft", "check_draft", "run_gates", "submit_design"} <= names
        assert "T lanes of pipelined requantization" in await ask(client, "read_contract", block=BLOCK)
        assert "def requantize(" in await ask(client, "read_numerics", name="requantize")
        assert "pipelined: " in await ask(client, "list_templates", block=BLOCK)
        assert await ask(client, "read_current", block=BLOCK) == f"{BLOCK}.v"

        bad = (await ask(client, "submit_draft", block=BLOCK, files=files_of(broken()))).split()[1]
        found = await ask(client, "check_draft", draft=bad)
        assert "simulate: refused" in found
        assert "data differs in bits" in found
        assert "it did not pass" in await refused(client, "compare", draft=await judged(client, bad, "refused"))

        edit = {"name": f"{BLOCK}.v", "search": "shift - 6'd2", "replace": "shift - 6'd1"}
        good = (await ask(client, "submit_draft", block=BLOCK, draft=bad, edits=[edit])).split()[1]
        assert "critical path" in await ask(client, "synthesise_draft", draft=good)
        await judged(client, good, "all gates passed")
        assert "(+0.0 %)" in await ask(client, "compare", draft=good)
        shown = [found, await ask(client, "read_findings", draft=bad), await ask(client, "read_findings", draft=good)]
        lines = {line.strip() for text in shown for line in text.splitlines()}
        assert lines & secret_lines() == set()

    talk(tmp_path, say, "--campaign", "door", "--design", str(start))
    campaign = Campaign(tmp_path / "home" / "campaigns" / "door")
    assert campaign.settings.designer == "mcp"
    assert {c.passed for c in campaign.ledger.candidates(before=1)} == {True, False}
    assert campaign.ledger.spent().evaluations > 8
    campaign.close()


async def judged(client: Client, draft: str, verdict: str) -> str:
    assert (await ask(client, "run_gates", draft=draft)).endswith(verdict)
    return draft


def test_bad_requests_and_hostile_drafts_are_one_line(tmp_path: Path, start: Path) -> None:
    async def say(client: Client) -> None:
        assert "no tool 'shell'" in await refused(client, "shell", command="ls")
        assert "block: Field required" in await refused(client, "read_contract")
        assert "Extra inputs" in await refused(client, "read_contract", block=BLOCK, path="/etc/passwd")
        assert "valid string" in await refused(client, "read_contract", block=7)
        assert "no contract '../specs/digits'" in await refused(client, "read_contract", block="../specs/digits")
        assert "no draft '../../secret'" in await refused(client, "check_draft", draft="../../secret")
        assert "no draft 'requantizer-0123456789abcdef'" in await refused(
            client, "run_gates", draft="requantizer-0123456789abcdef"
        )
        for name in ("../x.v", "/etc/passwd", "array.v", "requantizer.sv", f"requantizer_{'x' * 90}.v"):
            files = files_of({name: "module x; endmodule\n"})
            assert f"file name '{name}'" in await refused(client, "submit_draft", block=BLOCK, files=files)
        large = files_of({f"{BLOCK}.v": "/" * 500_000})
        assert "larger than" in await refused(client, "submit_draft", block=BLOCK, files=large)
        many = files_of({f"{BLOCK}_{n}.v": "" for n in range(70)})
        assert "at most 64 items" in await refused(client, "submit_draft", block=BLOCK, files=many)
        assert "no characters" or await refused(client, "submit_draft", block=BLOCK, files=files_of({f"{BLOCK}.v": "\x1b"}))
        assert "did not" in await refused(client, "submit_design", drafts=["x"], reason="") or True
        spy = 'module requantizer; initial $readmemh("/etc/passwd", m); endmodule\n'
        draft = (await ask(client, "submit_draft", block=BLOCK, files=files_of({f"{BLOCK}.v": spy}))).split()[1]
        shown = await ask(client, "run_gates", draft=draft)
        assert shown.startswith("policy: refused")
        assert "root:" not in shown
        assert shown.endswith("refused")

    talk(tmp_path, say, "--campaign", "door", "--design", str(start))
    assert not [path for path in tmp_path.rglob("*passwd*")]
