"""What a command gets where its manifest asks for it and the user grants it: programs and hosts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .errors import Error
from .schema import value_of


@dataclass
class Process:
    """A program that is run to look at something, by `task.run` or `call.run`. What changes the world is an `Action`.

    There is no shell: arguments arrive as they are, the subcommand first. `plugin.toml` asks for it:

        [[capabilities.process]]
        program = "git"
        subcommands = ["diff", "log"]
    """

    # A name in the user's `PATH`.
    program: str
    arguments: list[str] = field(default_factory=list)
    # A folder of the project where it is started. Empty: the project's own.
    folder: str = ""
    # What it reads from its standard input.
    input: bytes = b""
    # For how many seconds what it finds is good: so long a later run may use the item's result. None: not at all, unless the
    # item's partial says something else.
    lifetime_s: int | None = None


@dataclass
class Output:
    """What a program gave."""

    # The exit code.
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def is_success(self) -> bool:
        """Whether the exit code is 0."""
        return self.status == 0

    def checked(self) -> Output:
        """The same, where the exit code is 0. Raises `Error` with what it says."""
        if self.is_success:
            return self
        lines = [line for line in self.stderr.decode(errors="replace").splitlines() if line.strip()]
        said = lines[0] if lines else "it says nothing of it"
        raise Error(f"the program ended with code {self.status}: {said}")

    def text(self) -> str:
        """What it printed. Raises `Error` where that is not UTF-8."""
        return text_of("what the program printed", self.stdout)


@dataclass
class Fetch:
    """A request, sent by `task.fetch` or `call.fetch`. `plugin.toml` asks for its host:

    [[capabilities.http]]
    host = "api.osv.dev"
    methods = ["GET", "POST"]
    """

    url: str
    # In capitals.
    method: str = "GET"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    # As that of a `Process`.
    lifetime_s: int | None = None


@dataclass
class Response:
    """What a host answered. Whatever the status is, it is an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    url: str

    @property
    def is_success(self) -> bool:
        """Whether the status is one of success."""
        return 200 <= self.status < 300

    @property
    def place(self) -> str:
        """The URL, without what may be secret in it."""
        return self.url.split("?")[0].split("#")[0]

    def checked(self) -> Response:
        """The same, where the status is one of success. Raises `Error`."""
        if self.is_success:
            return self
        raise Error(f"{self.place} answered {self.status}")

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next((value for known, value in self.headers if known.lower() == name.lower()), None)

    def text(self) -> str:
        """The body. Raises `Error` where it is not UTF-8."""
        return text_of(self.place, self.body)

    def json(self, schema: Any = None) -> Any:
        """The body as JSON, or as a value of a type. Raises `Error` where it is none."""
        try:
            found = json.loads(self.body)
            return found if schema is None else value_of(schema, found)
        except (ValueError, TypeError) as wrong:
            raise Error(f"the answer of {self.place} doesn't fit: {wrong}") from None


def text_of(what: str, content: bytes) -> str:
    """Text. Raises `Error` that says where it stops to be text."""
    try:
        return content.decode()
    except UnicodeDecodeError as wrong:
        line = content.count(b"\n", 0, wrong.start) + 1
        raise Error(f"{what} is not UTF-8 text: line {line}, byte {wrong.start}") from None
