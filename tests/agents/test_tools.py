"""The tools by themselves, on a small block with the real gates and synthesis; what none of them may show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from agents.campaign import Campaign, Settings
from agents.designers import BlockCost, Candidate, Files, WorkOrder
from agents.flow import FlowEvaluator
from agents.records import Budget, GateOutcome
from agents.store import text_hash
from agents.tools.desk import Built, Desk
from agents.tools.use import CALL, MOST_CHARACTERS, USES, cut, use
from hwlib import contracts, numerics, templates
from hwlib.design import Design, Manifest, read_design
from hwlib.generate import ROOT
from tests.agents.stand_in import SPEC, ToyEvaluator

BLOCK = "requantizer"


@pytest.fixture
def campaign() -> Iterator[Campaign]:
    settings = Settings(name="toy", designer="llm", budget=Budget(evaluations=10))
    opened = Campaign.create(SPEC, settings)
    yield opened
    opened.close()


def desk(campaign: Campaign, draft: Files, **changes: object) -> Desk:
    manifest = Manifest(name="toy", parameters={"T": 4, "D": 4}, clock_ns=20)

    def lay_out(files: Files) -> Design:
        folder = campaign.folder / "benches" / text_hash(str(sorted(files.items())))[:24]
        texts = {f"rtl/{name}": text for name, text in files.items()} | {"design.yaml": manifest.model_dump_json()}
        return read_design(campaign.revisions.lay_out(texts, folder))

    at = Desk(campaign, FlowEvaluator(SPEC), "001-x", BLOCK, 1, manifest.parameters, lay_out, draft=draft)
    return replace(at, **changes)  # type: ignore[arg-type]


def call(tool: str, at: Desk, /, **arguments: str) -> str:
    return use(CALL.validate_python({"tool": tool} | arguments), at)


def template() -> Files:
    return templates.render(BLOCK, "direct")


def broken() -> Files:
    """The template with half of the rounding."""
    text = template()[f"{BLOCK}.v"]
    changed = text.replace("shift - 6'd1", "shift - 6'd2", 1)
    assert changed != text
    return {f"{BLOCK}.v": changed}


def test_a_draft_is_checked_and_synthesised(campaign: Campaign) -> None:
    at = desk(campaign, template())
    assert call("check_draft", at).splitlines() == ["policy: passed", "lint: passed", "simulate: passed"]
    shown = call("synthesise_draft", at)
    assert shown.startswith("draft: area ")
    assert "critical path, " in shown
    assert campaign.ledger.spent().evaluations == 2
    assert call("check_draft", at).endswith("simulate: passed")
    assert campaign.ledger.spent().evaluations == 2


def test_checks_and_uses_are_bounded(campaign: Campaign) -> None:
    at = desk(campaign, {}, judge=ToyEvaluator(SPEC))
    for number in range(6):
        call("check_draft", replace(at, draft={f"{BLOCK}.v": f"// plain\n// {number}"}))
    refused = call("check_draft", replace(at, draft={f"{BLOCK}.v": "// plain\n// 9"}))
    assert refused == "refused: this order's 6 checks and syntheses of drafts are spent"
    for name in numerics.__all__[: USES - 6]:
        assert not call("read_numerics", at, name=name).startswith("refused")
    assert call("read_contract", at, block="array") == f"refused: this order's {USES} uses of tools are spent"
    assert "T lanes" in call("read_contract", replace(at, order="001-y"), block=BLOCK)


def test_the_campaigns_evaluations_are_a_bound_too(campaign: Campaign) -> None:
    for number in range(10):
        assert campaign.ledger.reserve(f"k{number}", "lint", 0, 10)
    at = desk(campaign, {f"{BLOCK}.v": "// plain\n"}, judge=ToyEvaluator(SPEC))
    assert call("check_draft", at) == "refused: the campaign's 10 evaluations are spent"
    assert campaign.ledger.spent().evaluations == 10


class Dying(ToyEvaluator):
    """The judge of a process that is killed at its work."""

    def check_quick(self, design: Design, block: str) -> tuple[GateOutcome, ...]:
        raise KeyboardInterrupt


def test_a_check_cut_short_is_made_again_and_paid_once(campaign: Campaign) -> None:
    at = desk(campaign, {f"{BLOCK}.v": "// quick\n"}, judge=Dying(SPEC))
    with pytest.raises(KeyboardInterrupt):
        call("check_draft", at)
    assert call("check_draft", replace(at, judge=ToyEvaluator(SPEC))).endswith("simulate: passed")
    assert call("check_draft", at).endswith("simulate: passed")
    assert campaign.ledger.spent().evaluations == 1


def test_there_must_be_a_draft(campaign: Campaign) -> None:
    assert (
        call("check_draft", desk(campaign, {}))
        == "refused: requantizer: there is no draft yet; write requantizer.v first"
    )


def test_earlier_candidates_are_listed_and_read(campaign: Campaign) -> None:
    names = {f"{BLOCK}.v": campaign.texts.put("// one\n")}
    refusal = GateOutcome("simulate", BLOCK, False, ("y beat 3 is wrong",))
    bad = Candidate(WorkOrder(0, BLOCK, intent="try it"), {}, names, False, (refusal,), None, 1)
    good = Candidate(WorkOrder(0, BLOCK, intent="again"), {}, names, True, (), BlockCost(120.0, 3.5), 1)
    late = Candidate(WorkOrder(1, BLOCK, intent="this round's"), {}, names, True, (), None, 1)
    for candidate in (bad, good, late):
        campaign.ledger.put_candidate(candidate)
    at = desk(campaign, {}, base=Built(good.id, good.cost))
    shown = call("list_earlier", at, block=BLOCK)
    assert f"{bad.id}: refused by simulate; try it" in shown
    assert f"{good.id}: 120 um2, 3.50 ns; again; files {BLOCK}.v (built on)" in shown
    assert late.id not in shown
    assert call("read_earlier", at, candidate=good.id, file=f"{BLOCK}.v") == "// one\n"
    assert "no file 'x'" in call("read_earlier", at, candidate=good.id, file="x")
    assert call("read_findings", at, candidate=bad.id) == "simulate: refused\n- y beat 3 is wrong"
    assert "no candidate" in call("read_findings", at, candidate=late.id)
    assert call("compare", at) == (
        f"In this design: T=4.\n{BLOCK}: area 120 um2, period 3.50 ns\ndesign: not measured yet"
    )


def test_a_template_is_read_at_the_options_asked_for(campaign: Campaign) -> None:
    at = desk(campaign, {})
    name, variant = next((n, v) for n, v in templates.variants("norm").items() if v.options)
    for key, option in variant.options.items():
        for value in option.legal:
            file = next(iter(variant.files)) + ".v"
            options = f"{key}={value}"
            shown = call("read_template", at, block="norm", variant=name, file=file, options=options)
            assert shown == cut(templates.render("norm", name, {key: value})[file])
    assert "no such options" in call("read_template", at, block="norm", variant=name, file=file, options="x=1")


def every_reading(at: Desk) -> Iterator[str]:
    """The result of every reading tool with every argument that names something."""
    number = 0
    for block in contracts.names():
        for name, arguments in [("read_contract", {"block": block}), ("list_templates", {"block": block})]:
            number += 1
            yield call(name, replace(at, order=f"{number}"), **arguments)
        for variant in templates.variants(block):
            for file in templates.render(block, variant):
                number += 1
                yield call("read_template", replace(at, order=f"{number}"), block=block, variant=variant, file=file)
    for name in numerics.__all__:
        yield call("read_numerics", replace(at, order=name), name=name)


def secret_lines() -> set[str]:
    """Lines that only the expert's RTL and the verification room have."""
    open_texts = [text for block in contracts.names() for variant in templates.variants(block)
                  for text in templates.render(block, variant).values()]  # fmt: skip
    open_texts += [path.read_text() for path in (ROOT / "hwlib" / "numerics").glob("*.py")]
    known = {line.strip() for text in open_texts for line in text.splitlines()}
    rooms = [*(ROOT / "hwlib" / "expert").rglob("*.v"), *(ROOT / "verification").rglob("*.py")]
    lines = {line.strip() for path in rooms for line in path.read_text().splitlines()}
    return {line for line in lines - known if len(line) >= 24}


