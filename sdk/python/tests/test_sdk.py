"""The parts of the SDK that need no component. Run by `python3 -m unittest discover -s tests` in `sdk/python`."""

import sys
import unittest
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Annotated, List, Literal, Optional, Tuple, Union

sys.path.insert(0, str(Path(__file__).parent.parent))

from convoke_sdk import Action, Command, Edit, Severity, command, export
from convoke_sdk.fits import checked
from convoke_sdk.records import as_json
from convoke_sdk.schema import schema_of, value_of


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@dataclass
class Spot:
    line: int


@dataclass
class Verdict:
    """What the reviewer
    says."""

    spots: Annotated[list[Spot], "Where it is."] = field(default_factory=list)
    size: Size = Size.SMALL
    sure: Literal["yes", "no"] | None = None


@dataclass
class Plain:
    share: float


class Schemas(unittest.TestCase):
    def test_an_answers_schema_is_one_text_with_closed_objects(self):
        spot = {
            "type": "object",
            "properties": {"line": {"type": "integer"}},
            "required": ["line"],
            "additionalProperties": False,
        }
        self.assertEqual(
            schema_of(Verdict),
            {
                "type": "object",
                "description": "What the reviewer says.",
                "properties": {
                    "spots": {"type": "array", "items": spot, "description": "Where it is."},
                    "size": {"enum": ["small", "large"]},
                    "sure": {"anyOf": [{"enum": ["yes", "no"]}, {"type": "null"}]},
                },
                "required": ["spots", "size", "sure"],
                "additionalProperties": False,
            },
        )

    def test_what_has_no_schema_is_refused(self):
        for wanted in (object, set, complex):
            with self.assertRaises(TypeError):
                schema_of(wanted)

    def test_an_answer_becomes_a_value_of_its_type(self):
        found = value_of(Verdict, {"spots": [{"line": 3}], "size": "large", "sure": "no"})
        self.assertEqual(found, Verdict([Spot(3)], Size.LARGE, "no"))
        self.assertEqual(value_of(Plain, {"share": 1}), Plain(1.0))

    def test_what_does_not_fit_is_refused(self):
        for found in ({"spots": [{"line": "3"}]}, {"spots": [{"line": True}]}, {"size": "huge"}, {"more": 1}, [], None):
            with self.assertRaises(TypeError, msg=repr(found)):
                value_of(Verdict, found)


class Records(unittest.TestCase):
    def test_a_value_travels_as_json_whatever_it_is_made_of(self):
        self.assertEqual(as_json(Verdict([Spot(1)])), '{"spots":[{"line":1}],"size":"small","sure":null}')
        self.assertEqual(as_json([(1, "é"), Severity.LOW, {2, 1}]), '[[1,"é"],"low",[1,2]]')
        with self.assertRaises(TypeError):
            as_json(object())

    def test_a_rewrite_gives_the_new_text(self):
        pairs = [("", "a"), ("a", ""), ("aaa", "aa"), ("ab", "aab"), ("é", "è"), ("xéy", "xêy"), ("日本", "日")]
        for old, new in pairs:
            [one] = Edit.rewrite("p", old, new, "r").replacements
            content = old.encode()
            self.assertEqual(content[: one.start] + one.text.encode() + content[one.end :], new.encode(), (old, new))
        self.assertEqual(Edit.rewrite("p", "same", "same", "r").replacements, [])

    def test_a_program_is_what_the_host_reads(self):
        action = Action.program("k", "t", "gh", ["pr", "create"], folder="docs", timeout_s=300)
        body = {"program": "gh", "arguments": ["pr", "create"], "folder": "docs", "timeout_s": 300}
        self.assertEqual((action.body, action.kind), (body, "program"))


@dataclass
class Inner:
    number: int


@dataclass
class Outer:
    text: Optional[str]
    inner: Union[Inner, Spot]
    several: List[Tuple[str, int]]
    size: Size


class Fits(unittest.TestCase):
    def test_a_value_of_the_wrong_type_is_found_with_its_place(self):
        good = {"text": None, "inner": Inner(1), "several": [("a", 1)], "size": Size.SMALL}
        checked(Outer(**good))
        wrong = {
            "Outer.text": {"text": 5},
            "Outer.inner.number": {"inner": Inner(-1)},
            "Outer.inner": {"inner": None},
            "Outer.several[0][1]": {"several": [("a", True)]},
            "Outer.several[0]": {"several": [("a",)]},
            "Outer.several": {"several": "a"},
            "Outer.size": {"size": "small"},
        }
        for place, change in wrong.items():
            with self.assertRaises(TypeError) as raised:
                checked(Outer(**(good | change)))
            self.assertTrue(str(raised.exception).startswith(f"{place} "), raised.exception)


class Exports(unittest.TestCase):
    def test_a_component_has_one_command(self):
        self.addCleanup(setattr, command, "_exported", None)
        with self.assertRaises(TypeError):
            command.exported()

        @export
        class First(Command):
            pass

        self.assertIs(command.exported(), First)
        with self.assertRaises(TypeError):

            @export
            class Second(Command):
                pass


if __name__ == "__main__":
    unittest.main()
