"""The mutants of one Rego file: its text with one thing changed that a test should notice. No I/O.

Places come from OPA's own syntax tree (`opa parse --json-include locations`), so that no string or comment
is mistaken for code. What is changed, one at a time:

comparison   == != < <= > >= : turned round, and moved over its boundary
arithmetic   + - * / , and | & of sets
negation     `not` dropped; `not` put before a condition that is neither comparison nor negated
condition    a condition dropped (the other conditions of its body stay)
constant     true and false, a number one up and one down, a string that is compared
choice       min and max
clause       a whole rule, or an `else` and what follows it, dropped

The words of messages are no code and stay.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

COMPARISONS = {
    "equal": ("==", ["!="]),
    "neq": ("!=", ["=="]),
    "lt": ("<", ["<=", ">="]),
    "lte": ("<=", ["<", ">"]),
    "gt": (">", [">=", "<="]),
    "gte": (">=", [">", "<"]),
}
ARITHMETIC = {
    "plus": ("+", ["-"]),
    "minus": ("-", ["+"]),
    "mul": ("*", ["/"]),
    "div": ("/", ["*"]),
    "or": ("|", ["&"]),
    "and": ("&", ["|"]),
}
CHOICES = {"min": ("min", ["max"]), "max": ("max", ["min"])}
OPERATORS = COMPARISONS | ARITHMETIC | CHOICES
WORDS = ("sprintf", "concat")  # their first argument is text for people


@dataclass(frozen=True)
class Mutant:
    """path below policies/; line: from 1; old, new: what stood there and what stands there now."""

    path: str
    line: int
    start: int
    old: str
    new: str

    def apply(self, text: str) -> str:
        end = self.start + len(self.old)
        assert text[self.start : end] == self.old
        return text[: self.start] + self.new + text[end:]

    def lines(self, text: str) -> tuple[str, str]:
        """The line on which the change begins, as it was and as it becomes; the reviewed list names both."""
        number = self.line - 1
        return text.splitlines()[number].strip(), self.apply(text).splitlines()[number].strip()

    def __str__(self) -> str:
        return f"policies/{self.path}:{self.line}: {_short(self.old)!r} -> {_short(self.new)!r}"


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 70 else words[:67] + "..."


def mutants(path: str, text: str, tree: dict[str, Any]) -> list[Mutant]:
    """Every mutant of a file, in the order of its text. tree: what `opa parse` says of it, with locations."""
    file = _File(path, text)
    found = {mutant for rule in tree["rules"] for mutant in file.rule(rule)}
    return sorted(found, key=lambda each: (each.start, each.old, each.new))


class _File:
    def __init__(self, path: str, text: str) -> None:
        assert text.isascii(), f"{path}: OPA counts columns in another way beyond ASCII"
        self.path, self.text = path, text
        self.lines = [0]
        for line in text.splitlines(keepends=True):
            self.lines.append(self.lines[-1] + len(line))

    # --- rules

    def rule(self, rule: dict[str, Any]) -> Iterator[Mutant]:
        if not rule.get("default"):
            yield self._change(rule, "")
        yield from self._clause(rule, self._end(rule))

    def _clause(self, clause: dict[str, Any], end: int) -> Iterator[Mutant]:
        head = clause["head"]
        for part in ("key", "value"):
            if part in head and "location" in head[part]:
                yield from self._terms(head[part], words=True)
        for argument in head.get("args", []):
            yield from self._terms(argument)
        yield from self._body(clause["body"])
        if "else" in clause:
            other = clause["else"]
            start = self._start(other)
            yield Mutant(self.path, other["location"]["row"], start, self.text[start:end], "")
            yield from self._clause(other, end)

    # --- conditions

    def _body(self, body: list[dict[str, Any]]) -> Iterator[Mutant]:
        for condition in body:
            if not condition.get("generated"):
                yield from self._condition(condition)

    def _condition(self, condition: dict[str, Any]) -> Iterator[Mutant]:
        terms = condition["terms"]
        name = _called(terms[0]) if isinstance(terms, list) else ""
        declares = name in ("assign", "eq") or (isinstance(terms, dict) and "symbols" in terms)
        text = self._source(condition)
        if not declares:
            yield self._change(condition, "true")
            if condition.get("negated"):
                yield self._change(condition, text.removeprefix("not "))
            elif name not in COMPARISONS:
                yield self._change(condition, f"not {text}")
        if isinstance(terms, list):
            yield from self._call(terms)
        else:
            yield from self._terms(terms)

    # --- terms

    def _call(self, terms: list[dict[str, Any]], *, words: bool = False) -> Iterator[Mutant]:
        name = _called(terms[0])
        written, others = OPERATORS.get(name, ("", []))
        if others and self._source(terms[0]) == written:
            yield from (self._change(terms[0], other) for other in others)
        for index, argument in enumerate(terms[1:]):
            yield from self._terms(argument, words=words or (name in WORDS and index == 0))

    def _terms(self, value: Any, *, words: bool = False) -> Iterator[Mutant]:
        """Everything below a term. words: strings in it are text for people."""
        if isinstance(value, list):
            for each in value:
                yield from self._terms(each, words=words)
        elif isinstance(value, dict):
            kind = value.get("type")
            if kind == "call":
                yield from self._call(value["value"], words=words)
            elif kind in ("boolean", "number", "string"):
                yield from self._constant(value, words)
            elif "terms" in value:
                yield from self._condition(value)
            else:
                inner = (each for name, each in value.items() if name not in ("location", "type"))
                yield from self._terms(list(inner), words=words)

    def _constant(self, value: dict[str, Any], words: bool) -> Iterator[Mutant]:
        said, text = value["value"], self._source(value)
        if isinstance(said, bool):
            yield self._change(value, "false" if said else "true")
        elif isinstance(said, str):
            if text[:1] in ('"', "`") and not words:
                yield self._change(value, '"mutated"')
        else:
            yield self._change(value, str(said + 1))
            yield self._change(value, str(said - 1))

    # --- places

    def _start(self, node: dict[str, Any]) -> int:
        return self.lines[node["location"]["row"] - 1] + int(node["location"]["col"]) - 1

    def _source(self, node: dict[str, Any]) -> str:
        return base64.b64decode(node["location"].get("text", "")).decode()

    def _end(self, node: dict[str, Any]) -> int:
        return self._start(node) + len(self._source(node))

    def _change(self, node: dict[str, Any], new: str) -> Mutant:
        return Mutant(self.path, node["location"]["row"], self._start(node), self._source(node), new)


def _called(term: dict[str, Any]) -> str:
    parts = term.get("value") if term.get("type") == "ref" else None
    return ".".join(str(part["value"]) for part in parts) if isinstance(parts, list) else ""