def test_no_tool_shows_the_expert_or_a_bench(campaign: Campaign) -> None:
    at, canary = desk(campaign, broken()), secret_lines()
    assert len(canary) > 5000
    shown = [*every_reading(desk(campaign, {})), call("check_draft", at), call("synthesise_draft", at)]
    assert "simulate: refused" in shown[-2]
    assert all(len(text) <= MOST_CHARACTERS + 40 for text in shown)
    lines = {line.strip() for text in shown for line in text.splitlines()}
    assert lines & canary == set()
    assert not [line for line in lines if "verification/" in line or "hwlib/expert" in line]


def test_a_bench_finding_is_condensed_with_its_contract(campaign: Campaign) -> None:
    shown = call("check_draft", desk(campaign, broken()))
    (finding,) = [line for line in shown.splitlines() if line.startswith("- ")]
    assert "first bad cycle" in finding
    assert "data differs in bits" in finding
    assert "signals: y_valid, y_ready, y_data" in finding
    assert "contract: y: data[8*r +: 8] is lane r's int8 result" in finding
    assert len(finding) < 1600


@pytest.mark.parametrize("name", ["read_contract", "list_templates"])
def test_names_are_no_paths(campaign: Campaign, tmp_path: Path, name: str) -> None:
    assert call(name, desk(campaign, {}), block="../specs/digits").startswith("refused: ")
