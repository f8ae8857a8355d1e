"""What a command and the host exchange. Each is a dataclass; what need not be said has a default."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Distribution(str, Enum):
    """How items are dealt to workers."""

    BY_GROUP = "by-group"
    EVENLY = "evenly"
    BY_WEIGHT = "by-weight"


class Aggregation(str, Enum):
    """How partials become the report."""

    MERGE = "merge"
    REDUCE = "reduce"
    COLLECT = "collect"
    STREAM = "stream"


class Tier(str, Enum):
    """Which kind of instance answers."""

    AUTO = "auto"
    SPEED = "speed"
    COMPREHENSIVE = "comprehensive"


class Severity(Enum):
    """How bad a finding is."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class Source(str, Enum):
    """Who found it."""

    RULE = "rule"
    MODEL = "model"


class Reduction(str, Enum):
    """How the values of a metric become one."""

    SUM = "sum"
    MIN = "min"
    MAX = "max"
    MEAN = "mean"


class Kind(Enum):
    """What stands at a path."""

    FILE = "file"
    FOLDER = "folder"
    LINK = "link"
    OTHER = "other"


@dataclass
class Estimate:
    """What an item will probably ask, all questions together."""

    questions: int
    input_tokens: int
    output_tokens: int


@dataclass
class Item:
    """The smallest thing that can be done, retried, cached and counted."""

    # What it is about: a path, a name. The same in the next run for the same thing.
    id: str
    # What `run` needs to know: anything that JSON can hold. A later run reuses the result only under the same input.
    input: Any = None
    # What the terminal shows. None: the id.
    label: str | None = None
    # Items of one group go to one worker.
    group: str | None = None
    # The effort, relative to the other items.
    weight: int = 1
    # The files that it will propose edits for.
    writes: list[str] = field(default_factory=list)
    # The ids of the items that must have ended before.
    after: list[str] = field(default_factory=list)
    # Whether it may be started again after a crash in its middle.
    repeatable: bool = True
    estimate: Estimate | None = None


@dataclass
class Work:
    """All that is to be done."""

    items: list[Item]
    # None: by group where items have one, else by weight.
    distribute: Distribution | str | None = None
    aggregate: Aggregation | str = Aggregation.MERGE
    # The item in whose name `Command.conclude` runs when all others have ended.
    conclusion: Item | None = None
    # For the user, before anything runs: what was left out, and why.
    notes: list[str] = field(default_factory=list)


@dataclass
class Finding:
    """Something that somebody should look at."""

    # The stable id of the rule, in kebab case, as `plugin.toml` declares it.
    rule: str
    severity: Severity
    message: str
    path: str | None = None
    # Counted from 1.
    line: int | None = None
    # In characters, counted from 1.
    column: int | None = None
    source: Source | str = Source.RULE
    # What makes it the same finding in the next run. None: rule, path and message.
    fingerprint: str | None = None
    # What to do about it.
    help: str | None = None


@dataclass
class Metric:
    """A number, and how those of all items become one."""

    name: str
    value: float
    # `agents`, `bytes`, `ms`; empty for a plain number.
    unit: str = ""
    reduce: Reduction | str = Reduction.SUM


@dataclass
class Replacement:
    """Replaces the bytes from `start` up to `end` of the file as it was read."""

    start: int
    end: int
    text: str


@dataclass
class Edit:
    """A proposal to change a file. The host shows it, and carries it out only if the user says so."""

    path: str
    # `create`, `replace` or `delete`.
    change: str
    reason: str
    # For `create`.
    content: str = ""
    # For `replace`: ascending, not overlapping.
    replacements: list[Replacement] = field(default_factory=list)
    # The sha-256, in hex, of the content it is made against. None: what this item read at that path.
    base: str | None = None

    @staticmethod
    def create(path: str, content: str, reason: str) -> Edit:
        """A new file."""
        return Edit(path, "create", reason, content=content)

    @staticmethod
    def delete(path: str, reason: str) -> Edit:
        """Removes a file that the item has read."""
        return Edit(path, "delete", reason)

    @staticmethod
    def rewrite(path: str, old: str, new: str, reason: str) -> Edit:
        """A new text for a file that the item has read: `old` is what it read."""
        if old == new:
            return Edit(path, "replace", reason)
        most = min(len(old), len(new))
        start = next((at for at in range(most) if old[at] != new[at]), most)
        tail = next((at for at in range(most - start) if old[-1 - at] != new[-1 - at]), most - start)
        begin = len(old[:start].encode())
        end = len(old[: len(old) - tail].encode())
        return Edit(path, "replace", reason, replacements=[Replacement(begin, end, new[start : len(new) - tail])])


