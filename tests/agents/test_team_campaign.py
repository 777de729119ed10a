"""A whole campaign with a model a role and a cascade of writers, over every protocol, on a server that echoes keys:
no key is seen anywhere, the books say what the cascade saved, and it replays without a network."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from agents import api, cli
from agents.campaign import home
from agents.progress import plain
from agents.records import Budget, CampaignResult
from hwlib.errors import InputError
from tests.agents.misbehaving import Act, http, misbehaving, streamed
from tests.agents.protocols import CHAT, MESSAGES, RESPONSES, Protocol
from tests.agents.stand_in import SPEC, ToyEvaluator, ToyLibrary

KEYS = {"OPENAI_API_KEY": "sk-canary-openai-11111111", "ANTHROPIC_API_KEY": "sk-canary-anthropic-22222222",
        "RTLOOM_CHAT_API_KEY": "sk-canary-chat-33333333"}  # fmt: skip
AT_ONCE = {"retry-after-ms": "1", "x-echo": "{key}"}
PRICES = """as_of: 2026-01-01
models:
  chat:small: {input: 1, output: 2}
  openai:wise: {input: 10, output: 20}
  anthropic:large: {input: 10, cached: 1, written: 12, output: 50}
"""


def says(protocol: Protocol, answer: object) -> Act:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    head, *events = streamed(protocol.events(text))
    assert isinstance(head, bytes)
    return [head.replace(b"\r\n\r\n", b"\r\nx-echo: {key}\r\n\r\n"), *events]


def plan(*blocks: str) -> dict[str, object]:
    orders = [{"block": block, "intent": "make it quick; by the way {key}"} for block in blocks]
    return {"reason": "it is slow, says {key}", "stop": False, "parameters": [], "orders": orders}


def edit(block: str, old: str, new: str) -> dict[str, object]:
    return {"edits": [{"name": f"{block}.v", "search": f"// {old}\n", "replace": f"// {new}\n// {{key}}\n"}]}


def failing(code: int) -> Act:
    return http(code, {"error": {"message": "slow down, {key}"}}, headers=AT_ONCE)


SCRIPT = (
    failing(429),
    says(RESPONSES, plan("array")),
    says(CHAT, "I know {key} but no JSON"),
    says(CHAT, edit("array", "plain", "broken")),
    says(MESSAGES, {"findings": ["array.v:1: broken, as is {key}"]}),
    failing(500),
    says(MESSAGES, edit("array", "broken", "quick")),
    says(RESPONSES, plan("norm")),
    says(CHAT, edit("norm", "plain", "lean")),
)


@dataclass
class Ran:
    """The campaign, what it printed, and the keys in the requests the server got."""

    result: CampaignResult
    printed: str
    heads: list[str]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str]) -> Ran:  # fmt: skip
    for variable, key in KEYS.items():
        monkeypatch.setenv(variable, key)
    monkeypatch.setattr("agents.designers.choose.TemplateLibrary", ToyLibrary)
    (tmp_path / "prices.yaml").write_text(PRICES)
    caplog.set_level(logging.INFO)
    shown = io.StringIO()
    with misbehaving(*SCRIPT, echo=True) as server:
        at = server.url
        model = (
            f"planner=openai:wise@{at}/v1,verifier=anthropic:large@{at},writer=chat:small@{at}/v1>anthropic:large@{at}"
        )
        result = api.start_campaign(
            SPEC, designer="llm", model=model, budget=Budget(rounds=3, money_usd=1.0), evaluators=ToyEvaluator,
            prices=tmp_path / "prices.yaml", progress=plain(shown),
        )  # fmt: skip
    for words in (["status", "toy"], ["status", "toy", "--json"], ["list"], ["diff", "toy:r0", "toy:r2"]):
        assert cli.run(words) in (0, 1)
    return Ran(result, shown.getvalue() + "".join(capsys.readouterr()) + caplog.text, server.heads)


def test_no_key_is_seen_anywhere(ran: Ran, tmp_path: Path) -> None:
    assert len(ran.heads) == len(SCRIPT)
    assert {key for key in KEYS.values() if any(key in head for head in ran.heads)} == set(KEYS.values())
    assert "<OPENAI_API_KEY>" in ran.printed, "the echo must have come through to the plan's reason"
    assert "canary" not in ran.printed
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50
    assert [path for path in files if b"canary" in path.read_bytes()] == []
    objects = home() / "toy" / "revisions.git"
    log = os.popen(f"git --git-dir={objects} log --all -p").read()
    assert "<OPENAI_API_KEY>" in log
    assert "canary" not in log


def test_the_cascade_and_what_it_saved_are_in_the_books(ran: Ran, capsys: pytest.CaptureFixture[str]) -> None:
    found = ran.result.status.spending
    assert found is not None
    small, large = found.cascade
    assert (small.share.name, small.share.calls, small.orders, small.settled) == ("chat:small", 3, 2, 1)
    assert (large.share.name, large.share.calls, large.orders, large.settled) == ("anthropic:large", 1, 1, 1)
    assert small.share.money_usd == pytest.approx(3 * (12 * 1 + 5 * 2) / 1e6)
    assert small.at_last_usd == pytest.approx(3 * (12 * 10 + 5 * 50) / 1e6)
    spared, in_vain = (370 - 22) / 1e6, 2 * 22 / 1e6
    assert found.saved_usd == pytest.approx(spared - in_vain)
    assert {share.name: share.calls for share in found.by_role} == {"planner": 2, "rtl_writer": 4, "verifier": 1}
    assert {share.name: share.calls for share in found.by_block} == {"(planning)": 2, "array": 4, "norm": 1}
    assert sum(share.money_usd for share in found.by_model) == pytest.approx(ran.result.status.spent.money_usd)
    assert sum(cost.money_usd for _, cost in found.accepted) == pytest.approx(ran.result.status.spent.money_usd)
    assert len(found.accepted) == 3
    capsys.readouterr()
    assert cli.run(["status", "toy"]) == 0
    shown = capsys.readouterr().out
    assert f"Cascade of writers, saved: {found.saved_usd:.4f} USD" in shown
    assert f"7, 0 % of their input cached, {found.saved_usd:.4f} USD saved by the cascade" in shown


def test_it_replays_byte_for_byte_without_key_or_network(ran: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket in a replay")

    for variable in KEYS:
        monkeypatch.delenv(variable)
    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    for name in ("openai", "anthropic", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
    again, same = api.replay_campaign("toy", evaluators=ToyEvaluator)
    assert same
    assert again.design is not None
    assert ran.result.design is not None
    assert contents(again.design) == contents(ran.result.design)
    assert contents(home() / "toy-replay" / "exchanges") == contents(home() / "toy" / "exchanges")
    assert again.status.spent.money_usd == ran.result.status.spent.money_usd
    assert [r.revision for r in api.revisions("toy-replay")] == [r.revision for r in api.revisions("toy")]


def test_a_replay_says_what_was_not_recorded(ran: Ran) -> None:
    kept = sorted((home() / "toy" / "exchanges").iterdir())
    kept[0].unlink()
    with pytest.raises(InputError, match="no recorded answer to this"):
        api.replay_campaign("toy", called="again", evaluators=ToyEvaluator)


def test_a_damaged_record_is_named(ran: Ran) -> None:
    kept = sorted((home() / "toy" / "exchanges").iterdir())
    kept[0].write_text("{")
    with pytest.raises(InputError, match=r"\.json: not a recorded exchange"):
        api.replay_campaign("toy", called="again", evaluators=ToyEvaluator)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_fault_of_our_own_does_not_show_a_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    key = KEYS["OPENAI_API_KEY"]
    monkeypatch.setenv("OPENAI_API_KEY", key)

    def broken() -> None:
        raise ZeroDivisionError(f"with {key}")

    monkeypatch.setattr("agents.api.survey", broken)
    assert cli.run(["list"]) == 2
    line = capsys.readouterr().err
    log = Path(line.rsplit(" ", 1)[1].strip())
    assert key not in line + log.read_text()
    assert "with <OPENAI_API_KEY>" in log.read_text()
    log.unlink()


def test_the_sandbox_sees_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from verification import sandbox

    for variable, key in KEYS.items():
        monkeypatch.setenv(variable, key)
    done = sandbox.run(["sh", "-c", "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'"], tmp_path)
    assert "PATH=" in done.output
    assert "canary" not in done.output
    assert "API_KEY" not in done.output
