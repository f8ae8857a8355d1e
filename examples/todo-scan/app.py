"""`todo-scan`: lists what is left to do, and asks whether others could do it. A whole convoke command."""

from dataclasses import dataclass, field
from typing import Annotated

from convoke_sdk import (
    Call,
    Command,
    Estimate,
    Finding,
    Item,
    Metric,
    Partial,
    Pattern,
    Query,
    Question,
    Severity,
    Task,
    Work,
    export,
)


@dataclass
class Verdict:
    """The reviewer's answer. Its JSON Schema goes with the question."""

    unclear: Annotated[list[int], "The numbers of the lines that say too little."] = field(default_factory=list)


class TodoScan(Command):
    async def plan(self, call: Call) -> Work:
        """Runs once, and asks nothing: one item for each file, with its comments as input."""
        words = call.arguments.get("only") or "TODO|FIXME"
        files: dict[str, dict[int, str]] = {}
        for folder in call.paths or [""]:
            for found in await call.search(Pattern(rf"\b({words})\b", Query(under=folder), limit=10_000)):
                files.setdefault(found.path, {})[found.line] = found.text.strip()
        estimate = Estimate(questions=1, input_tokens=500, output_tokens=50)
        return Work([Item(path, input=list(todos.items()), estimate=estimate) for path, todos in sorted(files.items())])

    async def run(self, call: Call, task: Task) -> Partial:
        """Runs for each item, several at the same time."""
        lines = "\n".join(f"{line}: {text}" for line, text in task.input)
        prompt = f"Which of these comments say too little for somebody else to act on?\n\n{lines}"
        # The fallback is the answer that can be had without a model.
        answer = await task.ask(Question("code-reviewer", prompt, fallback=Verdict()), Verdict)
        partial = Partial.done(metrics=[Metric("left to do", len(task.input), "comments")])
        for line, text in task.input:
            partial.findings.append(Finding("todo", Severity.INFO, text, task.id, line))
            if line in answer.value.unclear:
                message = f"says too little: {text}"
                finding = Finding("todo-unclear", Severity.MEDIUM, message, task.id, line, source=answer.source)
                partial.findings.append(finding)
        return partial


export(TodoScan)
