"""Canaries for every test of the hostile corpus."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.verification.hostile.traps import VARIABLE, WORD, Traps, clear, set_traps


@pytest.fixture(scope="module")
def armed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traps]:
    """Canaries, and one in the environment of this process."""
    traps = set_traps(tmp_path_factory.mktemp("host"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, WORD)
        yield traps
    clear(traps)


@pytest.fixture
def traps(armed: Traps) -> Iterator[Traps]:
    """The canaries, which must all be well when the test ends."""
    yield armed
    assert armed.sprung() == []
