"""Questions and answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .records import Source, Tier

T = TypeVar("T")


@dataclass
class Question:
    """What is asked of Claude. Ask it with `Task.ask`."""

    # Who answers, in kebab case: `code-reviewer`.
    role: str
    prompt: str
    # The answer to use when no model can be had: a value of the answer's type, or a text for `ask_text`. None: the
    # question fails then.
    fallback: Any = None
    # The instructions. None: the host's own for the role.
    system: str | None = None
    # A text that many questions have in common. It is paid for once, where the backend can cache it.
    context: str | None = None
    tier: Tier | str = Tier.AUTO
    # Claude's tools that it needs. Each must be granted.
    tools: list[str] = field(default_factory=list)
    max_output_tokens: int | None = None
    # From 0 to 9. Higher goes first.
    priority: int = 4
    # Whether it may be asked again after a failure, and answered from the cache.
    repeatable: bool = True


@dataclass
class Usage:
    """What was used; zero for a fallback and for a cached answer."""

    requests: int
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    # US dollars at list price.
    usd: float


@dataclass
class Answer(Generic[T]):
    """What came back."""

    value: T
    # Who gave it: `model`, `cache` or `fallback`.
    by: str
    # The model's name, or why it is the fallback.
    name: str
    usage: Usage

    @property
    def is_from_model(self) -> bool:
        """Whether a model gave it, now or earlier; else it is the question's own fallback."""
        return self.by in ("model", "cache")

    @property
    def source(self) -> Source:
        """What a finding made of this answer says about its source."""
        return Source.MODEL if self.is_from_model else Source.RULE
