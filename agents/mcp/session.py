"""A campaign driven over MCP: opened or begun, held while the server runs, with the design that drafts build on."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml

from agents import api, limits, traces, watching
from agents import campaign as campaigns
from agents.campaign import Campaign, Settings
from agents.designers import BlockCost, Designer, Files
from agents.designers.space import Space
from agents.evaluator import Evaluator
from agents.mcp.drafts import Draft, Drafts
from agents.progress import plain
from agents.records import Budget, Cost
from agents.store import text_hash
from agents.tools.desk import Built, Desk
from agents.workshop import Workshop, best_revision
from hwlib import templates
from hwlib.design import EXPERT, Design, Manifest, read_design
from hwlib.errors import InputError
from hwlib.spec import Spec

BUDGET = Budget(rounds=1000)
BASE = "base"
"""The campaign's folder with the design it began from."""


@dataclass(frozen=True)
class Session:
    """What the server's tools work with."""

    shop: Workshop
    drafts: Drafts

    @property
    def campaign(self) -> Campaign:
        return self.shop.campaign

    @property
    def round(self) -> int:
        """The number of the next design: one a submission."""
        return 1 + max((r.round for r in self.campaign.ledger.revisions()), default=0)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Book the wall time of one request: a client that thinks costs none."""
        self.shop.clock.lap()
        try:
            yield
        finally:
            cost = Cost(wall_s=self.shop.clock.lap())
            self.campaign.ledger.charge(f"wall/{uuid.uuid4().hex}", "wall", self.round, cost)

    def base(self) -> Design:
        """The design drafts build on: the accepted one, or what the campaign began from."""
        best = best_revision(self.campaign)
        folder = self.campaign.revisions.checkout(best.revision) if best else self.campaign.folder / BASE
        return read_design(folder)

    def block_files(self, block: str) -> Files:
        """The block's files in that design."""
        return {path.name: path.read_text() for path in self.base().block_files(block)}

    def desk(self, draft: Draft, cost: BlockCost | None = None) -> Desk:
        """The tools' access for `draft`; `cost` is the block's in the design that is built on."""
        base, best = self.base(), best_revision(self.campaign)
        built = Built(base.tree_hash, cost, best.figures if best else None)
        return Desk(self.campaign, self.shop.evaluator, f"mcp-{draft.id}", draft.block, self.round,
                    base.manifest.parameters, lambda files: self.lay_out(draft), built, draft.files)  # fmt: skip

    def base_cost(self, block: str) -> BlockCost:
        """What `block` costs in the design that is built on: an evaluation, booked once a design."""
        base = self.base()
        self.shop.pay(f"mcp/base/{base.tree_hash[:16]}/{block}", "synthesise", self.round)
        return self.shop.evaluator.block_cost(base, block)

    def with_drafts(self, *drafts: Draft) -> dict[str, str]:
        """Every file of the design that is built on, the drafts' blocks in place of its own; by path."""
        base = self.base()
        replaced = {path.name for draft in drafts for path in base.block_files(draft.block)}
        files = {f"rtl/{p.name}": p.read_text() for p in base.rtl if p.name not in replaced}
        files |= {f"rtl/{name}": text for draft in drafts for name, text in draft.files.items()}
        kept = base.manifest.variants
        variants = {block: what for block, what in kept.items() if block not in {draft.block for draft in drafts}}
        manifest = base.manifest.model_copy(update={"variants": variants})
        return files | {"design.yaml": yaml.safe_dump(manifest.model_dump(mode="json"), sort_keys=False)}

    def lay_out(self, draft: Draft) -> Design:
        """The design with a draft's files, to be judged."""
        files = self.with_drafts(draft)
        folder = self.campaign.folder / "benches" / text_hash(str(sorted(files.items())))[:24]
        return read_design(folder if folder.exists() else self.campaign.revisions.lay_out(files, folder))


@contextmanager
def opened(
    name: str,
    spec: Spec,
    design: str = "",
    budget: Budget = BUDGET,
    evaluators: Callable[[Spec], Evaluator] = api.flow_evaluator,
) -> Iterator[Session]:
    """The campaign called `name`, begun on `spec` from `design` (empty: the templates' defaults) if there is none.

    InputError if it is another designer's, another process holds it, or `design` is the expert's.
    """
    traces.check()
    fresh = name not in campaigns.names()
    campaign = _begun(name, spec, design, budget, evaluators) if fresh else _continued(name, design)
    try:
        with campaign.locked(), watching.kept(campaign, plain()) as told, traces.opened(told) as spans:
            evaluator = evaluators(campaign.spec)
            campaign.ledger.set_fact("state", "running")
            nobody = cast(Designer, None)  # the client decides: no step that asks a designer is run
            yield Session(Workshop(campaign, nobody, evaluator, told, limits.Clock(), spans), Drafts(campaign))
            campaign.ledger.set_fact("state", "accepted" if best_revision(campaign) else "stopped")
    finally:
        campaign.close()


def _continued(name: str, design: str) -> Campaign:
    campaign = Campaign.open(name)
    if campaign.settings.designer != "mcp":
        campaign.close()
        mend = f"begin one of its own from its design: rtloom mcp --campaign {name}-mcp --design {name}"
        raise InputError(f"campaign '{name}' is the {campaign.settings.designer} designer's", "--campaign", mend)
    if design:
        campaign.close()
        raise InputError(f"campaign '{name}' has begun already", "--design", "leave it out, or pass another --campaign")
    return campaign


def _begun(name: str, spec: Spec, design: str, budget: Budget, evaluators: Callable[[Spec], Evaluator]) -> Campaign:
    campaigns.check_free(name)
    chosen = _chosen(design) if design else None
    evaluator = evaluators(spec)
    point = {} if chosen else Space(spec, evaluator.model_cycles).default_point()
    campaign = Campaign.create(spec, Settings(name=name, designer="mcp", budget=budget))
    if chosen is None:
        manifest = Manifest(name=spec.name, parameters=point, clock_ns=spec.clock_ns)
        templates.render_design(campaign.folder / BASE, manifest, templates.defaults())
    else:
        paths = [chosen.folder / "design.yaml", *chosen.rtl]
        files = {str(path.relative_to(chosen.folder)): path.read_text() for path in paths}
        campaign.revisions.lay_out(files, campaign.folder / BASE)
    return campaign


def _chosen(word: str) -> Design:
    """The design to begin from; never the expert's, which a writer does not see."""
    found = api.resolve_design(word)
    own = {path.read_bytes() for path in Path(EXPERT / "rtl").glob("*.v")}
    shared = [path.name for path in found.rtl if path.read_bytes() in own]
    if shared:
        raise InputError(f"it has files of the expert's ({shared[0]})", "--design", "writers do not see the expert's")
    return found
