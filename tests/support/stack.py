"""A stack without gateways and services: real log, real OPA, real releases; what is live is told by the test.

`FakeStack` stands where lockstep.local.stack.LocalStack does, for whoever looks (ledger, provider) or
sets routes. `Scene` is one with a bucket, two releases with evidence, and a ledger.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lockstep.audit.local import BucketCredentials, write_credentials
from lockstep.audit.opened import OpenLog
from lockstep.audit.record import Record
from lockstep.canonical import canonical, parse
from lockstep.errors import LockstepError
from lockstep.evidence.keys import Trust
from lockstep.gate.judge import Observed, Place
from lockstep.gate.opa import Opa, private_opa
from lockstep.ledger import Ledger
from lockstep.local.drift import Drift
from lockstep.local.programs import gateway_name
from lockstep.local.stack import LocalStack
from lockstep.paths import Paths
from lockstep.release.store import Store
from lockstep.table import SLOTS, Cell, Table, cells, release_in
from tests.support import opa, releases
from tests.support.versity import BUCKET, Server, versity

LOCAL = "local"


@dataclass
class FakeStack:
    """What the gateways have in force (`routes`, None for one that is silent) and what the services say."""

    paths: Paths
    name: str = LOCAL
    routes: dict[Place, Cell | None] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    broken: bool = False
    silent: bool = False
    """Whether no service answers."""
    locked: Callable[[], None] = lambda: None
    """What happens while `set_route` waits for its turn."""
    drifted: list[Drift] = field(default_factory=list)
    looks: int = 0

    def live(self, *, strict: bool = True) -> dict[Place, Cell | None]:
        self.looks += 1
        return dict(self.routes)

    def serving(self) -> dict[Place, dict[str, str | None]]:
        """Every service is up and says what its cell says; none is while the stack is `silent`."""
        if self.silent:
            return {}
        known = {place: cell for place, cell in self.routes.items() if cell is not None}
        return {place: {slot: release_in(cell, slot) for slot in SLOTS} for place, cell in known.items()}

    def observe(self, recorded: Table | None = None, regions: Collection[str] = ()) -> Observed:
        return Observed(self.live(), self.serving())

    @property
    def _here(self) -> LocalStack:
        return LocalStack(self.paths, self.name)

    @property
    def patience_s(self) -> float:
        return self._here.patience_s

    @property
    def history(self) -> Path:
        return self._here.history

    @property
    def answers(self) -> bool:
        return bool(self.running)

    def open_log(self, **said: Any) -> OpenLog | None:
        return self._here.open_log(**said)

    def trust(self, environment: str) -> Trust:
        return self._here.trust(environment)

    def store(self, url: str) -> Store:
        return self._here.store(url)

    def drift(self, recorded: Table, **declared: Any) -> list[Drift]:
        return list(self.drifted)

    def strays(self, regions: Iterable[str]) -> list[Drift]:
        names = {gateway_name(region) for region in regions}
        return [each for each in self.drifted if each.process in names]

    def alive(self) -> set[str]:
        return set(self.running)

    def set_route(
        self, model: str, region: str, cell: Cell, *, intent: int, recorded: Callable[[], None]
    ) -> None:
        self.locked()
        recorded()
        if self.broken:
            raise LockstepError("the gateway refuses", code="route.rejected", remedy="mend it")
        self.routes[(model, region)] = cell

    def remove_route(self, model: str, region: str) -> None:
        self.routes.pop((model, region), None)

    def put(self, table: Table) -> None:
        """Have the whole table in force, and nothing else."""
        self.routes = {(model, region): cell for model, region, cell in cells(table)}


@contextlib.contextmanager
def policies(root: Path, **changes: Any) -> Iterator[tuple[Path, Opa]]:
    """A copy of the policies with other thresholds for the stack local, and an OPA that judges by it."""
    folder = root / "policies"
    shutil.copytree(opa.POLICIES, folder, ignore=shutil.ignore_patterns("local.json"))
    rules = folder / "data" / "rules.json"
    document = parse(rules.read_bytes())
    document["local"] |= changes
    rules.write_bytes(canonical(document))
    with private_opa(folder, LOCAL, opa.binary(), deadline_s=600) as running:
        yield folder, running


@dataclass
class Scene:
    """plain, better: digests of two releases with evidence."""

    paths: Paths
    stack: FakeStack
    server: Server
    opa: Opa
    plain: str
    better: str

    def ledger(self) -> Ledger:
        """A ledger as a fresh process opens it."""
        stack: Any = self.stack  # it has what a ledger asks of a LocalStack, and no more
        return Ledger(
            stack,
            environment=LOCAL,
            bucket=BUCKET,
            retention_days=1,
            opa_url=self.opa.url,
        )

    def table(self, a: Cell | None = None, b: Cell | None = None) -> Table:
        rest = self.cell()
        return {"digits": {"local-a": a or rest, "local-b": b or rest}}

    def cell(self, green: str | None = None, weight: float = 0, blue: str | None = "") -> Cell:
        return {"blue": self.plain if blue == "" else blue, "green": green, "green_weight": weight}

    def make(self, table: Table) -> None:
        """One whole update, as gate, routes and receipt do it."""
        ledger = self.ledger()
        assert ledger.record_intent(table) is not None
        self.stack.put(table)
        ledger.record_outcome(ledger.size() - 1)

    def records(self) -> list[Record]:
        audit = self.ledger().audit()
        return [] if audit is None else audit.log.tail(0)

    def kinds(self) -> list[str]:
        return [f"{one.kind}:{one['result']}" if one["result"] else one.kind for one in self.records()]


@contextlib.contextmanager
def scene(root: Path, policy_folder: Path, running: Opa, *, bucket: bool = True) -> Iterator[Scene]:
    """A fresh stack; `bucket` False: its bucket was never made."""
    shutil.copytree(policy_folder, root / "policies")
    keys = releases.local_keys(root)
    paths = keys.paths
    store = releases.FolderStore(paths.store)
    digests = []
    for name in ("digits-plain", "digits-better"):
        digests.append(releases.put(store, name=name))
        releases.evaluate(store, digests[-1], keys.signer("builder"))
    stack = FakeStack(paths, running={"audit-bucket"})
    place = paths.stack(LOCAL)
    if not bucket:
        server = Server(place.root / "audit", 0, "", "")
        yield Scene(paths, stack, server, running, *digests)
        return
    (place.root / "audit").mkdir(parents=True)
    with versity(place.root / "audit") as server:
        write_credentials(place, BucketCredentials(server.endpoint, server.access, server.secret))
        yield Scene(paths, stack, server, running, *digests)
