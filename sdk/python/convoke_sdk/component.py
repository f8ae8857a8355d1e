"""What a component exports, and the real `Call` and `Task`. Imported only where `wit_world` is: in a component."""

from __future__ import annotations

import json
import traceback
from typing import Any, AsyncIterator, Awaitable, List, TypeVar

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import log as host_log
from wit_world.imports import project, types, worker

from . import convert, records
from .answer import Answer, Question
from .command import exported
from .errors import Error, Failure
from .fits import checked
from .log import Level, log, write_to
from .outside import Fetch, Output, Process, Response, text_of
from .schema import schema_of, value_of

# A component imports what its manifest asks for.
try:
    from wit_world.imports import process as host_process
except ImportError:
    host_process = None
try:
    from wit_world.imports import http as host_http
except ImportError:
    host_http = None
try:
    from wit_world.imports import store as host_store
except ImportError:
    host_store = None

T = TypeVar("T")

write_to(lambda level, message: host_log.log(host_log.Level[level.name], message))


async def _said(called: Awaitable[T]) -> T:
    """What the host answers; its refusal as an error of this SDK."""
    try:
        return await called
    except Err as refused:
        raise convert.error(refused.value) from None


def _asked(interface: Any, name: str, example: str) -> Any:
    if interface is None:
        raise Error(f"this command does not ask for `{name}`", f"write `{example}` in plugin.toml")
    return interface


class _Files:
    """The project, in the name of a task or of none."""

    def __init__(self, task: worker.Task | None):
        self._task = task
        self._lifetimes: List[int | None] = []

    async def list(self, query: records.Query) -> List[records.Entry]:
        return [convert.entry_of(one) for one in await _said(project.list(self._task, convert.query(query)))]

    async def read(self, path: str) -> bytes:
        return await _said(project.read(self._task, path))

    async def read_text(self, path: str) -> str:
        return text_of(path, await self.read(path))

    async def stat(self, path: str) -> records.Entry | None:
        found = await _said(project.stat(self._task, path))
        return None if found is None else convert.entry_of(found)

    async def exists(self, path: str) -> records.Kind | None:
        found = await _said(project.exists(self._task, path))
        return None if found is None else convert.kind_of(found)

    async def search(self, pattern: records.Pattern) -> List[records.Match]:
        return [convert.match_of(one) for one in await _said(project.search(self._task, convert.pattern(pattern)))]

    async def run(self, process: Process) -> Output:
        host = _asked(host_process, "process", "[[capabilities.process]]")
        self._lifetimes.append(process.lifetime_s)
        command = host.Command(process.program, list(process.arguments), process.folder, process.input, [])
        given = await _said(host.run(self._task, checked(command)))
        return Output(given.status, given.stdout, given.stderr)

    async def fetch(self, request: Fetch) -> Response:
        host = _asked(host_http, "http", "[[capabilities.http]]")
        self._lifetimes.append(request.lifetime_s)
        raw = host.Request(request.method, request.url, list(request.headers), request.body, [])
        given = await _said(host.fetch(self._task, checked(raw)))
        return Response(given.status, given.headers, given.body, request.url)

    async def store_get(self, key: str) -> bytes | None:
        return await _said(_asked(host_store, "store", "[capabilities] store = true").get(self._task, key))

    async def store_put(self, key: str, value: bytes, lifetime_s: int) -> None:
        host = _asked(host_store, "store", "[capabilities] store = true")
        await _said(host.put(self._task, key, value, lifetime_s))

    @property
    def lifetime_s(self) -> int | None:
        """For how long what was found outside is good: the shortest counts."""
        known = [one for one in self._lifetimes if one is not None]
        return min(known) if known and len(known) == len(self._lifetimes) else None


class _Call(_Files):
    def __init__(self, raw: types.Invocation):
        super().__init__(None)
        self.subcommand = raw.subcommand
        self.arguments = json.loads(raw.arguments)
        self.paths = raw.paths
        self.today = raw.today


