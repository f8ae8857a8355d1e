"""What the user typed, and an item in a worker's hands: what a command gets, as an interface.

The component has the real ones (`component.py`); a test of one's own can make others.
"""

from __future__ import annotations

from typing import Any, AsyncIterator, List, Protocol, TypeVar, overload

from .answer import Answer, Question
from .outside import Fetch, Output, Process, Response
from .records import Entry, Item, Kind, Match, Partial, Pattern, Query

T = TypeVar("T")


class Project(Protocol):
    """The project's files, for reading. Paths are relative to its folder and use `/`. Each function may raise `Error`."""

    async def list(self, query: Query) -> List[Entry]:
        """The files that fit a query, sorted by path."""
        ...

    async def read(self, path: str) -> bytes:
        """A whole file."""
        ...

    async def read_text(self, path: str) -> str:
        """A whole file as text. Raises `Error` where it is not UTF-8."""
        ...

    async def stat(self, path: str) -> Entry | None:
        """What stands at a path."""
        ...

    async def exists(self, path: str) -> Kind | None:
        """What kind of thing stands at a path, without depending on its content."""
        ...

    async def search(self, pattern: Pattern) -> List[Match]:
        """The lines that match, sorted by path and line."""
        ...

    async def run(self, process: Process) -> Output:
        """Runs a program that was granted."""
        ...

    async def fetch(self, request: Fetch) -> Response:
        """Fetches from a host that was granted."""
        ...

    async def store_get(self, key: str) -> bytes | None:
        """What this command has kept under a key. `plugin.toml` asks for it: `store = true` in `[capabilities]`."""
        ...

    async def store_put(self, key: str, value: bytes, lifetime_s: int) -> None:
        """Keeps something for later runs, for so many seconds or until there is no room."""
        ...


class Call(Project, Protocol):
    """One call of the command: its arguments, and the project as `plan` sees it.

    What an item reads goes through its `Task` instead, so that the host knows what its result depends on.
    """

    # The subcommand that was typed, where the manifest declares some.
    subcommand: str | None
    # The arguments and options by their names in `plugin.toml`, defaults filled in.
    arguments: dict[str, Any]
    # The paths that the user typed. Empty: the whole project.
    paths: List[str]
    # The day of the run, UTC, as `2026-11-20`.
    today: str


class Task(Project, Protocol):
    """An item in this worker's hands. Everything is done in its name: what it costs, reads and asks is counted there."""

    # The item, as it was planned.
    item: Item
    # The item's id.
    id: str
    # What `plan` gave the item as `input`.
    input: Any

    @overload
    async def ask(self, question: Question, schema: type[T]) -> Answer[T]: ...
    @overload
    async def ask(self, question: Question, schema: dict[str, Any]) -> Answer[Any]: ...
    async def ask(self, question: Question, schema: Any) -> Answer[Any]:
        """Asks for an answer that fits a type or a JSON Schema. Several may be asked at once, with `asyncio.gather`.

        Raises `Failure` when nobody answered and the question has no fallback.
        """
        ...

    async def ask_text(self, question: Question) -> Answer[str]:
        """Asks for free text. Raises as `ask`."""
        ...

    async def open(self, question: Question) -> tuple[AsyncIterator[tuple[str, str]], Any]:
        """Asks for free text, and shows it while it is written: pairs of what happens (`text`, `restarted`, `tool`) and
        its text, and an awaitable that gives the answer once they have ended."""
        ...

    async def result_of(self, id: str) -> Partial | None:
        """The partial of an item of `after`, or of one that this item added; waits until that one has ended."""
        ...

    async def add(self, items: List[Item]) -> None:
        """Adds items to the run."""
        ...

    def progress(self, done: float, note: str) -> None:
        """For the terminal: from 0.0 to 1.0, and what is going on."""
        ...
