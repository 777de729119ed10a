"""The one error users see: what is wrong, where, and how to mend it."""

from __future__ import annotations


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
        return " ".join((f"{line}; {self.mend}" if self.mend else line).split())
