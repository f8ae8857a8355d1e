"""The JSON Schema of an answer's type, and the value of that type in an answer.

A type is a dataclass, `str`, `int`, `float`, `bool`, `list[…]`, `dict[str, …]`, a `Literal`, an `Enum`, or one of these
`| None`. A comment for the model is written as `Annotated[list[int], "The numbers of the lines"]`.
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

_NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(wanted: Any) -> dict[str, Any]:
    """The schema: every object closed, as structured output demands. Raises TypeError for what has none."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        comments = [one for one in arguments[1:] if isinstance(one, str)]
        return schema_of(arguments[0]) | ({"description": " ".join(comments)} if comments else {})
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(one) for one in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if wanted is list or origin is list:
        return {"type": "array"} | ({"items": schema_of(arguments[0])} if arguments else {})
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return {"enum": [one.value for one in wanted]}
    if wanted in _NAMES:
        return {"type": _NAMES[wanted]}
    if is_dataclass(wanted):
        return _object(wanted)
    raise TypeError(f"{wanted!r} has no JSON Schema: use a dataclass, str, int, float, bool, list or dict")


def _object(wanted: Any) -> dict[str, Any]:
    hints = get_type_hints(wanted, include_extras=True)
    schema: dict[str, Any] = {"type": "object"}
    # A dataclass without words of its own has its signature there, which tells a model nothing.
    if wanted.__doc__ and not wanted.__doc__.startswith(f"{wanted.__name__}("):
        schema["description"] = " ".join(wanted.__doc__.split())
    schema["properties"] = {one.name: schema_of(hints[one.name]) for one in fields(wanted)}
    # Also what has a default, which is for the fallback: a model leaves out what it may.
    schema["required"] = [one.name for one in fields(wanted)]
    schema["additionalProperties"] = False
    return schema


def value_of(wanted: Any, found: Any) -> Any:
    """What was found, as a value of the type. Raises TypeError where it doesn't fit."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin is Annotated:
        return value_of(arguments[0], found)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, found)
    if origin is Literal and found in arguments:
        return found
    if (wanted is list or origin is list) and isinstance(found, list):
        return [value_of(arguments[0], one) for one in found] if arguments else found
    if origin is dict and isinstance(found, dict):
        return {name: value_of(arguments[1], one) for name, one in found.items()}
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return _member(wanted, found)
    if is_dataclass(wanted) and isinstance(found, dict):
        return _instance(wanted, found)
    if wanted is float and isinstance(found, int) and not isinstance(found, bool):
        return float(found)
    # True is an int in Python, and none in JSON.
    if wanted in _NAMES and type(found) is wanted:
        return found
    raise TypeError(f"{found!r} is not {getattr(wanted, '__name__', wanted)}")


def _one_of(choices: tuple[Any, ...], found: Any) -> Any:
    for choice in choices:
        try:
            return value_of(choice, found)
        except TypeError:
            continue
    raise TypeError(f"{found!r} is none of {choices}")


def _member(wanted: type[Enum], found: Any) -> Enum:
    try:
        return wanted(found)
    except ValueError as error:
        raise TypeError(str(error)) from None


def _instance(wanted: Any, found: dict[str, Any]) -> Any:
    hints = get_type_hints(wanted, include_extras=True)
    known = {one.name for one in fields(wanted)}
    if unknown := found.keys() - known:
        raise TypeError(f"{wanted.__name__} has no {', '.join(sorted(unknown))}")
    return wanted(**{name: value_of(hints[name], one) for name, one in found.items()})
