"""The one error users see: what is wrong, where, and how to mend it."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)?", re.DOTALL)


def plain(text: str, most: int = 0) -> str:
    """`text` on one line without what a terminal would obey: escape sequences are dropped, other characters that do
    not print become ``?``. With `most`, cut to so many characters."""
    if not text.isprintable():
        spaced = (" " if c.isspace() else c if c.isprintable() else "?" for c in _ESCAPE.sub("", text))
        text = "".join(spaced)
    return text[: most - 1] + "…" if most and len(text) > most else text


class InputError(Exception):
    """Bad input (spec, manifest, RTL, model file, flag). The CLI prints it as one line and exits 2.

    Args:
        what: what is wrong, with the offending value.
        where: file, field or flag it was found in.
        mend: what to write or do instead.
    """

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        self.what, self.where, self.mend = what, where, mend
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.where}: {self.what}" if self.where else self.what
        return " ".join(plain(f"{line}; {self.mend}" if self.mend else line).split())
