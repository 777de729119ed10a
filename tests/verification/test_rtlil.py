"""Elaborated RTLIL: which module became which block, what lies in what, and what a block's mapping depends on."""

from __future__ import annotations

from verification import rtlil

BOX = "ram"
KEPT = ("top", "unit")


def module(name: str, source: str = "", cells: tuple[tuple[str, str], ...] = (), parameter: int = 0) -> str:
    """A module of `source` with cells (type, name)."""
    attributes = f'attribute \\hdlname "{source}"\nattribute \\src "{source}.v:1.1-9.10"\n' if source else ""
    body = "".join(f'  attribute \\src "a.v:2.3"\n  cell {kind} {instance}\n  end\n' for kind, instance in cells)
    head = f"module {name}\n  parameter \\N {parameter}\n  wire width 4 input 1 \\a\n  wire width 4 \\inner\n"
    return f"{attributes}{head}{body}end\n"


def design(narrow: int = 2, wide: int = 3, leaf: int = 0) -> rtlil.Design:
    """A top with two narrow units and, below a module of its own, a wide one; each unit has a leaf and a memory."""
    units = (("\\leaf", "\\l"), ("$paramod\\ram\\W=8", "\\m"), ("$and", "$1"))
    text = [
        module("\\top", "top", (("$paramod\\unit\\N=2", "\\u0"), ("$paramod\\unit\\N=2", "\\u1"), ("\\glue", "\\g"))),
        module("\\glue", "glue", (("$paramod\\unit\\N=3", "\\u"),)),
        module("$paramod\\unit\\N=2", "unit", units, narrow),
        module("$paramod\\unit\\N=3", "unit", units, wide),
        module("\\leaf", parameter=leaf),
        module("$paramod\\ram\\W=8", "ram"),
    ]
    return rtlil.read("# Generated\n" + "\n".join(text), KEPT, BOX)


def test_blocks_get_plain_names_and_the_rest_is_flattened_into_them() -> None:
    found = design()
    assert found.blocks == {"top": "top", "unit": "unit", "unit_2": "unit"}
    assert found.black_boxes == {"$paramod\\ram\\W=8"}
    assert found.children("top") == ("unit", "unit_2")
    assert found.children("unit") == ()
    assert found.instances("top") == {"top": 1, "unit": 2, "unit_2": 1}
    assert found.sources("top") == {"top", "glue"}
    assert found.sources("unit") == {"unit", "leaf"}
    assert set(found.kept) == {"top", "unit", "unit_2"}


def test_a_closure_has_what_mapping_reads_and_no_more() -> None:
    found = design()
    text = found.closure("unit")
    names = [line.removeprefix("module ") for line in text.splitlines() if line.startswith("module ")]
    assert sorted(names) == ["$paramod\\ram\\W=8", "\\leaf", "\\unit"]
    assert "\\src" not in text
    assert "  cell \\unit_2 \\u\n" in found.closure("top")


def test_a_signature_follows_parameters_of_all_that_is_inside() -> None:
    assert design().signature("unit") == design().signature("unit")
    assert design().signature("unit") != design(narrow=7).signature("unit")
    assert design().signature("unit") != design(leaf=7).signature("unit")
    assert design().signature("top") == design(leaf=7).signature("top")


def test_repeated_modules_are_the_outermost() -> None:
    def uses(*names: str) -> tuple[tuple[str, str], ...]:
        return tuple((f"\\{name}", f"\\u{i}") for i, name in enumerate(names))

    text = [
        module("\\top", "top", uses("pair", "pair", "spare", "unit", "unit", "unit", "unit")),
        module("\\pair", "pair", uses("column", "column")),
        module("\\column", "column", uses("group", "cell", "cell", "cell", "cell")),
        module("\\group", "group", uses("spare")),
        module("\\cell", "cell", ()),
        module("\\spare", "spare", ()),
        module("\\unit", "unit", uses("cell", "cell", "cell", "cell")),
    ]
    found = rtlil.read("# Generated\n" + "\n".join(text), KEPT, BOX)
    assert found.repeated("top", 4, 0) == {"column", "spare"}  # units are blocks: what is in them is theirs
    assert found.repeated("top", 5, 0) == {"cell", "spare"}
    assert found.repeated("top", 17, 0) == set()
    assert found.repeated("unit", 4, 0) == {"cell"}
    assert found.repeated("top", 4, size=10_000) == set()
    assert "column" in found.repeated("top", 4, size=len(text[2]))
    text_of = found.closure("top", {"column"}, "keep")
    assert text_of.count("attribute \\keep 1\n") == 1
    assert 'attribute \\keep 1\nattribute \\hdlname "column"' in text_of
