"""Generated files: the committed ones are what the single sources say."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents import cli
from agents.cli.manual import commands_page
from hwlib import contracts, generate, isa, numerics
from hwlib.errors import InputError


def test_committed_files_are_up_to_date() -> None:
    assert generate.stale(generate.generated() | {"docs/commands.md": commands_page()}) == []


def test_every_instruction_contract_and_numerics_function_is_documented() -> None:
    pages = generate.generated()
    assert all(f"## {name}" in pages["docs/contracts.md"] for name in contracts.names())
    assert all(name in pages["docs/isa.md"] for name in isa.BY_NAME)
    functions = [name for name in numerics.__all__ if name.islower() and callable(getattr(numerics, name))]
    assert all(f"## {name}\n" in pages["docs/numerics.md"] for name in functions)


def test_every_command_is_documented_without_a_machine_path() -> None:
    page = commands_page()
    for name in cli.COMMANDS:
        assert f"## rtloom {name}\n" in page
    assert "## rtloom mfm compile\n" in page
    assert str(generate.ROOT) not in page


def test_exp2_table_has_every_entry() -> None:
    table = generate.exp2_table()
    assert all(f"value = 16'd{value};" in table for value in numerics.EXP2_TABLE)


def test_write_changes_only_what_is_stale(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    files = {"docs/a.md": "a", "docs/b.md": "b"}
    (tmp_path / "docs" / "a.md").write_text("a")
    assert generate.stale(files, tmp_path) == ["docs/b.md"]
    assert generate.write(files, tmp_path) == ["docs/b.md"]
    assert generate.write(files, tmp_path) == []


def test_write_outside_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a source checkout"):
        generate.write({"docs/a.md": "a"}, tmp_path)


def test_counters_are_those_of_the_contract() -> None:
    control = contracts.load("control")
    events = next(item for item in control.interfaces if item.name == "event").fields
    assert list(generate.COUNTER_MEANING)[1:] == list(events)[1:]
