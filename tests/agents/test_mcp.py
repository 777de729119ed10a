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
from agents.campaign import Campaign, home
from agents.cost import Choice
from agents.evaluator import Measured
from agents.mcp.requests import Check, ReadCurrent, RunGates, SubmitDesign, SubmitDraft
from agents.mcp.server import answer
from agents.mcp.session import Session, opened
from agents.records import Budget
from agents.roles.answers import File
from hwlib import contracts, templates
from hwlib.design import Design, Manifest
from hwlib.errors import InputError
from hwlib.generate import ROOT
from hwlib.spec import Spec
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary
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
    server = StdioServerParameters(command=sys.executable, args=["-c", code, "mcp", *words], env=home, cwd=tmp_path)

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
        assert "its gates were not run" in await refused(client, "compare", draft=bad)

        edit = {"name": f"{BLOCK}.v", "search": "shift - 6'd2", "replace": "shift - 6'd1"}
        good = (await ask(client, "submit_draft", block=BLOCK, draft=bad, edits=[edit])).split()[1]
        assert "critical path" in await ask(client, "synthesise_draft", draft=good)
        verdict = await ask(client, "run_gates", draft=good)
        assert verdict.startswith("policy: passed\nlint: passed\nsimulate: passed\nsealed: passed")
        assert verdict.endswith("all gates passed")
        assert "(+0.0 %)" in await ask(client, "compare", draft=good)
        shown = [found, verdict, await ask(client, "read_findings", draft=good)]
        lines = {line.strip() for text in shown for line in text.splitlines()}
        assert lines & secret_lines() == set()

    talk(tmp_path, say, "--campaign", "door", "--design", str(start))
    campaign = Campaign(tmp_path / "home" / "campaigns" / "door")
    assert campaign.settings.designer == "mcp"
    assert [c.passed for c in campaign.ledger.candidates(before=1)] == [True]
    assert campaign.ledger.spent().evaluations > 8
    campaign.close()


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
        odd = files_of({f"{BLOCK}.v": "// \x1b[2J"})
        assert "holds characters" in await refused(client, "submit_draft", block=BLOCK, files=odd)
        lost = [{"name": f"{BLOCK}.v", "search": "no such text", "replace": ""}]
        assert "occurs 0 times" in await refused(client, "submit_draft", block=BLOCK, edits=lost)
        assert "no such file" in await refused(client, "submit_draft", block=BLOCK, removed=["array.v"])
        assert "no draft 'x'" in await refused(client, "submit_design", drafts=["x"], reason="")
        spy = 'module requantizer; initial $readmemh("/etc/passwd", m); endmodule\n'
        draft = (await ask(client, "submit_draft", block=BLOCK, files=files_of({f"{BLOCK}.v": spy}))).split()[1]
        shown = await ask(client, "run_gates", draft=draft)
        assert shown.startswith("policy: refused")
        assert "root:" not in shown
        assert shown.endswith("refused")

    talk(tmp_path, say, "--campaign", "door", "--design", str(start))
    assert not list(tmp_path.rglob("*passwd*"))


def toy(folder: Path) -> Path:
    """A design of the stand-in's plain blocks."""
    (folder / "rtl").mkdir(parents=True)
    for block in contracts.names():
        (folder / "rtl" / f"{block}.v").write_text(text_of(block, "plain"))
    (folder / "design.yaml").write_text(Manifest(name="toy", parameters=SMALL, clock_ns=20).model_dump_json())
    return folder


def text_of(block: str, variant: str) -> str:
    return ToyLibrary().render(Choice(block, variant))[f"{block}.v"]


def hand_in(session: Session, block: str, variant: str) -> str:
    """A draft that passed its gates."""
    files = [File(name=f"{block}.v", text=text_of(block, variant))]
    name = SubmitDraft(block=block, files=files).answer(session).split()[1]
    assert RunGates(draft=name).answer(session).endswith("all gates passed")
    return name


