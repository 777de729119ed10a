"""A conversation said anew keeps what was found and asked, and of files only the newest text."""

from __future__ import annotations

from agents.models import Message
from agents.roles import block_talk, bounds, prompts
from agents.roles.answers import BlockAnswer, Edit, File
from agents.tools.drafts import Compare

OPENING = (Message("system", "s"), Message("user", "array.v as it now is"))
WRITTEN = BlockAnswer(
    files=[File(name="array.v", text="old " * 900)],
    edits=[Edit(name="array_cell.v", search="a", replace="old b")],
    removed=["array_tree.v"],
    calls=[Compare(tool="compare")],
    note="one adder is shared",
)
FOUND = BlockAnswer(findings=["the carry is late"])


def talk(*answers: str) -> block_talk.Messages:
    """An opening with answers, each answered by `told`."""
    turns = [message for answer in answers for message in (Message("assistant", answer), Message("user", "told"))]
    return (Message("system", "s"), Message("user", "array.v as it was"), *turns)


def test_files_and_edits_become_a_line_and_all_else_stays() -> None:
    found = block_talk.shorter(talk(WRITTEN.model_dump_json(), FOUND.model_dump_json()), OPENING)
    assert found[:2] == OPENING
    brief = BlockAnswer.model_validate_json(found[2].text)
    assert "old" not in found[2].text
    assert brief.calls == WRITTEN.calls
    assert brief.note == (
        "one adder is shared (array.v whole, array_cell.v edited, array_tree.v removed: the first message has the "
        "files as they now are)"
    )
    assert BlockAnswer.model_validate_json(found[4].text) == FOUND
    assert [message.text for message in found[3::2]] == ["told", "told"]


def test_what_was_no_answer_is_cut() -> None:
    found = block_talk.shorter(talk("no json " * 1000), OPENING)
    assert found[2].text.startswith("no json")
    assert len(found[2].text) < 1000


def test_one_that_would_still_be_long_and_one_that_never_began_are_not_said_anew() -> None:
    room = int(bounds.MOST_BYTES * block_talk.ANEW) - bounds.size((), prompts.schema("rtl_writer"))
    assert block_talk.shorter((), OPENING) == ()
    assert block_talk.shorter(talk("{}"), (Message("user", "x" * room),)) == ()
    assert block_talk.shorter(talk("{}"), (Message("user", "x" * (room - 20)),))
