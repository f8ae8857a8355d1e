"""What goes wrong, in words for the user."""

from __future__ import annotations


class Error(Exception):
    """What happened, to what, and at will what to do now. Raised in `run`, it is the item's failure; the others go on."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint


class Failure(Error):
    """Why a question has no answer.

    `kind` is `invalid`, `refused`, `unavailable`, `exhausted`, `denied`, `cancelled`, or a word of a later host.
    """

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind = kind
