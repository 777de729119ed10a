"""`rtloom bench rtl`: what it prints, and how it refuses."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from agents.cli import run
from tests.agents.bench import suites
from tests.agents.fake_server import Answer, serving


def test_the_references_score_under_their_own_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = suites.verilog_eval(tmp_path / "suite")
    words = ["bench", "rtl", "verilog-eval", "--path", str(folder), "--answers", "reference", "--simulator", "icarus"]
    assert run([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["score"] == {"reference": {"problems": 2, "judged": 2, "passed": {"icarus": 2},
                                           "failed": {"icarus": {}}}}  # fmt: skip
    assert told["commit"] is None
    assert len(told["content"]) == 64
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "score: reference" in text
    assert "2 / 2" in text
    head = subprocess.run(["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert head.stdout.strip() in "".join(text.split())


def test_rtllm_without_a_reference_is_a_failure_with_its_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = suites.rtllm(tmp_path / "suite")
    words = ["bench", "rtl", "rtllm", "--path", str(folder), "--answers", "reference", "--simulator", "icarus"]
    assert run([*words, "--json"]) == 0
    score = json.loads(capsys.readouterr().out)["score"]["reference"]
    assert score["passed"] == {"icarus": 1}
    assert score["failed"] == {"icarus": {"no reference": 1}}


def said(text: str, findings: tuple[str, ...] = ()) -> Answer:
    content = json.dumps({"text": text, "findings": findings})
    return Answer({
        "id": "x", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9_000, "completion_tokens": 1_000, "total_tokens": 10_000},
    })  # fmt: skip


def test_a_models_answers_over_the_wire(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A refused text, the verifier's word on it, the right one, nothing more to say; then the budget is spent."""
    folder = suites.verilog_eval(tmp_path / "suite")
    forged, right = suites.HEAD + "initial $finish;\nendmodule\n", suites.RIGHT["Prob001_invert"]
    with serving(said(forged), said("", ("do not end the run",)), said(right), said("")) as server:
        model = f"writer=chat:m@{server.url}/v1,verifier=chat:m@{server.url}/v1"
        words = ["bench", "rtl", "verilog-eval", "--path", str(folder), "--model", model, "--simulator", "icarus"]
        assert run([*words, "--budget", "tokens=50000", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["score"]["sealed"]["passed"] == {"icarus": 1}
    assert told["unjudged"] == ["Prob002_rotate"]
    assert told["spent"]["tokens"] == 40_000
    asked = json.dumps([body for _, body in server.asked])
    assert "$finish: the system functions allowed are" in asked


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["rtllm", "--answers", "reference", "--path", "nowhere"], "no such folder"),
        (["verilog-eval", "--answers", "reference", "--path", "empty"], "no dataset_spec-to-rtl"),
        (["rtllm", "--answers", "reference", "--path", "empty"], "no folder with design_description.txt"),
        (["rtllm", "--path", "empty"], "give either a model or the references"),
        (["rtllm", "--path", "empty", "--answers", "reference", "--model", "openai:x"], "give either"),
        (["rtllm", "--path", "empty", "--answers", "reference", "--mode", "sealed"], "nobody's writing"),
        (["rtllm", "--path", "empty", "--model", "openai:x", "--budget", "rounds=2"], "neither rounds nor evaluations"),
        (["rtllm", "--path", "empty", "--model", "gpt"], "names no model"),
        (["rtllm", "--path", "empty", "--model", "openai:x", "--budget", "pounds=1"], "'pounds=1'"),
        (["verilog-eval", "--path", "suite", "--answers", "reference", "--problems", "Prob9*"], "no problem is called"),
        (["other", "--path", "empty"], "'other'"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    suites.verilog_eval(tmp_path / "suite")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "rtl", *words]) == 2
    line = capsys.readouterr().err
    assert what in line
    assert line.count("\n") == 1
