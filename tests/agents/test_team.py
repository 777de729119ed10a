"""What --model, price tables and keys may say, and how a wrong one is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agents import api, cli
from agents.models import Usage
from agents.models.keys import hidden, key_from
from agents.models.prices import FREE, Price, price_list, prices_of
from agents.models.team import Casting, cast
from agents.records import Budget
from hwlib.errors import InputError
from tests.agents.stand_in import SPEC, ToyEvaluator

SMALL, BIG = "chat:small@http://127.0.0.1:1/v1", "anthropic:big"


def test_a_bare_word_is_for_every_role() -> None:
    assert cast("openai:gpt-5") == Casting("openai:gpt-5", ("openai:gpt-5",), "openai:gpt-5")


def test_roles_and_a_cascade() -> None:
    found = cast(f"openai:gpt-5, writer={SMALL}>{BIG},verifier={BIG}")
    assert found == Casting("openai:gpt-5", (SMALL, BIG), BIG)
    assert found.words == ("openai:gpt-5", SMALL, BIG)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "the llm designer needs a model"),
        ("gpt", "'gpt' names no model"),
        ("planner=openai:a,writer=openai:a", "no model for the verifier"),
        ("openai:a,openai:b", "two models for every role"),
        ("planner=openai:a,planner=openai:b", "two models for planner"),
        ("openai:a,critic=openai:b", "no role 'critic'; roles are planner, writer, verifier"),
        ("openai:a>openai:b", "a cascade for the planner"),
        ("openai:a,writer=openai:b>openai:b", "openai:b twice in one cascade"),
        ("openai:a,writer=>openai:b", "the llm designer needs a model"),
        ("chat:m", "needs its server's address"),
        ("chat:m@localhost:8000", "is no address"),
        ("chat:m@http://me:secret@host/v1", "holds a name, key or query"),
        ("chat:m@https://host/v1?key=secret", "holds a name, key or query"),
    ],
)
def test_what_names_no_team_is_one_line(text: str, line: str) -> None:
    with pytest.raises(InputError, match=line) as caught:
        cast(text)
    assert "secret" not in str(caught.value)


def test_a_bad_team_leaves_no_campaign(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "--designer", "llm", "--model", "planner=openai:a"]) == 2
    assert "no model for the writer" in capsys.readouterr().err
    assert api.list_campaigns() == []


TABLE = "as_of: 2026-05-04\nmodels:\n  openai:gpt-5: {input: 7, output: 9}\n  chat:m: {input: 1, output: 1}\n"


def test_prices_are_dated_and_overridden_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    shipped = price_list()
    assert all(price.as_of is not None for price in shipped.values())
    (tmp_path / "rtloom").mkdir()
    (tmp_path / "rtloom" / "prices.yaml").write_text(TABLE)
    own = price_list()
    assert (own["openai:gpt-5"].input, str(own["openai:gpt-5"].as_of)) == (7, "2026-05-04")
    assert own["openai:gpt-4.1"] == shipped["openai:gpt-4.1"]
    (tmp_path / "mine.yaml").write_text(TABLE.replace("input: 7", "input: 8"))
    assert price_list(tmp_path / "mine.yaml")["openai:gpt-5"].input == 8


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("as_of: soon\nmodels: {}\n", "as_of"),
        ("models: {}\n", "as_of: Field required"),
        ("as_of: 2026-01-01\nmodels: {openai:a: {input: -1, output: 1}}\n", "greater than or equal to 0"),
        ("as_of: 2026-01-01\nmodels: {openai:a: {input: .nan, output: 1}}\n", "input"),
        ("as_of: 2026-01-01\nmodels: {openai:a: {input: 1}}\n", "output: Field required"),
        ("as_of: [", "not a YAML file"),
    ],
)
def test_a_bad_price_table_is_one_line(text: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(InputError, match=line):
        price_list(tmp_path / "p.yaml")


def test_a_missing_price_table_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"p\.yaml: no such file"):
        price_list(tmp_path / "p.yaml")


def test_what_a_cache_holds_has_a_price_of_its_own() -> None:
    price = Price(input=10, cached=1, written=12, output=50)
    assert price.of(Usage(1000, 100, cached_tokens=600, written_tokens=300)) == pytest.approx(
        (100 * 10 + 600 * 1 + 300 * 12 + 100 * 50) / 1e6
    )
    assert Price(input=10, output=50).of(Usage(1000, 0, cached_tokens=600)) == pytest.approx(1000 * 10 / 1e6)


@pytest.mark.parametrize(
    ("url", "free"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("http://10.1.2.3/v1", True),
        ("http://gpu/v1", True),
        ("http://box.local/v1", True),
        ("https://8.8.8.8/v1", False),
        ("https://models.example.com/v1", False),
    ],
)
def test_only_a_server_of_ones_own_is_free(url: str, free: bool) -> None:
    assert prices_of([f"chat:m@{url}"], {}) == ({"chat:m": FREE} if free else {})


@pytest.mark.parametrize("model", ["openai:unheard-of", "chat:m@https://models.example.com/v1"])
def test_a_money_budget_needs_a_price(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-something-long")
    budget = Budget(money_usd=1.0)
    with pytest.raises(InputError, match=r"no price known for .*; give its price \(--prices FILE\)"):
        api.start_campaign(SPEC, designer="llm", model=model, budget=budget, evaluators=ToyEvaluator)
    assert api.list_campaigns() == []


class NoKeyringError(Exception):
    pass


def keyring(monkeypatch: pytest.MonkeyPatch, answer: object) -> None:
    """A keyring package that gives `answer`, or raises it."""

    def get_password(service: str, name: str) -> object:
        assert service == "rtloom"
        if isinstance(answer, Exception):
            raise answer
        return answer if name == "OPENAI_API_KEY" else None

    module = SimpleNamespace(get_password=get_password, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "keyring", module)  # type: ignore[arg-type]


def test_a_key_comes_from_the_keyring_if_not_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    keyring(monkeypatch, "sk-from-the-keyring")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert key_from("OPENAI_API_KEY") == "sk-from-the-keyring"
    assert hidden("so sk-from-the-keyring it is") == "so <OPENAI_API_KEY> it is"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-the-environment")
    assert key_from("OPENAI_API_KEY") == "sk-from-the-environment"


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (None, "OPENAI_API_KEY: no API key; export OPENAI_API_KEY=..., or keyring set rtloom OPENAI_API_KEY"),
        (NoKeyringError("no backend"), "no API key"),
        (RuntimeError("sk-secret"), r"the keyring cannot be read \(RuntimeError\); unlock it"),
        ("two words", "the key has spaces or characters that no key has"),
    ],
)
def test_a_keyring_without_the_key_is_one_line(answer: object, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keyring(monkeypatch, answer)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(InputError, match=line) as caught:
        key_from("OPENAI_API_KEY")
    assert "secret" not in str(caught.value)


def test_without_the_keyring_package_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setattr("agents.models.keys._keyring", lambda: False)
    with pytest.raises(InputError, match="or pip install keyring and keyring set rtloom OPENAI_API_KEY"):
        key_from("OPENAI_API_KEY")
