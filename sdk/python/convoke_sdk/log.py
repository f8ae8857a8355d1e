"""The run's log."""

from __future__ import annotations

import sys
from enum import Enum
from typing import Callable


class Level(Enum):
    """How much a line matters."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


def _to_stderr(level: Level, message: str) -> None:
    print(f"{level.value}: {message}", file=sys.stderr)


# In a component the host's own takes this place.
_write: Callable[[Level, str], None] = _to_stderr


def log(level: Level, message: str) -> None:
    """Writes a line to the run's log. The terminal shows it with `-v`, and with the item's failure."""
    _write(level, message)


def write_to(write: Callable[[Level, str], None]) -> None:
    """Where lines go from now on."""
    global _write
    _write = write
