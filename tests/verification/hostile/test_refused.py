"""No hostile design is accepted: each is refused with a finding that names what it tries, within time and memory."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agents import cli
from hwlib import contracts
from hwlib.design import read_design
from tests.verification.conftest import EXPERT, AtFirstPoint, expert_text
from tests.verification.hostile.corpus import COUNT, ELABORATION, FILES, TEXT, WRONG, Case, module
from tests.verification.hostile.traps import WORD, Hurried, Traps
from verification import gates
from verification.evidence import Evidence
from verification.gates import Candidate, Context, Finding, policy
from verification.simulate import bench, simulate

BLOCK = "eltwise"
AT_ONCE = 45
"""Files of the corpus in one design: the reader starts once for all of them."""


def design_with(folder: Path, files: dict[str, str | bytes]) -> Path:
    """A copy of the expert with these files written over or added."""
    shutil.copytree(EXPERT, folder)
    for name, text in files.items():
        (folder / "rtl" / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def test_the_corpus_is_large_enough_and_has_the_known_cheats() -> None:
    everything = [*TEXT.values(), *ELABORATION.values(), *FILES.values(), *WRONG.values()]
    assert len(everything) >= 80
    assert len([case for case in everything if case.known]) >= 15


@pytest.fixture(scope="module")
def judged(armed: Traps, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Finding]]:
    """The policy gate's findings on every text of the corpus, by name."""
    found: dict[str, list[Finding]] = {name: [] for name in TEXT}
    names = sorted(TEXT)
    for start in range(0, len(names), AT_ONCE):
        files: dict[str, str | bytes] = {}
        for name in names[start : start + AT_ONCE]:
            case = TEXT[name]
            files[f"{BLOCK}_{name}.v"] = module(f"{BLOCK}_{name}", armed.arm(case.body), armed.arm(case.head))
        folder = design_with(tmp_path_factory.mktemp("texts") / "design", files)
        for finding in policy.run(Candidate(read_design(folder), BLOCK), Context()).findings:
            found[finding.file.removeprefix(f"{BLOCK}_").removesuffix(".v")].append(finding)
    return found


@pytest.mark.parametrize("name", sorted(TEXT))
def test_a_text_is_refused_by_name(name: str, judged: dict[str, list[Finding]], traps: Traps) -> None:
    findings = judged[name]
    assert any(TEXT[name].words in finding.message for finding in findings), [str(f) for f in findings]
    assert all(finding.line > 0 for finding in findings)
    assert traps.sprung(*map(str, findings)) == []


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hurried]:
    watched = Hurried(monkeypatch, seconds=4)
    yield watched
    assert watched.peak_bytes <= watched.memory, "a run held more than its limit"


@pytest.mark.parametrize("name", sorted(ELABORATION))
def test_what_takes_stack_time_or_memory_is_stopped(name: str, tmp_path: Path, hurried: Hurried, traps: Traps) -> None:
    case: Case = ELABORATION[name]
    text = expert_text(f"{BLOCK}.v").rpartition("endmodule")[0] + case.body + "\nendmodule\n"
    files: dict[str, str | bytes] = {f"{BLOCK}.v": text, f"{BLOCK}_small.v": module(f"{BLOCK}_small")}
    folder = design_with(tmp_path / "design", files)
    result = policy.run(AtFirstPoint(read_design(folder), BLOCK), Context())
    words = case.words.split("|")
    assert any(word in str(finding) for finding in result.findings for word in words), result.findings
    assert result.seconds < 12


@pytest.mark.parametrize("name", sorted(FILES))
def test_odd_files_are_refused(name: str, tmp_path: Path, traps: Traps) -> None:
    case = FILES[name]
    folder = design_with(tmp_path / "design", dict(case.files))
    names = {Path(file).stem for file in case.files}
    scope = BLOCK if all(each.startswith(BLOCK) for each in names) else "design"
    result = policy.run(Candidate(read_design(folder), scope), Context())
    assert any(case.words in finding.message for finding in result.findings), [str(f) for f in result.findings]
    assert all(finding.file in case.files for finding in result.findings if finding.file)
    assert all(str(finding).isprintable() for finding in result.findings)


def _link(to: str) -> Callable[[Path, Traps], None]:
    def make(folder: Path, traps: Traps) -> None:
        (folder / "rtl" / f"{BLOCK}_link.v").symlink_to(traps.arm(to))

    return make


def _named(name: bytes) -> Callable[[Path, Traps], None]:
    def make(folder: Path, traps: Traps) -> None:
        with open(os.path.join(os.fsencode(folder / "rtl"), name), "w") as file:
            file.write(module("odd"))

    return make


def _pipe(folder: Path, traps: Traps) -> None:
    os.mkfifo(folder / "rtl" / f"{BLOCK}_pipe.v")


def _folder(folder: Path, traps: Traps) -> None:
    (folder / "rtl" / f"{BLOCK}_folder.v").mkdir()


def _sparse(folder: Path, traps: Traps) -> None:
    with open(folder / "rtl" / f"{BLOCK}_sparse.v", "wb") as file:
        file.truncate(1 << 40)


def _many(folder: Path, traps: Traps) -> None:
    for number in range(2100):
        (folder / "rtl" / f"{BLOCK}_m{number}.v").write_text("")


def _linked_rtl(folder: Path, traps: Traps) -> None:
    (folder / "rtl").rename(folder / "elsewhere")
    (folder / "rtl").symlink_to(folder / "elsewhere")


def _linked_manifest(folder: Path, traps: Traps) -> None:
    (folder / "design.yaml").unlink()
    (folder / "design.yaml").symlink_to(traps.secret)


