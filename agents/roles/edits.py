"""Apply a writer's answer to the block's current files."""

from __future__ import annotations

import re

from agents.designers import Files
from agents.roles.answers import BlockAnswer

_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}\.v")
MOST_BYTES = 48_000
"""Largest text of a block: with its contract it must fit a prompt (see `bounds`)."""


def apply(answer: BlockAnswer, parent: Files, block: str) -> Files:
    """The block's files after the answer. Raises ValueError, in words for the model, if it does not apply."""
    files = dict(parent)
    for file in answer.files:
        if not _NAME.fullmatch(file.name) or not (file.name == f"{block}.v" or file.name.startswith(f"{block}_")):
            raise ValueError(f"file name '{file.name}': use {block}.v and {block}_<part>.v")
        files[file.name] = file.text
    for edit in answer.edits:
        count = files.get(edit.name, "").count(edit.search) if edit.search else 0
        if count != 1:
            raise ValueError(
                f"edit of {edit.name}: the search text occurs {count} times, not once: {edit.search[:80]!r}"
            )
        files[edit.name] = files[edit.name].replace(edit.search, edit.replace)
    _remove(answer, files)
    odd = next((name for name, text in files.items() if not _is_text(text)), "")
    if odd:
        raise ValueError(f"{odd} holds characters that no Verilog has")
    if f"{block}.v" not in files:
        raise ValueError(f"there is no {block}.v")
    if sum(len(text.encode("utf-8", "replace")) for text in files.values()) > MOST_BYTES:
        raise ValueError(f"the files are larger than {MOST_BYTES} bytes together")
    if files == parent:
        raise ValueError("nothing was changed")
    return files


def _remove(answer: BlockAnswer, files: Files) -> None:
    """Take the files out that the answer says. ValueError for one that is not there, or that it writes as well."""
    written = {file.name for file in answer.files} | {edit.name for edit in answer.edits}
    for name in answer.removed:
        if name in written:
            raise ValueError(f"removal of {name}: the same answer writes it")
        if name not in files:
            raise ValueError(f"removal of {name[:80]!r}: there is no such file, only {', '.join(files) or 'none'}")
        del files[name]


def _is_text(text: str) -> bool:
    """Whether it can be stored and read: no control characters but tab and line ends, no lone surrogates."""
    return not any((ord(c) < 32 and c not in "\t\n\r") or 0xD800 <= ord(c) < 0xE000 for c in text)
