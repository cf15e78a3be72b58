"""What on this machine is no longer as Lockstep left it: processes, and the files they were given.

Each look asks the kernel, the processes and the record what there is, and computes what there should be;
no note of ours is trusted that whoever edits a file could edit as well. `live` tells what matters at once
from what does not: a file that nobody has read since is drift of the file alone, and comes into force with
the next start of its process, unless an `up` writes it again first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lockstep.errors import IntegrityError, LockstepError, Unavailable
from lockstep.files import read_regular
from lockstep.local import procfs, programs
from lockstep.local.admin import Address, is_ready, read_clusters
from lockstep.local.gateway import entry_files, gateway_files
from lockstep.local.inforce import entry_strays, gateway_strays
from lockstep.local.listeners import listening
from lockstep.local.live import Live, read_gateways, read_live
from lockstep.local.moment import Moment
from lockstep.local.ports import ENTRY, holder
from lockstep.local.supervisor import runs_as
from lockstep.local.supervisord import Program
from lockstep.local.vouched import known_backends
from lockstep.table import SLOTS, Slot, Table, cells, release_in

if TYPE_CHECKING:
    from lockstep.local.stack import LocalStack

ALIVE = ("RUNNING", "STARTING")


@dataclass(frozen=True)
class Drift:
    """One thing. process: whose; live: whether it bears on what is served now, or on a file alone."""

    code: str
    process: str
    message: str
    live: bool = True

    def __str__(self) -> str:
        return self.message


def of_bucket(moment: Moment, bucket: str) -> list[Drift]:
    from lockstep.audit.local import read_credentials
    from lockstep.local.bucket_settings import wrong_settings

    stack, name = moment.stack, programs.BUCKET
    place = stack.paths.stack(stack.name)
    try:
        credentials = read_credentials(place)
    except IntegrityError as error:
        return [Drift("bucket.credentials", name, error.message)]
    if credentials is None:
        return [Drift("bucket.credentials", name, "the audit bucket's credentials, audit.json, are gone")]
    found = _of_process(moment, lambda: programs.bucket(stack, credentials), lambda port: True)
    if not stack.supervisor.has_daemon_file():
        message = "supervisord.conf was edited; the running supervisord has not read it"
        found.append(Drift("supervisor.file", "supervisord", message, live=False))
    for folder in (place.bucket_data, place.bucket_versions):
        if not folder.is_dir():
            found.append(Drift("bucket.folder", name, f"the audit bucket's folder {folder.name} is gone"))
    if any(each.live for each in found):
        return found
    try:
        wrong = wrong_settings(**asdict(credentials))
    except LockstepError as error:
        return [*found, Drift("process.silent", name, error.message)]
    return [*found, *(Drift("bucket.settings", name, f"the audit bucket: {what}") for what in wrong)]


def of_gateway(moment: Moment, region: str) -> list[Drift]:
    stack, name = moment.stack, programs.gateway_name(region)
    folder = stack.gateway_folder(region)
    found = _of_process(
        moment,
        lambda: programs.gateway(stack, region),
        lambda port: is_ready(programs.port_of(stack, programs.admin_of(name))),
    )
    if any(each.live for each in found):
        return found
    wanted = {folder / "bootstrap.json": programs.gateway_bootstrap(stack, region)}
    backends = known_backends(folder, stack.ports.all())
    try:
        admin = programs.port_of(stack, programs.admin_of(name))
        live, addresses = read_live(admin), read_clusters(admin)
        routes = live.as_routes()
        strange = gateway_strays(
            admin,
            folder,
            name=name,
            port=programs.port_of(stack, name),
            services={each: port for each, (_, port) in backends.items()},
        )
    except LockstepError as error:
        return [*found, Drift(error.code, name, error.message)]
    bent = list(_moved(name, addresses, backends)) or list(_strange(name, strange))
    found += bent
    wanted |= gateway_files(folder, routes, backends)
    extra = [path for path in (folder / "routes").glob("*.json") if path not in wanted]
    return [*found, *_files(name, wanted, extra, "" if bent else _about(live))]


def of_entry(moment: Moment, port: int, regions: list[str]) -> list[Drift]:
    stack = moment.stack
    folder = stack.gateway_folder(ENTRY)
    found = _of_process(
        moment,
        lambda: programs.entry(stack, port),
        lambda _: is_ready(programs.port_of(stack, programs.admin_of(ENTRY))),
    )
    if any(each.live for each in found):
        return found
    gateways = stack.gateway_addresses(regions)
    try:
        admin = programs.port_of(stack, programs.admin_of(ENTRY))
        live = read_gateways(admin)
        strange = entry_strays(admin, folder, name=ENTRY, port=port, gateways=gateways)
    except Unavailable as error:
        return [*found, Drift(error.code, ENTRY, error.message)]
    bent = list(_moved(ENTRY, live, gateways)) or list(_strange(ENTRY, strange))
    found += bent
    wanted = {folder / "bootstrap.json": programs.entry_bootstrap(stack, port)}
    about = "" if bent else "regions in force"
    return [*found, *_files(ENTRY, wanted | entry_files(folder, gateways), [], about)]


def of_service(
    moment: Moment, model: str, region: str, slot: Slot, *, release: str, runtime: str
) -> list[Drift]:
    from lockstep.local.look import release_at
    from lockstep.release.bundle import verify_bundle

    stack, name = moment.stack, programs.service_name(model, region, slot)
    bundle = programs.bundle_of(stack, release)
    try:
        verify_bundle(bundle, release)
    except IntegrityError as error:
        return [Drift("release.changed", name, f"{name}: {error.message}")]
    except OSError as error:
        return [Drift("release.changed", name, f"{name}: its release cannot be read: {error.strerror}")]

    def make() -> Program:
        return programs.service(stack, model, region, slot, release=release, runtime=runtime)

    found = _of_process(moment, make, lambda port: release_at(port) == release)
    try:
        changed = moment.changed_files(Path(make().argv[0]).parents[1])
    except LockstepError:
        return found  # it cannot run as declared, which has been said
    if changed:
        what = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
        found.append(Drift("environment.changed", name, f"{name}: its environment was changed: {what}"))
    return found


def of_stack(
    stack: LocalStack, recorded: Table, *, bucket: str, port: int, regions: list[str], runtime: str
) -> Iterator[Drift]:
    """Everything that the record says is served, and what serves it. Nothing recorded as served: nothing."""
    served = [
        (model, region, slot, release)
        for model, region, cell in cells(recorded)
        for slot in SLOTS
        if (release := release_in(cell, slot)) is not None
    ]
    if not served:
        return
    if stack.supervisor.is_stuck():
        yield Drift("supervisor.stopped", "supervisord", "supervisord is there but does not answer")
        return
    moment = Moment(stack)
    yield from of_bucket(moment, bucket)
    for region in regions:
        yield from of_gateway(moment, region)
    for model, region, slot, release in served:
        yield from of_service(moment, model, region, slot, release=release, runtime=runtime)
    yield from of_entry(moment, port, regions)


def strays(stack: LocalStack, regions: Iterable[str]) -> list[Drift]:
    """What the gateways of these regions do with requests that nobody told them; those that run, that is."""
    wrong = ("route.moved", "route.strange", "process.other", "process.port")
    moment = Moment(stack)
    return [each for region in regions for each in of_gateway(moment, region) if each.code in wrong]


def _of_process(moment: Moment, make: Callable[[], Program], ready: Callable[[int], bool]) -> list[Drift]:
    """Whether the process runs, as what it is to run, alone on its port, and answers."""
    stack = moment.stack
    try:
        program = make()
        port = programs.port_of(stack, program.name)
    except LockstepError as error:
        return [Drift(error.code, "", error.message)]
    name = program.name
    state, pid = moment.processes.get(name, (None, 0))
    if state not in ALIVE:
        return [Drift("process.down", name, f"{name} does not run" + (f" ({state})" if state else ""))]
    family = procfs.family(pid)
    if any(procfs.state(each) in ("T", "t") for each in family):
        return [Drift("process.stopped", name, f"{name} (pid {pid}) is stopped by a signal")]
    found = []
    if not stack.supervisor.has_file(program):
        message = f"{name}: its file in conf.d was edited; the running process was not started from it"
        found.append(Drift("process.file", name, message, live=False))
    if not runs_as(pid, program):
        found.append(Drift("process.other", name, f"{name} (pid {pid}) runs another command than declared"))
    at_port = listening(port)
    if at_port - procfs.sockets(family):
        what = f"{name}: {holder(port, apart_from=family)} listens on its port {port}"
        found.append(Drift("process.port", name, what))
    elif not at_port or not ready(port):
        found.append(Drift("process.silent", name, f"{name} does not answer on port {port}"))
    return found


def _moved(name: str, live: Mapping[str, Address], wanted: Mapping[str, Address]) -> Iterator[Drift]:
    """Where requests go, other than to the process of that name."""
    for each in sorted(live.keys() | wanted.keys()):
        if live.get(each) == wanted.get(each):
            continue
        to = "nowhere" if each not in live else ":".join(map(str, live[each]))
        yield Drift("route.moved", name, f"{name} sends what is for {each} to {to}")


def _strange(name: str, strays: list[str]) -> Iterator[Drift]:
    for what in strays:
        yield Drift("route.strange", name, f"{name} has in force what Lockstep did not give it: {what}")


def _files(name: str, wanted: Mapping[Path, bytes], extra: list[Path], about: str) -> Iterator[Drift]:
    """Files that are not as they are to be. about: what they do not touch; empty where they may well."""
    alone = f"; of the file alone: the {about} are not touched by it" if about else ""
    for path, data in wanted.items():
        try:
            same, what = read_regular(path) == data, "was edited"
        except OSError:
            same, what = False, "is gone"
        if not same:
            message = f"{name}: {path.name} {what}{alone}"
            yield Drift("route.file", name, message, live=False)
    for path in extra:
        message = f"{name}: {path.name} is none of ours{alone}"
        yield Drift("route.file", name, message, live=False)


def _about(live: Live) -> str:
    weights = [
        f"{model} in {region}" for model, places in sorted(live.cells.items()) for region in sorted(places)
    ]
    return "weights in force" + (f" of {', '.join(weights)}" if weights else "")
