"""An IAM policy document as JSON, from the statements that `iam.getPolicyDocument` takes."""

from __future__ import annotations

import json
from typing import Any

from lockstep.standin.wire import Values

LISTS = {
    "actions": "Action",
    "notActions": "NotAction",
    "resources": "Resource",
    "notResources": "NotResource",
}


def document(arguments: Values) -> str:
    """The document: sources first, then the statements, then what overrides a statement of the same Sid."""
    sources = [arguments.get("sourceJson"), *(arguments.get("sourcePolicyDocuments") or [])]
    statements = [each for source in sources if source for each in _statements(source)]
    statements += [_statement(each) for each in arguments.get("statements") or []]
    overrides = [arguments.get("overrideJson"), *(arguments.get("overridePolicyDocuments") or [])]
    for over in (each for source in overrides if source for each in _statements(source)):
        same = [
            index
            for index, each in enumerate(statements)
            if over.get("Sid") and over["Sid"] == each.get("Sid")
        ]
        if same:
            statements[same[0]] = over
        else:
            statements.append(over)
    head = {"Version": arguments.get("version") or "2012-10-17"}
    named = {"Id": arguments["policyId"]} if arguments.get("policyId") else {}
    return json.dumps({**head, **named, "Statement": statements}, indent=2)


def _statements(text: str) -> list[dict[str, Any]]:
    found = json.loads(text).get("Statement") or []
    return [found] if isinstance(found, dict) else list(found)


def _statement(given: Values) -> dict[str, Any]:
    made: dict[str, Any] = {"Sid": given["sid"]} if given.get("sid") else {}
    made["Effect"] = given.get("effect") or "Allow"
    made |= {name: _one_or_all(given[key]) for key, name in LISTS.items() if given.get(key)}
    for key, name in (("principals", "Principal"), ("notPrincipals", "NotPrincipal")):
        if given.get(key):
            made[name] = _principals(given[key])
    if given.get("conditions"):
        made["Condition"] = _conditions(given["conditions"])
    return made


def _principals(principals: list[Values]) -> Any:
    """`*` of type `*` is everybody, anonymous callers too."""
    if any(each["type"] == "*" and "*" in each["identifiers"] for each in principals):
        return "*"
    by_type: dict[str, list[str]] = {}
    for each in principals:
        by_type.setdefault(each["type"], []).extend(each["identifiers"])
    return {kind: _one_or_all(names) for kind, names in by_type.items()}


def _conditions(conditions: list[Values]) -> dict[str, Any]:
    by_test: dict[str, dict[str, Any]] = {}
    for each in conditions:
        by_test.setdefault(each["test"], {})[each["variable"]] = _one_or_all(each["values"])
    return by_test


def _one_or_all(values: list[str]) -> Any:
    return values[0] if len(values) == 1 else list(values)
