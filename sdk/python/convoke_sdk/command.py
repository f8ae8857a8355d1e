"""What an author writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import Error

if TYPE_CHECKING:
    from .call import Call, Task
    from .records import Aggregate, Partial, Work


class Command:
    """A command.

    Its functions have no state in common: `plan` runs in one sandbox, `run` in as many as the host sees fit. What `run`
    needs to know travels in the item's input.
    """

    async def plan(self, call: Call) -> Work:
        """Finds out what is to be done. Reads, and asks nothing."""
        raise NotImplementedError(f"{type(self).__name__} has no plan")

    async def run(self, call: Call, task: Task) -> Partial:
        """Does one item. An `Error` is the item's failure: the others go on."""
        raise NotImplementedError(f"{type(self).__name__} has no run")

    async def conclude(self, call: Call, task: Task, whole: Aggregate) -> Partial:
        """At will: runs when all items have ended, and the plan named a conclusion. `task` may ask like any other."""
        raise Error(f"the plan names a conclusion, and {type(self).__name__} has none", "write `async def conclude`")


_exported: type[Command] | None = None


def export(command: type[Command]) -> type[Command]:
    """Makes this the command of the component. Called once, at the end of the module."""
    global _exported
    if _exported is not None and _exported is not command:
        raise TypeError(f"a component has one command: {_exported.__name__}, or {command.__name__}?")
    _exported = command
    return command


def exported() -> type[Command]:
    """The command that was exported. Raises TypeError where there is none."""
    if _exported is None:
        raise TypeError("no command is exported: end the module with `export(MyCommand)`")
    return _exported
