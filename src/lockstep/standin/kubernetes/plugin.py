"""What stands in for `kubernetes`: the engine's questions, put to a judge and to the SDK's types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError, Unavailable
from lockstep.standin.faults import Faults
from lockstep.standin.kubernetes import access, objects, release, settings
from lockstep.standin.kubernetes.api import Api, Refused
from lockstep.standin.kubernetes.diagnostics import Diagnostics
from lockstep.standin.kubernetes.judge import Judge
from lockstep.standin.kubernetes.sdk import Types
from lockstep.standin.provider import Call, Change, Checked, Failure, Found, State
from lockstep.standin.wire import UNKNOWN, Values, holds_unknown

UNJUDGED = "not validated by a cluster"
SKIPPED = "Cluster is unreachable but skipUpdateUnreachable flag is set to true, skipping..."
UNSUPPORTED = "the stand-in has no {token}: use the resource itself"


class KubernetesStandIn:
    """folder: the stand-ins' state folder; engine: the engine's address, for warnings."""

    name = "kubernetes"

    def __init__(self, folder: Path, engine: str | None, version: str) -> None:
        self.version = f"{version}+standin"
        self._folder = folder
        self._diagnostics = Diagnostics(engine)
        self._faults = Faults(folder / "faults.json")
        self._types = Types()
        self._settings = settings.Settings()
        self._judge: Judge | None = None
        self._cluster = ""
        self._silence: Unavailable | None = None

    def warnings(self, urn: str) -> list[str]:
        """What the user was told about a resource beside failures."""
        return self._diagnostics.said_about(urn)

    def check_config(self, config: Values) -> list[Failure] | Checked:
        failures = settings.problems(config)
        if failures or not holds_unknown(config):
            return failures
        return Checked(settings.with_unknown_named(config))

    def configure(self, config: Values) -> None:
        """With unknown settings no cluster is asked: the real provider could not ask it. Raises UsageError
        where clusters run and it is not clear which is meant."""
        self._settings = settings.read(config)
        if self._settings.unknown:
            return
        found = access.find(self._folder, self._settings.cluster)
        if found is not None:
            self._cluster = found.name
            self._silence = self._silence_of(found)
            self._judge = Judge(Api(found.access), self._settings, found.name, self._diagnostics.warn)

    def _silence_of(self, meant: access.Meant) -> Unavailable | None:
        """What stands between us and the cluster; asked once, as the real provider does."""
        try:
            self._faults.reach(meant.name)
            Api(meant.access).request("GET", "/version")
        except Unavailable as error:
            return error
        return None

    def check(self, call: Call, old: Values, new: Values) -> Checked:
        """A name and a namespace; what the SDK's types refuse, where no API server will see the object. That
        one comes later, because nothing says here whether this is a preview."""
        if self._silence is not None and self._settings.skip:
            self._diagnostics.warn(call.urn, SKIPPED)
            return Checked(old)
        inputs = objects.without_none(new)
        if call.token.endswith("Patch") or call.token.startswith("kubernetes:yaml/"):
            return Checked(inputs, [Failure("", UNSUPPORTED.format(token=call.token))])
        if call.token == release.TOKEN:
            failures = self._types.failures(call.token, inputs)
            return Checked({**inputs, "name": release.name_of(inputs, call.name)}, failures)
        failures = _misnamed(call, inputs)
        if self._judge is None:
            failures += self._types.failures(call.token, inputs)
            self._diagnostics.warn(call.urn, self._unjudged())
        return Checked(inputs if failures else self._placed(objects.named(call, old, inputs)), failures)

    def diff(self, call: Call, identity: str, old: State, new: Values) -> Change:
        """What differs from what was applied; where a cluster answers, less what it says is the same."""
        if call.token == release.TOKEN:
            moved = ("name", "namespace")
            return Change({path: path in moved for path in objects.differences(old.inputs, new)})
        if self._silence is not None and not objects.is_built_in(call.token):
            raise Unavailable(
                f"API server returned error when asked if resource type {call.token} is namespaced: "
                f"{self._silence.message}",
                code="kubernetes.unreachable",
                remedy=self._silence.remedy,
            )
        before = objects.pruned(objects.live_of(old.outputs), old.inputs) if old.outputs else old.inputs
        paths = list(objects.differences(before, new))
        if paths and self._judge is not None and self._silence is None and not holds_unknown(new):
            paths = self._settled(call, paths, old, new)
        mutable = new.get("kind") in self._settings.mutable
        about = new.get("metadata") or {}
        same = about is not UNKNOWN and old.inputs.get("metadata", {}).get("name") == about.get("name")
        return Change(
            {path: objects.replaces({} if mutable else new, path) for path in paths},
            delete_before_replace=same,
        )

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        if not call.preview:
            self._strike("create", call)
        if call.token == release.TOKEN:
            return self._create_release(call, inputs)
        if self._judge is None:
            return ("" if holds_unknown(inputs) else objects.identity_of(inputs)), inputs
        if call.preview:
            return "", self._previewed(call, inputs, new=True)
        manager = objects.field_manager(call.urn)
        live = self._judge.create(call.urn, inputs, manager)
        return objects.identity_of(live), objects.outputs_of(live, inputs, manager)

    def update(self, call: Call, identity: str, old: State, inputs: Values) -> Values:
        if not call.preview:
            self._strike("update", call)
        if call.token == release.TOKEN:
            return release.outputs_of(inputs, call.name, preview=call.preview)
        if self._judge is None:
            return inputs
        if call.preview:
            return self._previewed(call, inputs, new=False)
        manager = _manager(call, old)
        live = self._judge.update(call.urn, inputs, manager)
        return objects.outputs_of(live, inputs, manager)

    def delete(self, call: Call, identity: str, old: State) -> None:
        self._strike("delete", call)
        if self._judge is None:
            return
        if call.token == release.TOKEN:
            self._judge.require_no_orphans(release.chart_of(old.inputs), call.name)
        else:
            self._judge.remove(*_version_and_kind(call, old), identity)

    def read(self, call: Call, identity: str, old: State) -> Found | None:
        self._strike("read", call)
        if self._judge is None or call.token == release.TOKEN:
            return Found(identity, old) if old.outputs else None
        live = self._judge.read(*_version_and_kind(call, old), identity)
        if live is None:
            return None
        inputs = objects.pruned(live, old.inputs) if old.inputs else _imported(live)
        return Found(identity, State(inputs, objects.outputs_of(live, inputs, _manager(call, old))))

    def invoke(self, token: str, arguments: Values, *, preview: bool) -> Values | list[Failure]:
        return [Failure("", f"the stand-in has no function {token}")]

    def _unjudged(self) -> str:
        if self._settings.unknown:
            return f"{UNJUDGED}: the provider's {', '.join(self._settings.unknown)} is not known yet"
        return f"{UNJUDGED}: none runs; held against the SDK's types alone"

    def _placed(self, inputs: Values) -> Values:
        """With the provider's namespace, where it has none and its kind wants one."""
        about = inputs["metadata"]
        if self._judge is None or holds_unknown(about) or about.get("namespace"):
            return inputs
        kind = self._judge.kind(inputs["apiVersion"], inputs["kind"])
        if kind is None or not kind.namespaced:
            return inputs
        return {**inputs, "metadata": {**about, "namespace": self._settings.namespace}}

    def _previewed(self, call: Call, inputs: Values, *, new: bool) -> Values:
        """What a dry run makes of it, or the inputs as they are, with a warning."""
        assert self._judge is not None
        if self._silence is not None:
            return inputs
        if holds_unknown(inputs):
            self._diagnostics.warn(call.urn, f"{UNJUDGED}: it holds values that are not known yet")
            return inputs
        manager = objects.field_manager(call.urn)
        live = self._judge.preview(call.urn, inputs, manager, new=new)
        return inputs if live is None else objects.outputs_of(live, inputs, manager)

    def _settled(self, call: Call, paths: list[str], old: State, new: Values) -> list[str]:
        """The paths that a dry run changes: a server may write the same value in another way."""
        assert self._judge is not None
        try:
            live = self._judge.dry_run(new, _manager(call, old))
        except LockstepError:  # the update itself says why, in its preview
            return paths
        before = objects.live_of(old.outputs)
        return [path for path in paths if objects.at(before, path) != objects.at(live, path)]

    def _create_release(self, call: Call, inputs: Values) -> tuple[str, Values]:
        outputs = release.outputs_of(inputs, call.name, preview=call.preview)
        if not call.preview and self._judge is not None:
            namespace = outputs["namespace"]
            if not inputs.get("createNamespace") and not self._judge.has_namespace(namespace):
                raise Refused(
                    f'create: failed to create: namespaces "{namespace}" not found',
                    status=404,
                    reason="NotFound",
                )
            brought = access.definitions(self._folder, release.brings(inputs))
            self._judge.define([*brought, *release.own(inputs)])
        return f"{outputs['namespace']}/{outputs['name']}", outputs

    def _strike(self, what: str, call: Call) -> None:
        if self._silence is not None:
            raise Unavailable(
                f"configured Kubernetes cluster is unreachable: {self._silence.message}",
                code="kubernetes.unreachable",
                remedy=self._silence.remedy,
            )
        self._faults.strike(what, call.token, region=self._cluster, name=call.name)


def _misnamed(call: Call, inputs: Values) -> list[Failure]:
    """The kind that the object names is the one that the resource is."""
    version, kind = objects.version_and_kind(call.token)
    return [
        Failure(key, f"{key} is {inputs.get(key)!r}, but the resource is a {version}/{kind}")
        for key, meant in (("apiVersion", version), ("kind", kind))
        if inputs.get(key) != meant
    ]


def _version_and_kind(call: Call, old: State) -> tuple[str, str]:
    known: Any = old.outputs or old.inputs
    if known.get("apiVersion") and known.get("kind"):
        return known["apiVersion"], known["kind"]
    return objects.version_and_kind(call.token)


def _manager(call: Call, old: State) -> str:
    return str(old.outputs.get("__fieldManager") or objects.field_manager(call.urn))


def _imported(live: Values) -> Values:
    """Inputs for an object that nobody here has declared: what it says, without what the server adds."""
    server = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid", "finalizers")
    about = {key: value for key, value in live["metadata"].items() if key not in server}
    return {**{key: value for key, value in live.items() if key != "status"}, "metadata": about}