class _Task(_Files):
    def __init__(self, raw: worker.Task):
        super().__init__(raw)
        self._raw = raw
        self.item = convert.item_of(raw.item())
        self.id = self.item.id
        self.input = self.item.input

    async def ask(self, question: Question, schema: Any) -> Answer[Any]:
        wanted = schema if isinstance(schema, dict) else schema_of(schema)
        reply = await _said(self._raw.ask(convert.question(question, wanted)))
        try:
            value = json.loads(reply.text)
            if not isinstance(schema, dict):
                value = value_of(schema, value)
        except (ValueError, TypeError) as wrong:
            raise Failure("refused", f"the answer does not fit its type: {wrong}") from None
        return _answer(value, reply)

    async def ask_text(self, question: Question) -> Answer[str]:
        reply = await _said(self._raw.ask(convert.question(question, None)))
        return _answer(reply.text, reply)

    async def open(self, question: Question) -> tuple[AsyncIterator[tuple[str, str]], Awaitable[Answer[str]]]:
        events, reply = await self._raw.open(convert.question(question, None))
        return _events(events), _reply(reply)

    async def result_of(self, id: str) -> records.Partial | None:
        found = await _said(self._raw.result_of(id))
        return None if found is None else convert.partial_of(found)

    async def add(self, items: List[records.Item]) -> None:
        await _said(self._raw.add([checked(convert.item(one)) for one in items]))

    def progress(self, done: float, note: str) -> None:
        self._raw.progress(done, note)

    async def finish(self, partial: types.Partial) -> None:
        await _said(self._raw.finish(partial))


def _answer(value: Any, reply: types.Reply) -> Answer[Any]:
    return Answer(value, convert.word_of(reply.by), reply.by.value, convert.usage_of(reply.usage))


async def _events(events: Any) -> AsyncIterator[tuple[str, str]]:
    with events:
        while not events.writer_dropped:
            for event in await events.read(64):
                yield convert.word_of(event), event.value


async def _reply(reply: Any) -> Answer[str]:
    given = await reply.read()
    if isinstance(given, Err):
        raise convert.error(given.value)
    return _answer(given.value.text, given.value)


def _fault(fault: BaseException) -> Error:
    """A mistake in the command: where it is goes to the user, all of it to the log."""
    log(Level.ERROR, "".join(traceback.format_exception(fault)).rstrip())
    said = f"{type(fault).__name__}: {fault}"
    frames = [one for one in traceback.extract_tb(fault.__traceback__) if "/convoke_sdk/" not in one.filename]
    if frames:
        said += f" ({frames[-1].filename.rsplit('/', 1)[-1]}, line {frames[-1].lineno})"
    return Error(said)


def _refusal(error: Error) -> Err[types.Error]:
    return Err(types.Error(error.message, error.hint))


async def _ended(task: _Task, doing: Awaitable[records.Partial]) -> types.Partial:
    """What came of an item; an exception is its failure, and so is a value of the wrong type."""
    try:
        partial = await doing
        if not isinstance(partial, records.Partial):
            raise TypeError(f"a Partial is returned, and not {type(partial).__name__}")
        if partial.lifetime_s is None:
            partial.lifetime_s = task.lifetime_s
        return convert.partial(partial)
    except Error as error:
        hint = f" ({error.hint})" if error.hint else ""
        return convert.partial(records.Partial.failed(error.message + hint))
    except Exception as fault:
        return convert.partial(records.Partial.failed(_fault(fault).message))


class Handler(exports.Handler):
    """What a command does."""

    async def plan(self, call: types.Invocation) -> types.Work:
        """Finds out what is to be done."""
        try:
            return convert.work(await exported()().plan(_Call(call)))
        except Error as error:
            raise _refusal(error) from None
        except Exception as fault:
            raise _refusal(_fault(fault)) from None

    async def run(self, call: types.Invocation) -> None:
        """Takes items until there are none."""
        command, given = exported()(), _Call(call)
        try:
            while (raw := await worker.next()) is not None:
                with raw:
                    task = _Task(raw)
                    await task.finish(await _ended(task, command.run(given, task)))
        except Error as error:
            # The host would not have what the item came to.
            raise _refusal(error) from None


class Conclusion(exports.Conclusion):
    """What there is to say about the whole."""

    async def conclude(self, call: types.Invocation, task: worker.Task, whole: types.Aggregate) -> None:
        """Runs when all items have ended."""
        try:
            with task as raw:
                concluding = exported()().conclude(_Call(call), item := _Task(raw), convert.aggregate_of(whole))
                await item.finish(await _ended(item, concluding))
        except Error as error:
            raise _refusal(error) from None
