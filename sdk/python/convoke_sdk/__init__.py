"""Write a convoke command in Python.

A command plans work items, runs them one by one, and asks Claude in between. It is built into a WASM component that
sees the project only through the host:

    from convoke_sdk import Call, Command, Item, Partial, Query, Question, Task, Work, export

    class Describe(Command):
        async def plan(self, call: Call) -> Work:
            return Work([Item(file.path) for file in await call.list(Query(include=["*.md"]))])

        async def run(self, call: Call, task: Task) -> Partial:
            text = await task.read_text(task.id)
            answer = await task.ask_text(Question("tech-writer", f"What is this about?\n\n{text}", fallback="?"))
            return Partial.done(notes=answer.value)

    export(Describe)

Beside it lies `plugin.toml`, the manifest. `convoke build` makes the component of both.
"""

from .answer import Answer, Question, Usage
from .call import Call, Task
from .command import Command, export
from .errors import Error, Failure
from .log import Level, log
from .outside import Fetch, Output, Process, Response
from .records import (
    Action,
    Aggregate,
    Aggregation,
    Distribution,
    Edit,
    Entry,
    Estimate,
    Finding,
    Item,
    Kind,
    Match,
    Metric,
    Partial,
    Pattern,
    Query,
    Reduction,
    Severity,
    Source,
    Tier,
    Work,
)

__all__ = [
    "Action",
    "Aggregate",
    "Aggregation",
    "Answer",
    "Call",
    "Command",
    "Distribution",
    "Edit",
    "Entry",
    "Error",
    "Estimate",
    "Failure",
    "Fetch",
    "Finding",
    "Item",
    "Kind",
    "Level",
    "Match",
    "Metric",
    "Output",
    "Partial",
    "Pattern",
    "Process",
    "Query",
    "Question",
    "Reduction",
    "Response",
    "Severity",
    "Source",
    "Task",
    "Tier",
    "Usage",
    "Work",
    "export",
    "log",
]
