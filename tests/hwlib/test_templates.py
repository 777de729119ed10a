"""Every variant of every block renders to modules that keep to the contract; bad choices get one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pyslang
import pytest
from pyslang import ast, syntax

from hwlib import contracts
from hwlib.design import PLATFORM, Manifest
from hwlib.errors import InputError
from hwlib.templates import Choice, blocks, defaults, option_space, render, render_design, variant, variants
from hwlib.templates.catalog import Value
from hwlib.templates.render import decode_instance, describe

EVERY = [(block, name) for block in blocks() for name in variants(block)]
MANIFEST = Manifest(name="small", clock_ns=8, parameters={"T": 4, "D": 4})
CELLS = {path.stem for path in PLATFORM.glob("*.v")}


def choices(block: str, name: str) -> list[dict[str, Value]]:
    """The default options and every other value of each option, one at a time."""
    legal = option_space(block)[name]
    return [{}, *({option: value} for option, values in legal.items() for value in values)]


def instantiated(text: str) -> set[str]:
    """Modules instantiated in `text`, which has one module."""
    tree = syntax.SyntaxTree.fromText(text)
    found: set[str] = set()

    def see(node: object) -> None:
        if isinstance(node, syntax.HierarchyInstantiationSyntax):
            found.add(node.type.valueText)

    tree.root.visit(see)
    return found


def ports_of(files: Mapping[str, str], top: str, point: Mapping[str, int]) -> dict[str, tuple[str, int]]:
    """Direction and width of the ports of `top` at `point`, as slang elaborates them."""
    options = ast.CompilationOptions()
    options.topModules = {top}
    options.paramOverrides = [f"{name}={value}" for name, value in point.items()]
    bag = pyslang.Bag()
    bag.compilationOptions = options
    compilation = ast.Compilation(bag)
    for text in files.values():
        compilation.addSyntaxTree(syntax.SyntaxTree.fromText(text))
    (instance,) = compilation.getRoot().topInstances
    directions = {ast.ArgumentDirection.In: "input", ast.ArgumentDirection.Out: "output"}
    return {port.name: (directions[port.direction], port.type.bitWidth) for port in instance.body.portList}


def test_every_block_has_templates() -> None:
    assert blocks() == contracts.names()


@pytest.mark.parametrize(("block", "name"), EVERY)
def test_a_file_is_a_module_of_its_name_without_leftovers(block: str, name: str) -> None:
    for options in choices(block, name):
        for file, text in render(block, name, options).items():
            assert re.findall(r"^module (\w+)", text, re.M) == [Path(file).stem]
            assert text.count("endmodule") == 1
            assert not re.search(r"\$\{|\[[%#]|[%#]\]", text), f"{file} with {options}"
            assert text.startswith(f"// {Path(file).stem}:")
            assert Path(file).stem == block or file.startswith(f"{block}_")


@pytest.mark.parametrize(("block", "name"), EVERY)
def test_every_option_changes_the_text(block: str, name: str) -> None:
    plain = render(block, name)
    for option, values in option_space(block)[name].items():
        texts = [render(block, name, {option: value}) for value in values]
        assert plain in texts
        assert all(texts.count(text) == 1 for text in texts), option


@pytest.mark.parametrize(("block", "name"), EVERY)
def test_ports_are_the_contracts_at_every_bench_point(block: str, name: str) -> None:
    contract = contracts.load(block)
    files = render(block, name)
    for point in contract.bench_points:
        expected = {port.name: (port.direction, port.width) for port in contract.ports(point)}
        assert ports_of(files, block, point) == expected


@pytest.mark.parametrize(("block", "name"), EVERY)
def test_only_modules_the_contract_grants_are_instantiated(block: str, name: str) -> None:
    files = render(block, name)
    granted = {Path(file).stem for file in files} | set(contracts.load(block).uses) | CELLS
    used = {module for text in files.values() for module in instantiated(text)}
    assert used <= granted
    assert {Path(file).stem for file in files} - {block} <= used


@pytest.mark.parametrize(("block", "name"), EVERY)
def test_rendering_is_deterministic(block: str, name: str) -> None:
    assert all(render(block, name, options) == render(block, name, options) for options in choices(block, name))


def test_variants_of_a_block_differ_in_text() -> None:
    for block in blocks():
        texts = [render(block, name) for name in variants(block)]
        assert all(texts.count(text) == 1 for text in texts), block


def test_the_array_and_another_block_have_real_variants() -> None:
    assert len(variants("array")) >= 2
    assert any(len(variants(block)) >= 2 for block in blocks() if block != "array")


@pytest.mark.parametrize(
    ("block", "name", "options", "message"),
    [
        ("nothing", "plain", {}, "no templates for block 'nothing'"),
        ("top", "fancy", {}, "no variant 'fancy' of top; use one of plain"),
        ("top", "plain", {"colour": 1}, "unknown option 'colour'; options here: request_register"),
        ("top", "plain", {"request_register": 2}, "request_register = 2; use one of 0, 1"),
        ("top", "plain", {"request_register": True}, "request_register = True; use one of 0, 1"),
        ("vector_unit", "streaming", {"hide": 0}, "hide = 0; use one of 1, 2, 3, 4"),
    ],
)
def test_a_bad_choice_gets_one_line(block: str, name: str, options: dict[str, Value], message: str) -> None:
    with pytest.raises(InputError) as caught:
        render(block, name, options)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_options_not_given_take_their_defaults() -> None:
    chosen = variant("array", "carrysave")
    assert chosen.resolve({"product": "booth"}, "here") == {
        name: "booth" if name == "product" else option.default for name, option in chosen.options.items()
    }


def test_a_design_is_rendered_whole_and_read_back(tmp_path: Path) -> None:
    chosen = defaults() | {"array": Choice("carrysave", {"product": "booth"})}
    design = render_design(tmp_path / "d", MANIFEST, chosen)
    expected = {file for block, choice in chosen.items() for file in render(block, *choice)}
    assert {path.name for path in design.rtl} == expected
    assert design.manifest.variants["array"] == "carrysave product=booth"
    assert design.manifest.parameters == MANIFEST.parameters


def test_rendering_a_design_again_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    first = render_design(folder, MANIFEST, defaults() | {"array": Choice("carrysave")}).tree_hash
    assert (folder / "rtl" / "array_tree.v").exists()
    second = render_design(folder, MANIFEST, defaults()).tree_hash
    assert first != second
    assert not (folder / "rtl" / "array_tree.v").exists()
    assert second == render_design(tmp_path / "e", MANIFEST, defaults()).tree_hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "e"]


def test_a_design_with_a_bad_choice_leaves_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    before = render_design(folder, MANIFEST, defaults()).tree_hash
    with pytest.raises(InputError, match="no variant chosen for array"):
        render_design(folder, MANIFEST, {k: v for k, v in defaults().items() if k != "array"})
    with pytest.raises(InputError, match="no variant 'fancy'"):
        render_design(folder, MANIFEST, defaults() | {"array": Choice("fancy")})
    assert render_design(folder, MANIFEST, defaults()).tree_hash == before


def test_a_choice_is_described_with_sorted_options() -> None:
    assert describe(Choice("plain")) == "plain"
    assert describe(Choice("carrysave", {"product": "booth", "drain": "skew"})) == "carrysave drain=skew product=booth"


def test_decoding_names_the_fields_used_and_refuses_others() -> None:
    text = decode_instance("word", "opcode", "v_cols")
    assert "wire [15:0] v_cols;" in text
    assert ".v_cols(v_cols)" in text
    assert ".flags(unused_fields[" in text
    with pytest.raises(InputError, match="isa_decode has no output 'colour'"):
        decode_instance("word", "colour")
