"""A campaign on disk: its folder, settings, lock and stores. One process runs it at a time; any may read it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field

from agents.ledger import Ledger
from agents.models.prices import Price
from agents.records import Budget
from agents.store import RevisionStore, TextStore
from hwlib.documents import read_document
from hwlib.errors import InputError
from hwlib.spec import NAME, Spec, read_spec


class Settings(BaseModel):
    """How a campaign was asked for; fixed when it is created."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    designer: Literal["search", "llm", "mcp"] = "search"
    model: str = ""
    seed: int = 0
    budget: Budget = Budget()
    review: Literal["auto", "wait"] = "auto"
    repairs: int = 2
    tool_rounds: int = 4
    """Answers of an RTL writer that may ask for tools before it hands a block in."""
    tool_checks: int = 6
    """Drafts judged for a writer in one order, each an evaluation."""
    drafts: int = Field(default=1, ge=1, le=8)
    """Drafts of each order of an LLM planner, where the evaluations allow."""
    without: tuple[str, ...] = ()
    """What an LLM designer goes without (`agents.roles.omissions`)."""
    workers: int = 2
    prices: dict[str, Price] = {}
    """Of the models of this campaign, where they are known; as listed when it began."""
    replay: bool = False
    """Models answer from what was recorded, without a network."""
    checkpoints: str = ""
    """The PostgreSQL server that has the graph's checkpoints, without a password; empty for the campaign's folder."""


def home() -> Path:
    """The folder of all campaigns: $RTLOOM_HOME/campaigns, by default .rtloom/campaigns here."""
    return Path(os.environ.get("RTLOOM_HOME", ".rtloom")).absolute() / "campaigns"


def names() -> list[str]:
    """Every campaign, by name; drafts that a killed process left are none."""
    found = (path.parent.name for path in home().glob("*/settings.yaml"))
    return sorted(name for name in found if not name.startswith("."))


def check_name(name: str) -> None:
    """InputError if no campaign may be called `name`: a name is a folder's."""
    if not re.fullmatch(NAME, name):
        raise InputError(f"'{name}' is no name", "--name", "use a-z, 0-9 and dashes, at most 41 in all, no dash first")


def check_free(name: str) -> None:
    """InputError if `name` is no name, or taken."""
    check_name(name)
    folder = home() / name
    if folder.exists():
        mend = f"resume it (rtloom resume {name}) or pass another --name"
        raise InputError(f"campaign '{name}' exists already", str(folder), mend)


class Campaign:
    """An open campaign. Reading is always allowed; hold `locked()` to change it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = read_document(folder / "settings.yaml", Settings, "docs/campaigns.md")
        self.spec: Spec = read_spec(folder / "spec.yaml")
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.texts = TextStore(folder / "texts")
        self.revisions = RevisionStore(folder / "revisions.git", folder / "checkouts")

    @classmethod
    def open(cls, name: str) -> Campaign:
        """The campaign called `name`; InputError if there is none."""
        folder = home() / name
        if not re.fullmatch(NAME, name) or not (folder / "settings.yaml").exists():
            known = ", ".join(names()) or "none yet"
            raise InputError(f"no campaign '{name}'", str(home()), f"campaigns: {known}")
        return cls(folder)

    @classmethod
    def create(cls, spec: Spec, settings: Settings) -> Campaign:
        """A new campaign; it appears whole or not at all. InputError if the name is taken or no name."""
        check_free(settings.name)
        folder = home() / settings.name
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new-"))
        try:
            _write_draft(draft, spec, settings)
            draft.rename(folder)
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            if isinstance(error, OSError) and folder.exists():
                mend = "pass another --name"
                raise InputError(f"campaign '{settings.name}' exists already", str(folder), mend) from None
            raise
        return cls(folder)

    def remove(self) -> None:
        """Remove the campaign's folder; for one that failed before it did anything."""
        self.close()
        shutil.rmtree(self.folder)

    def remember(self, other: Campaign) -> None:
        """Take over what models and reviewers said in `other`."""
        if other.exchanges.exists():
            shutil.copytree(other.exchanges, self.exchanges)
        for tree_hash, revision, approve, reason in other.ledger.decisions():
            self.ledger.put_decision(tree_hash, revision, approve, reason)

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def checkpoints(self) -> Path:
        """The graph's checkpoints (SQLite), unless a server has them."""
        return self.folder / "checkpoints.sqlite"

    @property
    def exchanges(self) -> Path:
        """Recorded model calls."""
        return self.folder / "exchanges"

    @property
    def stop_requested(self) -> bool:
        """Whether `stop` was asked for since the campaign last began to run."""
        return (self.folder / "stop").exists()

    def request_stop(self) -> None:
        """Ask the process that runs this campaign to stop after its current step."""
        (self.folder / "stop").touch()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the campaign; InputError if another process runs it. A killed holder's lock is gone with it."""
        with (self.folder / "lock").open("a+") as file:
            if not _take_patiently(file.fileno()):
                file.seek(0)
                who = file.read().strip() or "?"
                raise InputError(
                    f"campaign '{self.name}' is running in process {who}", str(self.folder), "wait or stop it"
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            (self.folder / "stop").unlink(missing_ok=True)
            self.revisions.unlock()
            yield

    @property
    def running(self) -> bool:
        """Whether a process holds the campaign now."""
        try:
            with (self.folder / "lock").open("r") as file:
                return not _take(file.fileno())
        except FileNotFoundError:
            return False


def _write_draft(draft: Path, spec: Spec, settings: Settings) -> None:
    (draft / "spec.yaml").write_text(yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False))
    RevisionStore(draft / "revisions.git", draft / "checkouts").create()
    (draft / "settings.yaml").write_text(yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False))
    draft.chmod(0o755)


def _take_patiently(descriptor: int) -> bool:
    """Try for half a second: a reader that asks whether the campaign runs holds the lock for an instant."""
    for _ in range(5):
        if _take(descriptor):
            return True
        time.sleep(0.1)
    return False


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
