"""Specs: what one says, what it leaves to defaults, and the one line said of a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

import hwlib
from hwlib.errors import InputError
from hwlib.generate import ROOT
from hwlib.spec import Budgets, MemorySpec, Spec, Workload, read_spec

FULL = """\
name: full-spec-1
workload: {model: model.pt2, phase: encode, batch: 1}
technology: sky130hd=/lib
clock_ns: 2.5
memory: {axi_bytes: 32, latency_cycles: 100}
budgets: {area_um2: 1.0e6, power_mw: 12, latency_us: 0.5, scratchpad_kib: 64, macs_per_cycle: 256}
objective: energy_delay
"""


def spec_file(folder: Path, text: str) -> Path:
    path = folder / "spec.yaml"
    path.write_text(text)
    return path


def refusal(path: Path) -> InputError:
    """The error for `path`, which is one line made of what, where and how to mend it."""
    with pytest.raises(InputError) as caught:
        read_spec(path)
    error = caught.value
    assert error.what
    assert error.where.startswith(str(path))
    assert "\n" not in str(error)
    assert str(error) == " ".join(f"{error.where}: {error.what}{'; ' * bool(error.mend)}{error.mend}".split())
    return error


def with_field(place: str, value: str) -> str:
    """A good spec but for `value` at `place`: a field, or section.field."""
    section, _, field = place.rpartition(".")
    return f"name: ok\n{section}: {{{field}: {value}}}\n" if section else f"name: ok\n{field}: {value}\n"


def at(spec: Spec, place: str) -> object:
    found: object = spec
    for part in place.split("."):
        found = getattr(found, part)
    return found


# Good ones.


def test_every_field_is_read(tmp_path: Path) -> None:
    assert read_spec(spec_file(tmp_path, FULL)) == Spec(
        name="full-spec-1",
        workload=Workload(model="model.pt2", phase="encode", batch=1),
        technology="sky130hd=/lib",
        clock_ns=2.5,
        memory=MemorySpec(axi_bytes=32, latency_cycles=100),
        budgets=Budgets(area_um2=1e6, power_mw=12, latency_us=0.5, scratchpad_kib=64, macs_per_cycle=256),
        objective="energy_delay",
    )


def test_a_name_is_enough_and_the_rest_are_the_defaults_of_the_manual(tmp_path: Path) -> None:
    spec = read_spec(spec_file(tmp_path, "name: digits\n"))
    example = (ROOT / "docs" / "spec.md").read_text().split("```yaml\n")[1].split("```")[0]
    assert read_spec(spec_file(tmp_path, example)) == spec
    assert set(yaml.safe_load(example)) == set(Spec.model_fields)
    assert spec.clock_ns == 12.0
    assert (spec.budgets.area_um2, spec.budgets.power_mw, spec.budgets.latency_us) == (None, None, None)


@pytest.mark.parametrize("path", sorted((Path(hwlib.__file__).parent / "specs").iterdir()), ids=lambda path: path.stem)
def test_shipped_specs_are_good_and_named_as_their_files(path: Path) -> None:
    assert read_spec(path).name == path.stem


def test_a_spec_does_not_change() -> None:
    spec = Spec(name="x")
    with pytest.raises(ValidationError, match="frozen"):
        spec.clock_ns = 5.0
    with pytest.raises(ValidationError, match="frozen"):
        spec.budgets.area_um2 = 1.0


@pytest.mark.parametrize(
    ("place", "values"),
    [
        ("name", ["a", "0", "a" + "-" * 40]),
        ("workload.phase", ["encode"]),
        ("workload.batch", [1]),
        ("clock_ns", [0.101, 1000]),
        ("memory.axi_bytes", [4, 32]),
        ("memory.latency_cycles", [1, 1000]),
        ("budgets.area_um2", [0.001, 1e12]),
        ("budgets.scratchpad_kib", [0.5, 4096]),
        ("budgets.macs_per_cycle", [8, 4096]),
        ("objective", ["area_delay", "delay", "area", "energy_delay", "energy"]),
    ],
)
def test_values_up_to_their_bounds_are_taken(tmp_path: Path, place: str, values: list[object]) -> None:
    for value in values:
        text = f"name: '{value}'\n" if place == "name" else with_field(place, str(value))
        assert at(read_spec(spec_file(tmp_path, text)), place) == value


# Bad ones.


@pytest.mark.parametrize(
    ("place", "value", "rule"),
    [
        ("workload.batch", "0", "Input should be greater than or equal to 1"),
        ("workload.batch", "1025", "Input should be less than or equal to 1024"),
        ("clock_ns", "0.1", "Input should be greater than 0.1"),
        ("clock_ns", "1000.1", "Input should be less than or equal to 1000"),
        ("clock_ns", ".inf", "Input should be less than or equal to 1000"),
        ("clock_ns", ".nan", "Input should be less than or equal to 1000"),
        ("memory.axi_bytes", "3", "Input should be greater than or equal to 4"),
        ("memory.axi_bytes", "64", "Input should be less than or equal to 32"),
        ("memory.latency_cycles", "0", "Input should be greater than or equal to 1"),
        ("memory.latency_cycles", "1001", "Input should be less than or equal to 1000"),
        ("budgets.area_um2", "0", "Input should be greater than 0"),
        ("budgets.area_um2", ".nan", "Input should be greater than 0"),
        ("budgets.power_mw", "-1", "Input should be greater than 0"),
        ("budgets.latency_us", "0", "Input should be greater than 0"),
        ("budgets.scratchpad_kib", "0", "Input should be greater than 0"),
        ("budgets.scratchpad_kib", "4097", "Input should be less than or equal to 4096"),
        ("budgets.macs_per_cycle", "7", "Input should be greater than or equal to 8"),
        ("budgets.macs_per_cycle", "4097", "Input should be less than or equal to 4096"),
    ],
)
def test_a_value_past_its_bound(tmp_path: Path, place: str, value: str, rule: str) -> None:
    path = spec_file(tmp_path, with_field(place, value))
    error = refusal(path)
    assert (error.what.partition(" (given: ")[0], error.where) == (rule, f"{path}:{place.replace('.', ':')}")
    assert error.mend == "see docs/spec.md"


@pytest.mark.parametrize(
    ("place", "value", "rule"),
    [
        ("technology", "[osu018]", "Input should be a valid string"),
        ("clock_ns", "fast", "Input should be a valid number, unable to parse string as a number"),
        ("clock_ns", "null", "Input should be a valid number"),
        ("workload", "digits-vit", "Input should be a valid dictionary or instance of Workload"),
        ("workload.model", "3", "Input should be a valid string"),
        ("workload.batch", "1.5", "Input should be a valid integer, got a number with a fractional part"),
        ("workload.batch", "[1]", "Input should be a valid integer"),
        ("workload.phase", "train", "Input should be 'encode', 'prefill' or 'decode'"),
        ("memory", "8", "Input should be a valid dictionary or instance of MemorySpec"),
        ("budgets", "null", "Input should be a valid dictionary or instance of Budgets"),
        ("budgets.scratchpad_kib", "null", "Input should be a valid number"),
        ("objective", "speed", "Input should be 'area_delay', 'delay', 'area', 'energy_delay' or 'energy'"),
        ("colour", "red", "Extra inputs are not permitted"),
        ("workload.colour", "red", "Extra inputs are not permitted"),
        ("memory.bytes", "8", "Extra inputs are not permitted"),
        ("budgets.area", "8", "Extra inputs are not permitted"),
    ],
)
def test_a_value_of_the_wrong_kind_and_an_unknown_field(tmp_path: Path, place: str, value: str, rule: str) -> None:
    path = spec_file(tmp_path, with_field(place, value))
    error = refusal(path)
    assert (error.what.partition(" (given: ")[0], error.where) == (rule, f"{path}:{place.replace('.', ':')}")
    assert error.mend == "see docs/spec.md"


@pytest.mark.parametrize(
    ("place", "value", "rule"),
    [
        ("workload.phase", "decode", "which is phase encode; no other has an effect (given: 'decode')"),
        ("workload.phase", "prefill", "which is phase encode; no other has an effect (given: 'prefill')"),
        ("workload.batch", "4", "which is batch 1; no other has an effect (given: 4)"),
    ],
)
def test_a_value_without_effect_is_refused(tmp_path: Path, place: str, value: str, rule: str) -> None:
    path = spec_file(tmp_path, with_field(place, value))
    error = refusal(path)
    assert error.where == f"{path}:{place.replace('.', ':')}"
    assert error.what.endswith(rule)


@pytest.mark.parametrize("name", ["''", "A", "-a", "a b", "a_b", "a/b", "../a", "é", '"a\\n"', "a" * 42])
def test_a_name_that_is_no_name(tmp_path: Path, name: str) -> None:
    path = spec_file(tmp_path, f"name: {name}\n")
    error = refusal(path)
    assert error.where == f"{path}:name"
    assert error.what.startswith("String should match pattern '^[a-z0-9][a-z0-9-]{0,40}$' (given: ")


@pytest.mark.parametrize(
    ("text", "where", "rule"),
    [
        ("clock_ns: 8\n", ":name", "Field required"),
        ("name: 12\n", ":name", "Input should be a valid string (given: 12)"),
        ("", "", "Input should be a valid dictionary or instance of Spec"),
        ("# nothing\n", "", "Input should be a valid dictionary or instance of Spec"),
        ("digits\n", "", "Input should be a valid dictionary or instance of Spec (given: 'digits')"),
        ("- name: digits\n", "", "Input should be a valid dictionary or instance of Spec"),
        ("&a {name: ok, workload: *a}\n", ":workload:name", "Extra inputs are not permitted (given: 'ok')"),
    ],
)
def test_a_file_that_is_no_mapping_or_has_no_name(tmp_path: Path, text: str, where: str, rule: str) -> None:
    path = spec_file(tmp_path, text)
    error = refusal(path)
    assert (error.what, error.where, error.mend) == (rule, f"{path}{where}", "see docs/spec.md")


NOT_YAML = {
    "open flow mapping": (b"name: {", "expected the node content"),
    "open quote": (b"name: 'ok\n", "found unexpected end of stream"),
    "bad indent": (b"name: ok\n  clock_ns: 3\n", "mapping values are not allowed here"),
    "tab": (b"workload:\n\tbatch: 1\n", "found character '\\t' that cannot start any token"),
    "unknown alias": (b"name: *none\n", "found undefined alias 'none'"),
    "list as key": (b"? [a]\n: b\n", "found unhashable key"),
    "two documents": (b"name: a\n---\nname: b\n", "expected a single document"),
    "object": (b"!!python/object/apply:os.system [true]\n", "could not determine a constructor"),
    "control character": (b"name: ok\x01\n", "special characters are not allowed"),
    "not UTF-8": (b"\xffname: ok\n", "'utf-8' codec can't decode byte 0xff"),
}


@pytest.mark.parametrize(("data", "message"), NOT_YAML.values(), ids=NOT_YAML.keys())
def test_what_is_not_yaml(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_bytes(data)
    error = refusal(path)
    assert error.where == str(path)
    assert error.what.startswith("not a YAML file: ")
    assert message in str(error)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    error = refusal(tmp_path / "none.yaml")
    assert (error.what, error.mend) == ("no such spec file", "write one as in docs/spec.md")
    assert "Is a directory" in refusal(tmp_path).what


def test_what_is_not_yaml_gets_told_how_to_mend_it(tmp_path: Path) -> None:
    assert refusal(spec_file(tmp_path, "name: {")).mend


@pytest.mark.parametrize(
    "text",
    ["name: 2024-99-99\n", "name: ok\nclock_ns: !!float x\n", "name: " + "[" * 1000],
    ids=["no such date", "no such number", "too deep"],
)
def test_yaml_that_cannot_be_constructed(tmp_path: Path, text: str) -> None:
    refusal(spec_file(tmp_path, text))


@pytest.mark.parametrize("name", ["spec.yaml/inner.yaml", "a" * 300], ids=["under a file", "too long a name"])
def test_a_path_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    spec_file(tmp_path, "name: ok\n")
    refusal(tmp_path / name)