def _manifest(text: str) -> Callable[[Path, Traps], None]:
    def make(folder: Path, traps: Traps) -> None:
        (folder / "design.yaml").write_text(text)

    return make


def _colours(folder: Path, traps: Traps) -> None:
    (folder / "rtl" / f"{BLOCK}.v").write_text(module(BLOCK, "// \x1b[2J\x1b[32mPASS\x1b[0m"))


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
ODD: dict[str, tuple[Callable[[Path, Traps], None], str]] = {
    "link_to_a_secret": (_link("@SECRET@"), "symbolic link"),
    "link_upwards": (_link("../../../../etc/passwd"), "symbolic link"),
    "link_to_a_device": (_link("/dev/zero"), "symbolic link"),
    "link_to_itself": (_link(f"{BLOCK}_link.v"), "symbolic link"),
    "linked_rtl": (_linked_rtl, "symbolic link"),
    "linked_manifest": (_linked_manifest, "symbolic link"),
    "pipe": (_pipe, "not a plain file"),
    "folder": (_folder, "not a plain file"),
    "sparse": (_sparse, "at most"),
    "many": (_many, "at most 2000"),
    "name_of_an_option": (_named(b"-o.v"), "no module can have"),
    "name_of_a_command": (_named(b"x.v; exec touch y;.v"), "no module can have"),
    "name_with_a_newline": (_named(b"a\nwrite_verilog b.v"), "no module can have"),
    "name_in_colours": (_named(b"\x1b[31mred.v"), "no module can have"),
    "name_that_is_no_text": (_named(b"caf\xe9.v"), "no module can have"),
    "name_that_climbs": (_named(b"..\\..\\up.v"), "no module can have"),
    "manifest_that_laughs": (_manifest(LAUGHS), "design.yaml"),
    "manifest_too_deep": (_manifest("[" * 100_000), "nested too deep"),
    "manifest_that_runs": (_manifest("!!python/object/apply:os.system ['touch @TARGET@']"), "not a YAML file"),
    "manifest_in_colours": (_manifest('name: "\\e[31mred"\n'), "design.yaml"),
    "colours_in_a_comment": (_colours, "printable ASCII"),
}


@pytest.mark.parametrize("name", ODD)
def test_verify_of_an_odd_folder_is_one_clear_line(
    name: str, tmp_path: Path, traps: Traps, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTLOOM_CACHE", str(tmp_path / "cache"))
    make, words = ODD[name]
    folder = design_with(tmp_path / "design", {})
    make(folder, traps)
    status = cli.run(["verify", str(folder), "--block", BLOCK, "--gate", "policy"])
    said = capfd.readouterr()
    assert status == (1 if name == "colours_in_a_comment" else 2), said.err
    text = said.out if status == 1 else said.err
    assert words in text
    assert status == 1 or said.err.count("\n") == 1
    assert "Traceback" not in text
    assert "a fault in rtloom" not in text
    assert "\x1b" not in text
    assert WORD not in text


def with_answers(body: str) -> str:
    """The expert's block, where `body` makes the answers of the right ones."""
    return expert_text(
        f"{BLOCK}.v",
        (".data(y_data[8*r +: 8])", ".data(h_data[8*r +: 8])"),
        ("    genvar r;", f"    wire [8*T-1:0] h_data;\n{body}\n    genvar r;"),
    )


SLOW = ("covered_stub", "divide", "endless_for", "short_memory", "unrolled", "x_or_not")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[pytest.mark.slow] * (n in SLOW)) for n in sorted(WRONG)])
def test_allowed_text_that_does_wrong_is_refused(name: str, tmp_path: Path, hurried: Hurried, traps: Traps) -> None:
    case = WRONG[name]
    hurried.seconds, hurried.memory = 30, 1 << 30
    text = with_answers(case.body)
    folder = design_with(tmp_path / "design", {f"{BLOCK}.v": text})
    context = Context(transactions=60, jobs=1)
    results = gates.verdict(AtFirstPoint(read_design(folder), BLOCK), context, evidence=Evidence(tmp_path / "evidence"))
    last = results[-1]
    assert (last.gate, last.passed) == (case.gate, False), [str(f) for f in last.findings]
    assert any(case.words in str(finding) for finding in last.findings), [str(f) for f in last.findings]


@pytest.mark.slow
def test_answers_learned_by_heart_are_refused(tmp_path: Path, hurried: Hurried, traps: Traps) -> None:
    """The public bench's own answers, beat by beat, from a table of constants: a cheat known from public reports."""
    hurried.seconds, hurried.memory = 30, 1 << 30
    point = contracts.load(BLOCK).bench_points[0]
    files = Candidate(read_design(EXPERT), BLOCK).files()
    seen = [result.observed for result in simulate(BLOCK, files, point, bench(BLOCK)(point, 1, 60))]
    beats = max((o.transfers["y"] for o in seen if o is not None), key=len)
    width = 8 * point["T"]
    table = "\n".join(f"16'd{n}: h_out = {width}'h{beat.payload['data']:x};" for n, beat in enumerate(beats))
    body = f"{COUNT}reg [8*T-1:0] h_out;\nalways @* case (h_n)\n{table}\ndefault: h_out = h_data;\nendcase\n"
    text = with_answers(f"{body}assign y_data = h_out;")
    folder = design_with(tmp_path / "design", {f"{BLOCK}.v": text})
    context = Context(transactions=60, jobs=1)
    results = gates.verdict(AtFirstPoint(read_design(folder), BLOCK), context, evidence=Evidence(tmp_path / "evidence"))
    assert (results[-1].gate, results[-1].passed) == ("simulate", False), results[-1].findings
    assert any("expected" in str(finding) for finding in results[-1].findings)