@dataclass
class Action:
    """A proposal to change the world outside the files. The host shows it, and carries it out once, if the user says so."""

    # `git-commit`, `pull-request`, `comment`.
    kind: str
    title: str
    # What the host carries out.
    body: dict[str, Any]
    # Two actions with the same key are the same action.
    key: str

    @staticmethod
    def program(
        key: str,
        title: str,
        program: str,
        arguments: list[str],
        *,
        kind: str = "program",
        input: str | None = None,
        folder: str | None = None,
        timeout_s: int | None = None,
    ) -> Action:
        """A program of the user's PATH with its arguments, without a shell. `key` says what is done."""
        said = {"input": input, "folder": folder, "timeout_s": timeout_s}
        body = {"program": program, "arguments": arguments}
        return Action(kind, title, body | {name: value for name, value in said.items() if value is not None}, key)


@dataclass
class Partial:
    """What a command reports for an item."""

    # `done`, `failed` or `skipped`.
    outcome: str = "done"
    # Why, for `failed` and `skipped`.
    reason: str = ""
    findings: list[Finding] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    edits: list[Edit] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    # What a reader of the report should know, as Markdown.
    notes: str | None = None
    # For how many seconds the result may be reused, where it came from a process or a fetch.
    lifetime_s: int | None = None

    @staticmethod
    def done(**more: Any) -> Partial:
        """The item is done."""
        return Partial(**more)

    @staticmethod
    def skipped(reason: str) -> Partial:
        """There was nothing to do for it, and why."""
        return Partial("skipped", reason)

    @staticmethod
    def failed(reason: str) -> Partial:
        """It could not be done, and why."""
        return Partial("failed", reason)


@dataclass
class Aggregate:
    """What the conclusion sees: the partials of the run, aggregated."""

    # How many items ended how.
    census: dict[str, int]
    findings: list[Finding]
    metrics: list[Metric]
    edits: list[Edit]
    # By the ids of the items.
    notes: dict[str, str]


@dataclass
class Query:
    """Which files. Globs as in `.gitignore`, against the path below `under`."""

    # Empty: all files.
    include: list[str] = field(default_factory=list)
    exclude: list[str] = field(default_factory=list)
    # A folder, or a path that the user typed. Empty: the project.
    under: str = ""
    # Also names that begin with a dot.
    hidden: bool = False
    # Also what `.gitignore` leaves out.
    ignored: bool = False


@dataclass
class Pattern:
    """The lines in which a regular expression matches, in the syntax of Rust's `regex`."""

    regex: str
    files: Query = field(default_factory=Query)
    ignore_case: bool = False
    # At most so many matches.
    limit: int = 1_000


@dataclass
class Entry:
    """A file, or what else stands at a path."""

    path: str
    kind: Kind
    # Bytes; 0 for what is not a file.
    size: int

    @property
    def is_file(self) -> bool:
        """Whether a file stands there."""
        return self.kind is Kind.FILE


@dataclass
class Match:
    """A line that matched."""

    path: str
    # Counted from 1.
    line: int
    text: str


def as_json(value: Any) -> str:
    """A value as the JSON that travels between command and host. Dataclasses and enums are taken apart."""
    return json.dumps(value, default=_plain, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if hasattr(value, "__dataclass_fields__"):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (set, frozenset)):
        # A set has no order: the same set must always be the same text.
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is nothing that JSON can hold")
