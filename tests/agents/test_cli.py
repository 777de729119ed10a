"""The command line: every command's bad input is one line and exit status 2; JSON is one object; help is quick."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from agents import api, cli
from agents.campaign import Campaign, home
from agents.compare import Comparison
from agents.records import Budget, GateOutcome
from hwlib.design import EXPERT
from tests.agents.stand_in import SPEC, ToyEvaluator, toy_designer

ONE_LINE = [
    ("nonsense", "No such command 'nonsense'"),
    ("diff expert", "Missing argument"),
    ("diff expert --colour", "No such option"),
    ("run missing.yaml", "missing.yaml"),
    ("run --budget rounds", "write NAME=VALUE"),
    ("run --budget rounds=0", "greater than or equal to 1"),
    ("run --budget evaluations=many", "--budget"),
    ("run --designer magic", "'magic'"),
    ("run --designer llm", "the llm designer needs a model"),
    ("run --prices missing.yaml --designer llm --model openai:m", "missing.yaml: no such file"),
    ("run --designer llm --model writer=openai:m", "no model for the planner"),
    ("replay ghost", "no campaign 'ghost'"),
    ("run --review sometimes", "'sometimes'"),
    ("run --seed x", "valid integer"),
    ("run --seed -1", "greater than or equal to 0"),
    ("run --seed 2147483648", "less than or equal to 2147483647"),
    ("run --budget evaluations=61", "give at least evaluations="),
    ("run --name ../evil", "'../evil' is no name"),
    ("verify expert --seed -1", "greater than or equal to 0"),
    ("demo --seed 99999999999", "less than or equal to 2147483647"),
    ("demo --out /proc/nowhere", "cannot write"),
    ("mfm train --seed -1", "greater than or equal to 0"),
    ("mfm run digits-vit --image -1", "greater than or equal to 0"),
    ("compare [x] [/b]", "no design '[x]'"),
    ("synth /tmp/q[/b]", "no design '/tmp/q[/b]'"),
    ("mcp --spec missing.yaml", "missing.yaml"),
    ("mcp --campaign ../evil", "'../evil' is no name"),
    ("mcp --design ghost", "no design 'ghost'"),
    ("resume ghost", "no campaign 'ghost'"),
    ("status ghost", "no campaign 'ghost'"),
    ("stop ghost", "no campaign 'ghost'"),
    ("review ghost", "no campaign 'ghost'"),
    ("review --approve r1 --reject r1", "one revision at a time"),
    ("review --approve r1", "no single waiting revision 'r1'"),
    ("diff expert ghost", "no design 'ghost'"),
    ("compare ghost expert", "no design 'ghost'"),
    ("compare expert expert", "named twice"),
    ("compare expert --spec missing.yaml", "missing.yaml"),
    ("verify ghost", "no design 'ghost'"),
    ("verify expert --gate hope", "no gate 'hope'"),
    ("verify expert --block nothing", "no block 'nothing'"),
    ("verify expert --block softmax --gate integrate", "judges whole designs"),
    ("verify expert --transactions 0", "give at least 1"),
    ("verify expert --quick", "name it with --block"),
    ("verify expert --set T=3", "T"),
    ("verify expert --set T", "write NAME=VALUE"),
    ("verify expert --set WIDTH=3", "write NAME=VALUE"),
    ("synth expert --tech paper", "paper"),
    ("synth expert --clock 0", "give a period"),
    ("demo --images 3", "at least 64"),
    ("demo --rounds 0", "greater than or equal to 1"),
    ("mfm train --epochs 0", "give at least 1"),
    ("mfm import gpt", "no workload 'gpt'"),
    ("mfm import missing.pt", "no trained model"),
    ("mfm compile encoder-block-8-30-4-64", "heads dividing width"),
    ("mfm compile digits-vit --design ghost", "no design 'ghost'"),
    ("mfm compile digits-vit --latency 0", "latency"),
    ("mfm run gpt --on golden", "no workload 'gpt'"),
    ("mfm run digits-vit --on paper", "'paper'"),
    ("mfm run digits-vit --stall 1", "stall"),
    ("mfm profile gpt", "no workload 'gpt'"),
    ("mfm evaluate encoder-block", "no test data"),
    ("mfm evaluate --set T=8", "no design to change"),
    ("mfm evaluate --design expert --images 0", "give 1 to"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that must be refused; its one line."""
    assert cli.run(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("rtloom: ")
    assert shown.err.count("\n") == 1
    assert "Traceback" not in shown.err
    assert "a fault in rtloom" not in shown.err
    return shown.err


@pytest.mark.parametrize(("command", "says"), ONE_LINE, ids=[command for command, _ in ONE_LINE])
def test_bad_input_is_one_line_and_exit_status_2(command: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert says in refused(capsys, *command.split())


def copied_expert(folder: Path) -> Path:
    """The expert in a folder of its own, to be broken."""
    (folder / "rtl").mkdir(parents=True)
    for path in (EXPERT / "design.yaml", *(EXPERT / "rtl").iterdir()):
        (folder / path.relative_to(EXPERT)).write_bytes(path.read_bytes())
    return folder


@pytest.mark.parametrize("command", ["verify", "synth", "mfm compile digits-vit --design", "diff expert"])
def test_broken_manifest(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = copied_expert(tmp_path / "design")
    (design / "design.yaml").write_text("name: [")
    assert "design.yaml" in refused(capsys, *command.split(), str(design))


def test_broken_rtl_is_judged_and_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = copied_expert(tmp_path / "design")
    (design / "rtl" / "eltwise.v").write_text("module eltwise (")
    assert cli.run(["verify", str(design), "--block", "eltwise", "--gate", "policy"]) == 1
    shown = capsys.readouterr().out
    assert "eltwise.v:1" in shown
    assert f"rtloom verify {design} --gate policy --block eltwise" in shown.replace("\n", " ")


def test_designs_proved_equal_or_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["equiv", "expert", "expert"]) == 0
    assert "expert, expert: equal" in capsys.readouterr().out
    design = copied_expert(tmp_path / "design")
    lane = design / "rtl" / "requantizer_lane.v"
    lane.write_text(lane.read_text().replace("less_one <= shift - 1'b1", "less_one <= shift"))
    assert cli.run(["equiv", "expert", str(design)]) == 1
    assert "requantizer: different in cycle" in capsys.readouterr().out
    assert "no block 'nothing'" in refused(capsys, "equiv", "expert", str(design), "--block", "nothing")


def test_a_quick_verdict_says_it_in_two_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["verify", "expert", "--block", "requantizer", "--quick"]) == 0
    verdict, word = capsys.readouterr().out.splitlines()
    assert verdict.startswith("policy passed (")
    assert word == "expert: passed"


def test_rtl_that_does_not_parse_cannot_be_synthesised(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    design = copied_expert(tmp_path / "design")
    (design / "rtl" / "eltwise.v").write_text("module eltwise (")
    assert "eltwise.v" in refused(capsys, "synth", str(design))


@pytest.mark.parametrize("text", ["name: [", "[]", "name: x\nclock_ns: -1\n", "name: x\ncolour: red\n"])
def test_broken_spec(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "spec.yaml").write_text(text)
    assert "spec.yaml" in refused(capsys, "run", "spec.yaml")


@pytest.mark.parametrize("text", [b"", b"RTLOOM-PROGRAM 1\n", b"RTLOOM-PROGRAM 1\n\x02\0\0\0\0\0\0\0{}", b"\xff\xfe"])
def test_broken_program(text: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "p.bin").write_bytes(text)
    assert "p.bin" in refused(capsys, "mfm", "run", "p.bin", "--on", "golden")


def test_unwritable_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write" in refused(capsys, "diff", "expert", "expert", "--html", "file/report.html")


def test_missing_tool_is_one_line() -> None:
    """In a process of its own, whose PATH leads nowhere."""
    command = [sys.executable, "-c", "from agents.cli import main; main()", "synth", "expert"]
    root = str(Path(cli.__file__).parents[2])
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/nonexistent", "PYTHONPATH": root})
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "is not installed" in done.stderr
    assert "apt-get install" in done.stderr


def test_a_fault_of_our_own_is_one_line_with_a_log(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr("agents.api.survey", broken)
    assert cli.run(["list"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    log = Path(line.rsplit(" ", 1)[1].strip())
    assert "ZeroDivisionError: oh" in log.read_text()
    log.unlink()


def test_interrupted_campaign_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.api.start_campaign", interrupted)
    assert "rtloom resume digits" in refused(capsys, "run")


def test_a_replay_says_whether_it_came_out_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api.start_campaign(SPEC, budget=Budget(rounds=2), seed=3, evaluators=ToyEvaluator, designers=toy_designer)
    again = partial(api.replay_campaign, evaluators=ToyEvaluator, designers=toy_designer)
    monkeypatch.setattr(api, "replay_campaign", again)
    assert cli.run(["replay", "toy"]) == 0
    assert "Replayed toy as toy-replay: the same revisions." in capsys.readouterr().out
    campaign = Campaign.open("toy")
    campaign.ledger.put_revision(9, replace(campaign.ledger.revisions()[0], revision="f" * 40))
    campaign.close()
    assert cli.run(["replay", "toy", "--name", "third", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["same"] is False


ODD = "a [/b] [red]c[/red] :smile:"


def test_users_text_is_no_markup_in_any_table(capsys: pytest.CaptureFixture[str]) -> None:
    from agents.cli.campaigns import status_table
    from agents.cli.comparing import comparison_tables
    from agents.cli.output import show
    from tests.agents.entries import SETTING, entry
    from tests.agents.test_demonstration import result

    odd = (entry(ODD, gates=(GateOutcome(ODD, "design", False, (ODD,)),)), entry("[x]"))
    show(*comparison_tables(Comparison(SETTING, odd)))
    show(status_table(replace(result(2.0, 1.0).status, name=ODD, model=ODD, objective=ODD)))
    shown = capsys.readouterr().out
    assert shown.count(ODD) >= 6
    assert "[x]" in shown


def test_a_reason_in_brackets_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    api.start_campaign(SPEC, budget=Budget(rounds=1), evaluators=ToyEvaluator, designers=toy_designer)
    campaign = Campaign.open("toy")
    (first,) = campaign.ledger.revisions()
    campaign.ledger.put_revision(0, replace(first, reason=ODD))
    campaign.close()
    assert cli.run(["status", "toy"]) == 0
    assert "[/b]" in capsys.readouterr().out


def test_list_shows_the_others_beside_a_damaged_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("good", "bad"):
        api.start_campaign(SPEC, name=name, budget=Budget(rounds=1), evaluators=ToyEvaluator, designers=toy_designer)
    (home() / "bad" / "settings.yaml").write_text("junk: [")
    assert cli.run(["list"]) == 1
    shown = capsys.readouterr().out.replace("\n", "")
    assert "good" in shown
    assert "bad/settings.yaml: not a YAML file" in shown
    assert cli.run(["list", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in found["campaigns"]] == ["good"]
    assert len(found["damaged"]) == 1


def test_help_imports_no_heavy_library() -> None:
    code = "import sys; from agents.cli import run; run(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          cwd=Path(cli.__file__).parents[2])  # fmt: skip
    loaded = set(json.loads(done.stderr.replace("'", '"')))
    assert not loaded & {"torch", "numpy", "matplotlib", "langgraph", "openai", "anthropic", "optuna", "jinja2"}


@pytest.mark.parametrize("command", ["list", "diff expert expert", "doctor", "review", "generate --check"])
def test_json_is_one_object_with_a_schema(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run([*command.split(), "--json"]) in (0, 1)
    found = json.loads(capsys.readouterr().out)
    name = command.split()[0]
    assert found["schema"] == f"rtloom/{name}/1"
    assert found["command"] == name
    assert found["revision"]
    assert found["tools"]["iverilog"] != "none"


def test_program_compiled_written_and_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "encoder-block-8-16-2-32"
    assert cli.run(["mfm", "compile", small, "--out", "p.bin", "--listing", "p.txt", "--json"]) == 0
    compiled = json.loads(capsys.readouterr().out)
    assert compiled["tools"]
    assert (tmp_path / "p.txt").read_text().count("\n") == compiled["instructions"]
    assert cli.run(["mfm", "run", "p.bin", "--on", "cycles", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cycles"] == compiled["cycles"]
    assert "compiled for T" in refused(capsys, "mfm", "run", "p.bin", "--on", "cycles", "--set", "T=8")


def test_what_runs_on_the_host_is_listed_run_and_profiled(capsys: pytest.CaptureFixture[str]) -> None:
    model = "tiny-cohere:decoder:4"
    assert cli.run(["mfm", "import", model, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    norms = {source["module"] for sources in listed["host"].values() for source in sources}
    assert norms == {"model.layers.0.input_layernorm", "model.layers.1.input_layernorm", "model.norm"}
    assert {row["kind"] for row in listed["operations"] if row["out"] in listed["host"]} == {"host"}
    assert cli.run(["mfm", "run", model, "--on", "golden", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["outputs"]) == 1
    assert cli.run(["mfm", "profile", model]) == 0
    assert "On the host, not counted: aten." in capsys.readouterr().out
    assert "model.layers.0.input_layernorm" in refused(capsys, "mfm", "compile", model)


def test_profile_says_where_the_cycles_go(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mfm", "profile", "encoder-block-8-16-2-32", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tools"]
    found = shown["profile"]
    assert sum(layer["mac_cycles"] for layer in found["layers"]) <= found["cycles"]
    assert set(found["busy_cycles"]) == {"load", "store", "matrix", "vector"}
    assert {region["kind"] for region in found["memory"]} >= {"input", "output", "constants", "program"}


@pytest.mark.parametrize("name", ["p.svg", "p.png"])
def test_profile_draws(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["mfm", "profile", "encoder-block-8-16-2-32", "--plot", str(tmp_path / name)]) == 0
    assert "Cycles without a beat" in capsys.readouterr().out
    first = (tmp_path / name).read_bytes()
    assert cli.run(["mfm", "profile", "encoder-block-8-16-2-32", "--plot", str(tmp_path / name)]) == 0
    assert (tmp_path / name).read_bytes() == first
    capsys.readouterr()
    assert "is not a plot's name" in refused(capsys, "mfm", "profile", "encoder-block-8-16-2-32", "--plot", "p.txt")
