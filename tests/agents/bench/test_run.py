"""A run: writer and verifier on each problem, two kinds of score, budgets, and going on after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agents.bench import Kind
from agents.bench.answers import SuiteAnswer
from agents.bench.record import Result
from agents.bench.run import Order, Report, run
from agents.models import Request
from agents.models.prices import FREE
from agents.models.team import cast
from agents.records import Budget
from agents.roles import prompts
from agents.roles.answers import schema_of
from hwlib.errors import InputError
from tests.agents.bench import suites
from tests.agents.bench.suites import Scripted

WORD = "chat:scripted@http://127.0.0.1:1/v1"


def judge(folder: Path, model: Scripted, kind: Kind = "sealed", budget: Budget | None = None, **more: object) -> Report:
    """Run the small suite on Icarus."""
    order = Order("verilog-eval", folder, kind, ("icarus",), cast(WORD), budget=budget or Budget(), **more)  # type: ignore[arg-type]
    return run(order, lambda word: model, {model.name: FREE})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return suites.verilog_eval(tmp_path / "suite")


def test_sealed_the_models_see_the_specification_alone(folder: Path) -> None:
    """The second text compiles and is handed in, wrong as it is: only the bench could tell."""
    model = Scripted()
    report = judge(folder, model)
    assert report.counts() == {"icarus": 0}
    assert report.causes() == {"icarus": {"wrong": 2}}
    assert [result.texts for result in report.results] == [2, 2]
    said = "\n".join(message.text for request in model.asked for message in request.messages)
    assert "Mismatches" not in said
    assert "samples" not in said
    assert "RefModule" not in said


def test_in_the_loop_the_bench_is_heard(folder: Path) -> None:
    model = Scripted()
    report = judge(folder, model, "in-loop")
    assert report.counts() == {"icarus": 2}
    assert [result.texts for result in report.results] == [3, 3]
    heard = [request.messages[-1].text for request in model.asked]
    assert any("Mismatches: 16 in 16 samples" in text for text in heard)


def test_a_simulator_that_cannot_take_the_bench_is_no_reason_to_mend(folder: Path) -> None:
    """Icarus 11 has no casts to an enumeration: it refuses the reference, too; the writer hears of the other alone."""
    for path in (folder / "dataset_spec-to-rtl").glob("*_test.sv"):
        path.write_text(suites.CAST_BENCH)
    model = Scripted()
    order = Order("verilog-eval", folder, "in-loop", ("icarus", "verilator"), cast(WORD), limit=1, repairs=5)
    report = run(order, lambda word: model, {model.name: FREE})
    (result,) = report.results
    assert [(grade.simulator, grade.cause) for grade in result.grades] == [("icarus", "bench"), ("verilator", "passed")]
    assert "reference: Prob001_invert_test.sv:" in result.grades[0].detail
    assert result.texts == 3
    assert not any("icarus" in message.text for request in model.asked for message in request.messages)


def test_where_no_simulator_takes_the_bench_the_writer_hears_only_whether_its_text_compiles(folder: Path) -> None:
    for path in (folder / "dataset_spec-to-rtl").glob("*_test.sv"):
        path.write_text(suites.CAST_BENCH)
    model = Scripted()
    report = judge(folder, model, "in-loop", limit=1, repairs=5)
    assert [grade.cause for grade in report.results[0].grades] == ["bench"]
    assert report.results[0].texts == 2
    assert not any("cast" in message.text for request in model.asked for message in request.messages)


def test_a_fence_round_an_answer_is_taken_off(folder: Path) -> None:
    class Fenced(Scripted):
        def _answer(self, request: Request) -> dict[str, object]:
            answer = super()._answer(request)
            return answer | {"text": f"```verilog\n{answer['text']}```\n" if answer["text"] else ""}

    assert judge(folder, Fenced(), "in-loop").counts() == {"icarus": 2}


def test_repairs_are_bounded(folder: Path) -> None:
    report = judge(folder, Scripted(), "in-loop", repairs=0, limit=1)
    assert report.results[0].grades[0].cause == "compile"
    assert report.total == 2
    assert report.chosen == ("Prob001_invert",)


def test_the_kinds_are_kept_apart(folder: Path) -> None:
    sealed, loop = judge(folder, Scripted()), judge(folder, Scripted(), "in-loop")
    assert sealed.folder != loop.folder
    assert (sealed.settings.kind, loop.settings.kind) == ("sealed", "in-loop")


def test_a_second_run_asks_nothing(folder: Path) -> None:
    first, again = Scripted(), Scripted()
    assert judge(folder, first).results == judge(folder, again).results
    assert again.asked == []


def test_a_changed_problem_is_judged_anew(folder: Path) -> None:
    judge(folder, Scripted())
    path = folder / "dataset_spec-to-rtl" / "Prob002_rotate_prompt.txt"
    path.write_text("Write TopModule, another way.\n")
    again = Scripted()
    judge(folder, again)
    assert {request.block for request in again.asked} == {"Prob002_rotate"}


def test_the_budget_ends_the_run_and_a_higher_one_goes_on(folder: Path) -> None:
    first = Scripted()
    report = judge(folder, first, budget=Budget(tokens=60_000))
    assert report.unjudged == ("Prob002_rotate",)
    assert report.why == "budget: 60000 tokens"
    assert report.spent.tokens == 10_000 * len(first.asked) <= 60_000
    second = Scripted()
    done = judge(folder, second, budget=Budget(tokens=500_000))
    assert done.unjudged == ()
    asked = [request.key(first.name) for request in (*first.asked, *second.asked)]
    assert len(asked) == len(set(asked))
    assert done.spent.tokens == 10_000 * len(asked)


def test_a_kill_loses_the_problem_in_flight_and_pays_nothing_twice(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before the sixth call, in the second problem; five exchanges and one result are there."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.agents.bench.killed", str(folder), "5"], check=False, env=os.environ,
        cwd=Path(__file__).parents[3], capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole, after = Scripted(), Scripted()
    report = judge(folder, after)
    assert len(list((report.folder / "exchanges").iterdir())) == 8
    assert len(after.asked) == 3
    monkeypatch.setenv("RTLOOM_HOME", str(tmp_path / "other"))
    assert [plain(result) for result in judge(folder, whole).results] == [plain(result) for result in report.results]
    assert len(whole.asked) == 8


def plain(result: Result) -> dict[str, object]:
    """A result without its times."""
    found = json.loads(result.model_dump_json())
    return found | {"grades": [grade | {"seconds": 0} for grade in found["grades"]]}


def test_a_run_in_another_process_is_refused(folder: Path) -> None:
    def again(number: int) -> None:
        if number == 0:
            with pytest.raises(InputError, match=f"process {os.getpid()}"):
                judge(folder, Scripted())

    judge(folder, Scripted(again), limit=1)


def test_the_schema_under_prompts_is_that_of_the_answer() -> None:
    assert prompts.schema("suite_writer") == prompts.schema("suite_verifier") == schema_of(SuiteAnswer)