def test_whole_designs_are_judged_and_the_better_accepted(tmp_path: Path) -> None:
    with opened("door", SPEC, str(toy(tmp_path / "start")), evaluators=ToyEvaluator) as session:
        assert SubmitDesign(drafts=[], reason="what there is").answer(session).startswith("r1 accepted: area")
        slow = hand_in(session, "array", "lean")
        quick = hand_in(session, "array", "quick")
        assert SubmitDesign(drafts=[quick], reason="quick").answer(session).startswith("r2 accepted")
        assert ReadCurrent(block="array", file="array.v").answer(session).startswith("// quick")
        assert "r3 not better" in SubmitDesign(drafts=[slow], reason="lean").answer(session)
        with pytest.raises(InputError, match="design of revision r1"):
            SubmitDesign(drafts=[hand_in(session, "array", "plain")], reason="again").answer(session)
        with pytest.raises(InputError, match="one a block"):
            SubmitDesign(drafts=[quick, slow], reason="both").answer(session)
        broken = [File(name="array.v", text=text_of("array", "broken"))]
        bad = SubmitDraft(block="array", files=broken).answer(session).split()[1]
        assert (
            RunGates(draft=bad)
            .answer(session)
            .endswith("simulate: refused\n- cycle 3: acc.data is 1, expected 2\nrefused")
        )
        with pytest.raises(InputError, match="did not pass"):
            SubmitDesign(drafts=[bad], reason="bad").answer(session)
    assert api.campaign_status("door").state == "accepted"
    assert (api.accepted_design("door") / "rtl" / "array.v").read_text().startswith("// quick")


class Dying(ToyEvaluator):
    """The judge of a process that is killed while it measures."""

    def measure(self, design: Design) -> Measured:
        raise KeyboardInterrupt


def test_a_submission_cut_short_is_gone_on_with(tmp_path: Path) -> None:
    start = str(toy(tmp_path / "start"))
    first = SubmitDesign(drafts=[], reason="what there is")
    with pytest.raises(KeyboardInterrupt), opened("door", SPEC, start, evaluators=Dying) as session:
        first.answer(session)
    assert api.campaign_status("door").state == "interrupted"
    with opened("door", SPEC, evaluators=ToyEvaluator) as session:
        assert first.answer(session).startswith("r1 accepted")
        assert session.campaign.ledger.spent().evaluations == 10
        with pytest.raises(InputError, match="at least one draft"):
            first.answer(session)


def test_a_refused_whole_says_why(tmp_path: Path) -> None:
    def refuses(spec: Spec) -> ToyEvaluator:
        return ToyEvaluator(spec, refuse_design=lambda design, gate: gate == "integrate")

    with opened("door", SPEC, str(toy(tmp_path / "start")), evaluators=refuses) as session:
        shown = SubmitDesign(drafts=[], reason="first").answer(session)
        assert shown.endswith("integrate: refused\n- layer 0 differs\nr1 refused")


def test_a_campaign_goes_on_with_its_drafts_and_budget(tmp_path: Path) -> None:
    with opened("door", SPEC, str(toy(tmp_path / "start")), Budget(evaluations=5), ToyEvaluator) as session:
        quick = [File(name="array.v", text=text_of("array", "quick"))]
        draft = SubmitDraft(block="array", files=quick).answer(session).split()[1]
        assert RunGates(draft=draft).answer(session).endswith("budget: refused\n- budget: 5 evaluations\nrefused")
    with opened("door", SPEC, evaluators=ToyEvaluator) as session:
        assert Check(draft=draft).answer(session) == "refused: the campaign's 5 evaluations are spent"
        with pytest.raises(InputError, match="running in process"), opened("door", SPEC, evaluators=ToyEvaluator):
            pass
    with pytest.raises(InputError, match="has begun already"), opened("door", SPEC, "x", evaluators=ToyEvaluator):
        pass
    with pytest.raises(InputError, match="driven by an MCP client"):
        api.resume_campaign("door", evaluators=ToyEvaluator)


def test_the_experts_rtl_is_no_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mcp", "--campaign", "door", "--design", "expert"]) == 2
    assert "writers do not see the expert's" in capsys.readouterr().err
    assert not (home() / "door").exists()


def test_without_the_sdk_it_is_said_how_to_get_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "agents.mcp.server", raising=False)
    monkeypatch.setitem(sys.modules, "mcp.server.lowlevel", None)
    assert cli.run(["mcp"]) == 2
    assert capsys.readouterr().err == "rtloom: rtloom mcp: the MCP SDK is not installed; pip install 'rtloom[mcp]'\n"


def test_only_the_time_of_requests_counts(tmp_path: Path) -> None:
    with opened("door", SPEC, str(toy(tmp_path / "start")), evaluators=ToyEvaluator) as session:
        result = answer(session, "read_contract", {"block": "array"})
        assert not result.is_error
        spent = session.campaign.ledger.spent()
        assert (spent.evaluations, spent.tokens) == (0, 0)
        assert 0 < spent.wall_s < 60
