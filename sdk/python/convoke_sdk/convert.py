"""Between the records of this SDK and those of the contract (`wit_world`)."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from wit_world.imports import project, types

from . import records
from .answer import Question, Usage
from .errors import Error, Failure
from .fits import checked


def _word(value: Any) -> str:
    word: str = value.value if isinstance(value, Enum) else value
    return word


def variant(name: str, value: Any) -> Any:
    """`Tier` and `speed` make the case `Tier_Speed`; a word that the contract doesn't know is its case `other`."""
    word = _word(value)
    case = getattr(types, f"{name}_{''.join(part.capitalize() for part in word.split('-'))}", None)
    return getattr(types, f"{name}_Other")(word) if case is None or word == "other" else case()


def word_of(case: Any) -> str:
    """The other way: `by-weight` of `Distribution_ByWeight`, and the word itself of `other`."""
    name = type(case).__name__.split("_", 1)[1]
    if name == "Other":
        return str(case.value)
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def error(found: Any) -> Error:
    """What the host said when it refused."""
    if isinstance(found, types.Failure):
        return Failure(word_of(found.kind), found.message)
    return Error(found.message, found.hint)


def item(given: records.Item) -> types.Item:
    """An item, for the host."""
    estimate = given.estimate and types.Estimate(
        given.estimate.questions, given.estimate.input_tokens, given.estimate.output_tokens
    )
    return types.Item(
        id=given.id,
        label=given.id if given.label is None else given.label,
        group=given.group,
        weight=given.weight,
        input=records.as_json(given.input),
        writes=list(given.writes),
        after=list(given.after),
        repeatable=given.repeatable,
        estimate=estimate,
        extra=[],
    )


def item_of(given: types.Item) -> records.Item:
    """An item that came from the host."""
    estimate = given.estimate and records.Estimate(
        given.estimate.questions, given.estimate.input_tokens, given.estimate.output_tokens
    )
    return records.Item(
        given.id,
        json.loads(given.input),
        label=given.label,
        group=given.group,
        weight=given.weight,
        writes=given.writes,
        after=given.after,
        repeatable=given.repeatable,
        estimate=estimate,
    )


def work(given: records.Work) -> types.Work:
    """A plan, for the host."""
    items = list(given.items)
    by_default = "by-group" if any(one.group is not None for one in items) else "by-weight"
    work = types.Work(
        items=[item(one) for one in items],
        distribute=variant("Distribution", given.distribute or by_default),
        aggregate=variant("Aggregation", given.aggregate),
        conclusion=given.conclusion and item(given.conclusion),
        notes=list(given.notes),
        extra=[],
    )
    return checked(work)


def question(given: Question, schema: dict[str, Any] | None) -> types.Question:
    """A question, for the host, with the schema of its answer."""
    fallback = given.fallback
    if fallback is not None and (schema is not None or not isinstance(fallback, str)):
        fallback = records.as_json(fallback)
    question = types.Question(
        role=given.role,
        system=given.system,
        prompt=given.prompt,
        context=given.context,
        schema=None if schema is None else records.as_json(schema),
        tier=variant("Tier", given.tier),
        tools=list(given.tools),
        max_output_tokens=given.max_output_tokens,
        priority=given.priority,
        repeatable=given.repeatable,
        fallback=fallback,
        extra=[],
    )
    return checked(question)


def usage_of(given: types.Usage) -> Usage:
    """What an answer took."""
    return Usage(
        given.requests,
        given.input_tokens,
        given.cache_read_tokens,
        given.cache_write_tokens,
        given.output_tokens,
        given.usd,
    )


def _finding(given: records.Finding) -> types.Finding:
    return types.Finding(
        rule=given.rule,
        severity=types.Severity[_word(given.severity).upper()],
        message=given.message,
        path=given.path,
        line=given.line,
        column=given.column,
        source=variant("Source", given.source),
        fingerprint=given.fingerprint,
        help=given.help,
        extra=[],
    )


