"""The manual: variables, links, limits and states are those there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agents.records import Budget, CampaignState
from hwlib.generate import ROOT

README = (ROOT / "README.md").read_text()
CAMPAIGNS = (ROOT / "docs" / "campaigns.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_readme_names_every_variable_that_is_read() -> None:
    sources = [path.read_text() for room in ("agents", "verification", "mfm", "hwlib")
               for path in (ROOT / room).rglob("*.py")]  # fmt: skip
    read = {name for text in sources for name in re.findall(r"\"((?:RTLOOM_\w+|\w+_API_KEY))\"", text)}
    assert {"RTLOOM_HOME", "RTLOOM_CACHE", "RTLOOM_SANDBOX", "OPENAI_API_KEY"} <= read
    assert [name for name in sorted(read) if f"`{name}`" not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_links_every_page() -> None:
    assert [page.name for page in PAGES[1:] if f"docs/{page.name}" not in README] == []


def test_campaigns_page_has_every_limit_and_state() -> None:
    assert [name for name in Budget.model_fields if f"| `{name}` |" not in CAMPAIGNS] == []
    assert [state for state in CampaignState.__args__ if f"\n| {state} |" not in CAMPAIGNS] == []  # type: ignore[attr-defined]
