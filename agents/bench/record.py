"""A bench run on disk: results by content, model exchanges, costs. A kill loses the problem in flight at most.

The folder is named by all that decides an answer and its grade but the problems, which are keyed each by itself: more
problems, or a changed suite, go on in the same folder.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from agents.bench import Cause, Grade, Kind, Problem, Simulator
from agents.campaign import home
from agents.store import TextStore, text_hash
from hwlib.errors import InputError
from hwlib.files import write_whole
from verification import cache, toolchain

GRADING = 1
"""Version of the rules by which answers are refused and graded; results of another are not used."""


class Marked(BaseModel):
    """A grade as it is kept."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    simulator: Simulator
    cause: Cause
    detail: str
    seconds: float

    @classmethod
    def of(cls, grade: Grade) -> Marked:
        """The grade without what the bench printed."""
        return cls(simulator=grade.simulator, cause=grade.cause, detail=grade.detail, seconds=round(grade.seconds, 3))

    @property
    def passed(self) -> bool:
        return self.cause == "passed"


class Result(BaseModel):
    """What came of one problem: a grade a simulator, the answer's hash (its text is in `texts`), texts written."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    problem: str
    grades: tuple[Marked, ...]
    answer: str
    texts: int

    def on(self, simulator: Simulator) -> bool:
        """Whether it passed there."""
        return any(grade.passed for grade in self.grades if grade.simulator == simulator)


class Settings(BaseModel):
    """All that decides a result besides the problem. `model` and `prompts` are empty for the suite's own answers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    suite: str
    kind: Kind
    simulators: tuple[Simulator, ...]
    model: str
    prompts: tuple[str, ...]
    repairs: int
    tools: str
    grading: int = GRADING


class Record:
    """The run's folder; hold `locked()` to add to it."""

    def __init__(self, settings: Settings) -> None:
        name = f"{settings.suite}-{settings.kind}-{text_hash(settings.model_dump_json())[:10]}"
        self.folder = home().with_name("bench") / name
        self.settings = settings
        self.texts = TextStore(self.folder / "texts")

    @property
    def exchanges(self) -> Path:
        """Recorded model calls."""
        return self.folder / "exchanges"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder; InputError if another process does."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("a+") as file:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                who = file.read().strip() or "?"
                raise InputError(f"this run is going on in process {who}", str(self.folder), "wait for it") from None
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            write_whole(self.folder / "settings.json", self.settings.model_dump_json(indent=1).encode())
            yield

    def result(self, problem: Problem) -> Result | None:
        """What is kept of `problem` as it is now; InputError if that cannot be read."""
        path = self._path(problem)
        try:
            return Result.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            raise InputError("not a result", str(path), "remove it to judge that problem again") from None

    def keep(self, problem: Problem, grades: Sequence[Grade], answer: str, texts: int) -> Result:
        """Keep a problem's result, whole or not at all."""
        kept = self.texts.put(answer) if answer else ""
        marked = tuple(map(Marked.of, grades))
        result = Result(problem=problem.name, grades=marked, answer=kept, texts=texts)
        write_whole(self._path(problem), result.model_dump_json(indent=1).encode())
        return result

    def _path(self, problem: Problem) -> Path:
        return self.folder / "results" / f"{problem.name}-{digest(problem)[:12]}.json"


def digest(problem: Problem) -> str:
    """SHA-256 over everything in a problem."""
    parts: dict[str, str | bytes] = {
        "names": repr((problem.name, problem.module, problem.top, problem.answer_file)),
        "specification": problem.specification, "reference": problem.reference,
    }  # fmt: skip
    parts |= {f"before {name}": text for name, text in problem.before.items()}
    parts |= {f"bench {name}": text for name, text in problem.bench.items()}
    return cache.digest(parts | {f"data {name}": raw for name, raw in problem.data.items()})


def tools(names: Sequence[str]) -> str:
    """``name=version`` of tools."""
    return " ".join(f"{name}={toolchain.tool(name).version or 'none'}" for name in names)