def _finding_of(given: types.Finding) -> records.Finding:
    return records.Finding(
        given.rule,
        records.Severity[given.severity.name],
        given.message,
        path=given.path,
        line=given.line,
        column=given.column,
        source=word_of(given.source),
        fingerprint=given.fingerprint,
        help=given.help,
    )


def _metric(given: records.Metric) -> types.Metric:
    return types.Metric(given.name, float(given.value), given.unit, variant("Reduction", given.reduce))


def _metric_of(given: types.Metric) -> records.Metric:
    return records.Metric(given.name, given.value, given.unit, word_of(given.reduce))


def _edit(given: records.Edit) -> types.Edit:
    match given.change:
        case "create":
            change: Any = types.Change_Create(given.content)
        case "replace":
            change = types.Change_Replace([types.Replacement(one.start, one.end, one.text) for one in given.replacements])
        case "delete":
            change = types.Change_Delete()
        case other:
            change = types.Change_Other(other)
    return types.Edit(path=given.path, base=given.base, change=change, reason=given.reason, extra=[])


def _edit_of(given: types.Edit) -> records.Edit:
    edit = records.Edit(given.path, word_of(given.change), given.reason, base=given.base)
    if isinstance(given.change, types.Change_Create):
        edit.content = given.change.value
    if isinstance(given.change, types.Change_Replace):
        edit.replacements = [records.Replacement(one.start, one.end, one.text) for one in given.change.value]
    return edit


def _action(given: records.Action) -> types.Action:
    return types.Action(given.kind, given.title, records.as_json(given.body), given.key, [])


def _action_of(given: types.Action) -> records.Action:
    return records.Action(given.kind, given.title, json.loads(given.body), given.key)


def partial(given: records.Partial) -> types.Partial:
    """What came of an item, for the host."""
    match given.outcome:
        case "done":
            outcome: Any = types.Outcome_Done()
        case "failed":
            outcome = types.Outcome_Failed(given.reason)
        case "skipped":
            outcome = types.Outcome_Skipped(given.reason)
        case other:
            outcome = types.Outcome_Other(other)
    partial = types.Partial(
        outcome=outcome,
        findings=[_finding(one) for one in given.findings],
        metrics=[_metric(one) for one in given.metrics],
        edits=[_edit(one) for one in given.edits],
        actions=[_action(one) for one in given.actions],
        notes=given.notes,
        lifetime_s=given.lifetime_s,
        extra=[],
    )
    return checked(partial)


def partial_of(given: types.Partial) -> records.Partial:
    """What came of another item."""
    return records.Partial(
        word_of(given.outcome),
        getattr(given.outcome, "value", ""),
        findings=[_finding_of(one) for one in given.findings],
        metrics=[_metric_of(one) for one in given.metrics],
        edits=[_edit_of(one) for one in given.edits],
        actions=[_action_of(one) for one in given.actions],
        notes=given.notes,
        lifetime_s=given.lifetime_s,
    )


def aggregate_of(given: types.Aggregate) -> records.Aggregate:
    """What came of all items."""
    return records.Aggregate(
        census=dict(given.census),
        findings=[_finding_of(one) for one in given.findings],
        metrics=[_metric_of(one) for one in given.metrics],
        edits=[_edit_of(one) for one in given.edits],
        notes=dict(given.notes),
    )


def query(given: records.Query) -> project.Query:
    """Which files are meant, for the host."""
    return project.Query(given.under, list(given.include), list(given.exclude), given.hidden, given.ignored, [])


def pattern(given: records.Pattern) -> project.Pattern:
    """What is looked for, for the host."""
    return project.Pattern(given.regex, given.ignore_case, query(given.files), given.limit, [])


def kind_of(given: project.Kind) -> records.Kind:
    """What stands at a path."""
    return records.Kind[given.name]


def entry_of(given: project.Entry) -> records.Entry:
    """A file, or what else stands at a path."""
    return records.Entry(given.path, kind_of(given.kind), given.size)


def match_of(given: project.Match) -> records.Match:
    """A line that was found."""
    return records.Match(given.path, given.line, given.text)
