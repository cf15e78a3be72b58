"""The provider: the SDK's types, the kept table and the account, behind the base's seam."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from lockstep.errors import LockstepError
from lockstep.standin.aws import behind, settings, special
from lockstep.standin.aws.account import Account, Resource
from lockstep.standin.aws.behaviour import Behaviour, table
from lockstep.standin.aws.constraints import refused
from lockstep.standin.aws.identity import Identity, automatic_name
from lockstep.standin.aws.moto_judge import judge
from lockstep.standin.aws.outputs import carried, foreseen, given, made
from lockstep.standin.aws.sdk import PACKAGE, Sdk, Signature
from lockstep.standin.aws.shape import STRING, Simple, problems
from lockstep.standin.aws.within import concerns, differences, first
from lockstep.standin.faults import Faults
from lockstep.standin.kept import Kept
from lockstep.standin.provider import DEFAULTS, Call, Change, Checked, Failure, Found, State
from lockstep.standin.wire import UNKNOWN, Values, holds_unknown


class AwsStandIn:
    """folder: where the account is remembered, and where a test puts its faults; alone: see Sdk."""

    name = "aws"

    def __init__(self, folder: Path, *, alone: bool = False) -> None:
        # The SDK's own version, because the engine warns of a plugin that is older than the SDK.
        self.version = f"{version(PACKAGE)}+standin"
        self._sdk = Sdk(alone=alone)
        self._folder = folder
        self._kept = Kept(folder / "aws.jsonl")
        self._faults = Faults(folder / "faults.json")
        self._judge = judge()
        self.region: Any = None
        self.number = table().account
        self.tags: dict[str, str] = {}

    def check_config(self, config: Values) -> list[Failure]:
        return settings.refused(config, self._sdk)

    def configure(self, config: Values) -> None:
        taken = settings.decoded(config)
        self.region = taken.get("region")
        self.tags = (taken.get("defaultTags") or {}).get("tags") or {}
        # A stack that is held to an account gets that one.
        self.number = ((taken.get("allowedAccountIds") or [])[:1] or [table().account])[0]

    def check(self, call: Call, old: Values, new: Values) -> Checked:
        signature, behaviour = self._sdk.resource(call.token), table().of(call.token)
        inputs = {key: value for key, value in new.items() if value is not None and key != DEFAULTS}
        failures = list(problems(signature.inputs, inputs))
        if not failures:
            failures = list(refused(behaviour, inputs, inputs.get("region", self.region)))
        if failures:
            return Checked(inputs, failures)
        return Checked(self._named(call, signature, behaviour, old, inputs))

    def diff(self, call: Call, identity: str, old: State, new: Values) -> Change:
        behaviour = table().of(call.token)
        before = {key: value for key, value in old.inputs.items() if key != DEFAULTS}
        after = {key: value for key, value in new.items() if key != DEFAULTS}
        if (old.outputs.get("region") or self.region) == after.get("region", self.region):
            before.pop("region", None)
            after.pop("region", None)
        rules = [*behaviour.replaces, "region"]
        rules += [] if behaviour.name.get("changes") else [_name_property(behaviour)]
        rules += [path for path in behaviour.removed if first(after, path) is None]
        rules += special.replaced(call.token, before, after)
        rules = [path for path in rules if first(before, path) != first(after, path)]
        paths = sorted(differences(before, after))
        changed = {path: any(concerns(path, rule) for rule in rules) for path in paths}
        return Change(changed, delete_before_replace=_named_by_program(behaviour, before, new))

    def create(self, call: Call, inputs: Values) -> tuple[str, Values]:
        signature, behaviour = self._sdk.resource(call.token), table().of(call.token)
        region = self._region(inputs)
        known = given(inputs, signature, behaviour, region, self.tags)
        if call.preview:
            return "", foreseen(known, signature, behaviour)
        self._faults.strike("create", call.token, region=region, name=call.name)
        with self._account() as account:
            resource = self._new(account, call, inputs, known, signature)
            account.require_references(resource)
            account.require_unique(resource, behaviour)
            special.allow(account, resource)
            if self._judge is not None:
                self._judge.create(account, resource)
            behind.made(self._folder, resource, account)
            account.put(resource)
        return resource.id, resource.outputs

    def _new(
        self, account: Account, call: Call, inputs: Values, known: Values, signature: Signature
    ) -> Resource:
        """The resource in the first generation whose identity nothing else has."""
        behaviour, region, before = table().of(call.token), self._region(inputs), ""
        for generation in count():
            identity = Identity(call.urn, self.number, region, generation)
            lookup = self._lookup(account, behaviour, region)
            new_id, outputs = made(known, signature, behaviour, identity, lookup)
            where = "" if behaviour.everywhere else region
            outputs = special.complete(call.token, outputs, identity)
            resource = Resource(call.token, where, new_id, call.urn, inputs, outputs)
            taken = account.get(call.token, where, new_id)
            if taken is None or behaviour.unique or resource.id == before:
                return resource
            before = resource.id  # a name that no generation changes is put over what has it
        raise AssertionError

    def update(self, call: Call, identity: str, old: State, inputs: Values) -> Values:
        signature, behaviour = self._sdk.resource(call.token), table().of(call.token)
        region = self._region({**old.outputs, **inputs})
        known = given(inputs, signature, behaviour, region, self.tags)
        outputs = carried(known, old, inputs, signature, behaviour)
        if call.preview:
            return {**{key: UNKNOWN for key, f in signature.outputs.fields.items() if f.required}, **outputs}
        self._faults.strike("update", call.token, region=region, name=call.name)
        with self._account() as account:
            there = self._there(account, call.token, identity, region)
            resource = Resource(there.token, there.region, there.id, call.urn, inputs, outputs)
            account.require_references(resource)
            special.allow(account, resource)
            if self._judge is not None:
                self._judge.update(account, resource)
            account.put(resource)
        return outputs

    def delete(self, call: Call, identity: str, old: State) -> None:
        region = self._region(old.outputs)
        self._faults.strike("delete", call.token, region=region, name=call.name)
        with self._account() as account:
            resource = account.get(call.token, self._place(call.token, region), identity)
            if resource is None:
                return  # gone already, which is what was wanted
            account.require_free(resource)
            special.release(account, resource)
            if self._judge is not None:
                self._judge.delete(account, resource)
            behind.gone(self._folder, resource)
            account.drop(resource)

    def read(self, call: Call, identity: str, old: State) -> Found | None:
        named, _, at = identity.partition("@")  # an import may name the region: id@region
        region = at if at in table().regions else self._region(old.outputs)
        named = named if at in table().regions else identity
        self._faults.strike("read", call.token, region=region, name=call.name)
        with self._account() as account:
            resource = account.get(call.token, self._place(call.token, region), named)
        if resource is None:
            return None
        return Found(resource.id, State(resource.inputs, resource.outputs))

    def invoke(self, token: str, arguments: Values, *, preview: bool) -> Values | list[Failure]:
        from lockstep.standin.aws.functions import answer

        signature = self._sdk.function(token)
        arguments = {key: value for key, value in arguments.items() if value is not None}
        region = self._region(arguments)
        failures = [*problems(signature.inputs, arguments), *refused(Behaviour(), {}, region)]
        if failures or holds_unknown(arguments):
            return failures or {key: UNKNOWN for key in signature.outputs.fields}
        self._faults.strike("invoke", token, region=region)
        with self._account() as account:
            return answer(token, arguments, signature, account, region)

    def _named(
        self, call: Call, signature: Signature, behaviour: Behaviour, old: Values, inputs: Values
    ) -> Values:
        """The inputs with a name, where the program gives none: the one from before, or a new one."""
        key = _name_property(behaviour)
        field = signature.inputs.fields.get(key)
        automatic = field is not None and field.shape == Simple(STRING) and not field.required
        if not automatic or key in inputs or f"{key}Prefix" in inputs or key in behaviour.defaults:
            return inputs
        name = old[key] if key in old and key in old.get(DEFAULTS, []) else self._new_name(call, behaviour)
        return {**inputs, key: name, DEFAULTS: [key]}

    def _new_name(self, call: Call, behaviour: Behaviour) -> str:
        """A name that no resource of this type has."""
        with self._account() as account:
            taken = {name for each in account if each.token == call.token for name in each.names}
        region = self.region if isinstance(self.region, str) else ""
        names = (
            automatic_name(behaviour, Identity(call.urn, self.number, region, generation), call.name)
            for generation in count()
        )
        return next(name for name in names if name not in taken)

    @contextmanager
    def _account(self) -> Iterator[Account]:
        with self._kept.open() as entries:
            yield Account(entries, self.number)

    def _region(self, properties: Values) -> str:
        region = properties.get("region") or self.region
        return region if isinstance(region, str) else ""

    @staticmethod
    def _place(token: str, region: str) -> str:
        return "" if table().of(token).everywhere else region

    def _there(self, account: Account, token: str, identity: str, region: str) -> Resource:
        resource = account.get(token, self._place(token, region), identity)
        if resource is None:
            raise LockstepError(
                f"{token} {identity} is not there any more",
                code=table().of(token).missing,
                remedy="refresh the stack, and it is made again",
            )
        return resource

    @staticmethod
    def _lookup(account: Account, behaviour: Behaviour, region: str) -> Any:
        targets = {reference.path: reference.target for reference in behaviour.references}

        def lookup(path: str, value: Any) -> Any:
            found = account.find(targets[path], region, str(value)) if path in targets else None
            return None if found is None else found.outputs

        return lookup


def _name_property(behaviour: Behaviour) -> str:
    return str(behaviour.name.get("property", "name"))


def _named_by_program(behaviour: Behaviour, old: Values, new: Values) -> bool:
    """Whether a replacement would have the name of what it replaces, which then has to go first."""
    key = _name_property(behaviour)
    given = key in new and key not in new.get(DEFAULTS, [])
    return given and old.get(key) == new[key]
