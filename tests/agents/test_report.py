"""The report page: self-contained, complete, honest about losses and gaps."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from agents.compare import METRICS, Accuracy
from agents.records import GateOutcome
from agents.report import Origin, Step, comparison_page, verification_word
from tests.agents.entries import comparison, entry

ORIGIN = Origin("abc123", {"yosys": "0.70"}, ["rtloom compare mine expert"])


class Loads(HTMLParser):
    """Collects what a browser would fetch, and tags left open."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        links = [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        self.fetched += [link for link in links if not link.startswith("#")]
        if tag not in ("meta", "link", "br", "path", "use", "line", "rect"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass


def test_page_fetches_nothing_and_closes_what_it_opens() -> None:
    parser = Loads()
    parser.feed(comparison_page(comparison(), ORIGIN))
    assert parser.fetched == []
    assert parser.open == []


def test_page_has_every_figure_of_both_designs_and_plots() -> None:
    page = comparison_page(comparison(), ORIGIN, [Step("tools", 0.25)])
    for metric in METRICS:
        assert metric.title in page
    assert page.count("<svg") >= 4
    assert "rtloom compare mine expert" in page
    assert "tools" in page
    assert re.search(r"1\.500 worse", page)
    assert re.search(r"0\.500 better", page)


def test_ids_in_the_page_are_unique() -> None:
    found = re.findall(r'\bid="([^"]+)"', comparison_page(comparison(), ORIGIN))
    assert len(found) == len(set(found))


def test_refused_gates_show_with_their_finding_escaped() -> None:
    bad = entry("mine", gates=(GateOutcome("lint", "design", False, ("a.v:3: <latch> on x[3:0]",)),))
    found = replace(comparison(), entries=(bad, entry("expert")))
    assert verification_word(bad) == "refused by lint"
    assert "refused: a.v:3: &lt;latch&gt; on x[3:0]" in comparison_page(found, ORIGIN)


def test_accuracy_that_is_not_exact_is_said() -> None:
    exact = Accuracy("mine", 0.98, 0.98, 450, 0.97, 64, True)
    accuracy = (exact, replace(exact, label="x", logits_equal=False))
    page = comparison_page(replace(comparison(), accuracy=accuracy), ORIGIN)
    assert '<td class="good">yes</td>' in page
    assert '<td class="bad">no</td>' in page


def test_unknown_power_is_said() -> None:
    found = replace(comparison(), entries=(entry("mine", power_mw=None), entry("expert")))
    assert "n/a" in comparison_page(found, ORIGIN)
