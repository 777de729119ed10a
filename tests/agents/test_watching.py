"""A campaign watched from another process: what its folder says while it runs, and `status --follow`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agents import api, cli, watching
from agents.campaign import Campaign, home, names
from agents.cli.live import Board
from agents.cli.output import console
from agents.progress import Event, silent
from agents.records import Budget, Cost
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer

SLOW_RUN = """
from functools import partial
from agents import api
from agents.records import Budget
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer
api.start_campaign(SPEC, budget=Budget(rounds=2, evaluations=400), evaluators=partial(ToyEvaluator, delay_s=0.02),
                   designers=toy_designer)
"""
FOLLOW = [sys.executable, "-c", "from agents.cli import main; main()", "status", "toy", "--follow"]


def start(**changes: object) -> api.CampaignResult:
    given = {"budget": Budget(rounds=1), "evaluators": ToyEvaluator, "designers": toy_designer} | changes
    return api.start_campaign(SPEC, **given)  # type: ignore[arg-type]


@contextmanager
def elsewhere() -> Iterator[int]:
    """The toy campaign in a process of its own, once it runs; its process id."""
    process = subprocess.Popen([sys.executable, "-c", SLOW_RUN])
    try:
        until = time.monotonic() + 60
        while not (names() and api.campaign_status("toy").state == "running"):
            assert process.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        yield process.pid
        assert process.wait(120) == 0
    finally:
        process.kill()


def test_a_campaign_is_followed_to_its_end_and_not_run_by_a_second_process(capsys: pytest.CaptureFixture[str]) -> None:
    with elsewhere() as process:
        assert cli.run(["resume", "toy"]) == 2
        said = capsys.readouterr().err
        assert f"campaign 'toy' is running in process {process}; wait or stop it" in said
        assert said.count("\n") == 1
        assert cli.run(["status", "toy", "--follow"]) == 0
        assert not Campaign.open("toy").running
    shown = capsys.readouterr().out
    assert "[round 0] start verify array lint" in shown
    assert "[round 1] done  verify array simulate" in shown
    assert "best 3" in shown
    assert " of 400 evaluations, " in shown
    assert "Campaign toy: accepted" in shown
    assert "budget: 2 rounds" in shown


def test_an_event_is_in_the_folder_before_it_is_told() -> None:
    found: list[Event] = []
    reader, one_at_a_time = watching.Reader(home() / "toy" / watching.FILE), threading.Lock()

    def told(event: Event) -> None:
        with one_at_a_time:
            found.extend(reader.new())
            assert event in found

    assert start(progress=told).status.state == "accepted"
    assert len(found) > 50


def test_ctrl_c_ends_the_following_and_not_the_campaign() -> None:
    start()
    campaign = Campaign.open("toy")
    with campaign.locked(), watching.kept(campaign, silent) as tell:
        tell(Event("start", "verify", 3, "array", "lint", best=4.5))
        follower = subprocess.Popen(FOLLOW, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert follower.stdout is not None
        assert follower.stdout.readline() == "[round 3] start verify array lint  best 4.5\n"
        follower.send_signal(signal.SIGINT)
        _, said = follower.communicate(timeout=60)
        assert (follower.returncode, said) == (0, "No longer followed; campaign 'toy' goes on.\n")
        assert not campaign.stop_requested
        assert campaign.running
    campaign.close()


def test_json_is_an_object_a_line_with_what_is_left(capsys: pytest.CaptureFixture[str]) -> None:
    start(budget=Budget(rounds=1, evaluations=100, tokens=50))
    assert cli.run(["status", "toy", "--follow", "--json"]) == 0
    *events, status = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"]["node"] == "plan"
    spent = events[0]["spent"]["evaluations"]
    assert spent > 0
    assert events[0]["left"] == {"evaluations": 100 - spent, "tokens": 50, "wall_s": None, "money_usd": None}
    assert status["schema"] == "rtloom/status/1"
    assert (status["state"], status["why"], status["left"]) == ("accepted", "budget: 1 rounds", events[0]["left"])


def test_what_is_no_campaign_cannot_be_followed(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["status", "ghost", "--follow"]) == 2
    assert "no campaign 'ghost'" in capsys.readouterr().err


def test_a_reader_sees_each_event_once_and_a_new_file_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / watching.FILE
    reader = watching.Reader(path)
    assert reader.new() == ()
    line = json.dumps({"kind": "note", "node": "plan", "text": "é"})
    path.write_text(f"{line}\nno event\n{line[:9]}")
    assert [event.text for event in reader.new()] == ["é"]
    with path.open("a") as file:
        file.write(f"{line[9:]}\n")
    assert [event.text for event in reader.new()] == ["é"]
    assert reader.new() == ()
    (tmp_path / "other").write_text(f"{line}\n")
    os.replace(tmp_path / "other", path)
    assert len(reader.new()) == 1


def test_of_a_stream_only_some_events_are_kept() -> None:
    start()
    campaign = Campaign.open("toy")
    told: list[Event] = []
    with campaign.locked(), watching.kept(campaign, told.append) as tell:
        for number in range(50):
            tell(Event("stream", "write", 1, "array", text=f"~{number} tokens"))
    kept = watching.Reader(campaign.folder / watching.FILE).new()
    campaign.close()
    assert len(told) == 50
    assert 1 <= len(kept) < 50


def test_the_board_shows_what_is_spent(capsys: pytest.CaptureFixture[str]) -> None:
    from agents.cli.following import spent_line

    board = Board()
    board.take(Event("start", "verify", 2, "array", "lint", best=4.5))
    board.spent = spent_line(Cost(7, 12.4, 900, 0.5), Budget(evaluations=90, wall_s=60, money_usd=2.0))
    console().print(board)
    shown = capsys.readouterr().out
    assert "round 2  verify  best objective 4.5" in shown
    assert "spent 7 of 90 evaluations, 12 of 60 s, 900 tokens, 0.50 of 2.00 USD" in shown
    assert "array" in shown
