"""What a command gets where its manifest asks for it and the user grants it: programs, hosts, a small store."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Output:
    """What a program gave."""

    # The exit code.
    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """What it wrote, as text. What is not UTF-8 is replaced."""
        return self.stdout.decode(errors="replace")


@dataclass
class Response:
    """What a host answered."""

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    @property
    def text(self) -> str:
        """The body, as text. What is not UTF-8 is replaced."""
        return self.body.decode(errors="replace")
