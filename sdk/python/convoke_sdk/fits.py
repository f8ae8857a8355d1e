"""Whether a value has the types that it says. Across the border of a component a wrong one would end the worker."""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

# Numbers of the contract are not negative.
_NUMBERS = range(2**64)


def checked(value: T) -> T:
    """The same value, a dataclass. Raises TypeError where a member is of another type, and says which."""
    _members(value, type(value).__name__)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _members(value: Any, where: str) -> None:
    hints = _hints(type(value))
    for one in fields(value):
        _check(hints[one.name], getattr(value, one.name), f"{where}.{one.name}")


def _check(hint: Any, value: Any, where: str) -> None:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        choices = [one for one in arguments if one is type(value) or _is_general(one)]
        if not choices:
            raise TypeError(f"{where} can't be {value!r}")
        _check(choices[0], value, where)
    elif origin is list:
        _is(isinstance(value, list), value, where, "a list")
        for number, one in enumerate(value):
            _check(arguments[0], one, f"{where}[{number}]")
    elif origin is tuple:
        _is(isinstance(value, tuple) and len(value) == len(arguments), value, where, f"{len(arguments)} values")
        for number, one in enumerate(value):
            _check(arguments[number], one, f"{where}[{number}]")
    elif hint is int:
        # True is an int in Python, and none in the contract.
        _is(type(value) is int and value in _NUMBERS, value, where, "a whole number, 0 or more")
    elif is_dataclass(hint):
        _is(type(value) is hint, value, where, hint.__name__)
        _members(value, where)
    elif isinstance(hint, type) and issubclass(hint, Enum):
        _is(isinstance(value, hint), value, where, hint.__name__)
    elif isinstance(hint, type):
        _is(isinstance(value, hint), value, where, hint.__name__)


def _is_general(hint: Any) -> bool:
    """Whether values of other types than itself can fit."""
    return get_origin(hint) is not None


def _is(holds: bool, value: Any, where: str, wanted: str) -> None:
    if not holds:
        raise TypeError(f"{where} can't be {value!r}, only {wanted}")
