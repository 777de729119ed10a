"""What the documents show runs as shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "programming.md"


def test_the_program_written_by_hand_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)
    exec(compile(text, str(GUIDE), "exec"), {"__name__": "guide"})
    assert re.search(r"\d+ cycles, 12 array beats", capsys.readouterr().out)
