"""What a bench says of right, wrong and forged answers, in both layouts and on both simulators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.bench import Layout, Problem, Simulator
from agents.bench import grade as grading
from agents.bench.grade import compiles, grade
from agents.bench.rtllm import Rtllm
from agents.bench.verilog_eval import VerilogEval
from tests.agents.bench import suites
from verification.sandbox import Limits

EVAL, RTLLM = VerilogEval(), Rtllm()


@pytest.fixture
def invert(tmp_path: Path) -> Problem:
    return suites.named(EVAL.problems(suites.verilog_eval(tmp_path / "eval")), "Prob001_invert")


@pytest.fixture
def doubler(tmp_path: Path) -> Problem:
    return suites.named(RTLLM.problems(suites.rtllm(tmp_path / "rtllm")), "doubler")


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
def test_the_suites_own_answers_pass(invert: Problem, doubler: Problem, simulator: Simulator) -> None:
    found = [grade(EVAL, invert, invert.reference, simulator, trusted=True)]
    found.append(grade(RTLLM, doubler, doubler.reference, simulator, trusted=True))
    assert [(each.cause, each.detail) for each in found] == [
        ("passed", "0 of 16 samples differ"),
        ("passed", "the bench says so"),
    ]


def test_a_wrong_answer_fails_with_the_benchs_words(invert: Problem, doubler: Problem) -> None:
    said = grade(EVAL, invert, suites.WRONG, "icarus")
    assert (said.cause, said.detail) == ("wrong", "16 of 16 samples differ")
    half = doubler.reference.replace("{a, 1'b0}", "a")
    said = grade(RTLLM, doubler, half, "icarus")
    assert said.cause == "wrong"
    assert "3 failures" in said.detail


def test_names_of_references_differ_from_what_benches_want(tmp_path: Path) -> None:
    """The folder is called otherwise than the module, the reference's file and module otherwise again."""
    folder = suites.rtllm(tmp_path / "rtllm") / "Arithmetic" / "doubler"
    (folder / "verified_doubler.v").rename(folder / "twice.v")
    (folder / "twice.v").write_text(suites.DOUBLER.replace("verified_doubler", "verified_twice"))
    folder.rename(folder.with_name("dubler"))
    problem = suites.named(RTLLM.problems(tmp_path / "rtllm"), "dubler")
    assert (problem.module, problem.top) == ("doubler", "doubler_tb")
    assert grade(RTLLM, problem, problem.reference, "icarus", trusted=True).passed


def test_a_bench_without_its_data_file_fails(doubler: Problem) -> None:
    assert grade(RTLLM, replace(doubler, data={}), doubler.reference, "icarus").cause == "wrong"


def test_an_answer_that_no_compiler_takes(invert: Problem) -> None:
    assert grade(EVAL, invert, suites.UNREADABLE, "icarus").cause == "compile"
    assert compiles(invert, suites.UNREADABLE, "icarus").cause == "compile"
    assert compiles(invert, suites.WRONG, "icarus").passed
    assert compiles(invert, suites.UNREADABLE, "verilator").cause == "compile"
    assert compiles(invert, suites.WRONG, "verilator").passed


FORGED = {
    "prints": 'initial $display("Mismatches: 0 in 9 samples");',
    "ends": "initial #1$finish;",
    "reaches": "initial #8'h1tb.wrong = 0;",
    "borrows": "RefModule r (.a(a), .y(y));",
}


@pytest.mark.parametrize("forgery", FORGED)
def test_a_forged_pass_is_refused(invert: Problem, forgery: str) -> None:
    text = suites.HEAD + FORGED[forgery] + "\nendmodule\n"
    assert grade(EVAL, invert, text, "icarus").cause == "refused"
    assert compiles(invert, text, "icarus").cause == "refused"


def test_a_run_that_ends_early_has_no_verdict(invert: Problem, doubler: Problem) -> None:
    """Even where the text is not refused: the summary counts no sample, or is not there."""
    at_once = suites.HEAD + "initial $finish;\nendmodule\n"
    assert grade(EVAL, invert, at_once, "icarus", trusted=True).cause == "silent"
    at_once = doubler.reference.replace("assign", "initial $finish;\nassign", 1)
    assert grade(RTLLM, doubler, at_once, "icarus", trusted=True).cause == "silent"


def test_time_limits_are_failures(invert: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "RUN_LIMITS", Limits(seconds=1))
    endless = suites.RIGHT["Prob001_invert"].replace("assign", "initial while (1) ;\nassign")
    found = grade(EVAL, invert, endless, "icarus")
    assert (found.cause, found.detail) == ("time", "stopped by the time limit of 1 s")


def test_the_benchs_own_time_limit_is_a_failure(invert: Problem) -> None:
    stuck = {name: text.replace("done = 1", "done = 0") for name, text in invert.bench.items()}
    found = grade(EVAL, replace(invert, bench=stuck), suites.RIGHT["Prob001_invert"], "icarus")
    assert (found.cause, found.detail) == ("time", "the bench's own time limit")


@pytest.mark.parametrize(
    ("layout", "output", "cause"),
    [
        (EVAL, "Mismatches: 0 in 0 samples\n", "silent"),
        (EVAL, "Mismatches: 0 in 5 samples\nMismatches: 2 in 5 samples\n", "wrong"),
        (EVAL, "TIMEOUT\nMismatches: 0 in 5 samples\n", "time"),
        (EVAL, "say Mismatches: 0 in 5 samples\n", "silent"),
        (RTLLM, "===========Your Design Passed===========\n", "passed"),
        (RTLLM, "===========Error===========\n", "wrong"),
        (RTLLM, "pass_request = 1\n", "silent"),
    ],
)
def test_the_words_of_benches(layout: Layout, output: str, cause: str, invert: Problem, doubler: Problem) -> None:
    assert layout.verdict(invert if layout is EVAL else doubler, output).cause == cause
