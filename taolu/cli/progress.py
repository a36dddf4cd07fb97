"""A progress bar with rate and time left, on standard error, quiet where nobody looks."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

STAGES = {
    "read": "reading 读入",
    "words": "new words 新词",
    "lexicon": "lexicon 词典",
    "measure": "measuring 统计",
    "report": "report 报告",
}


class _Rate(ProgressColumn):
    """Megabytes a second; the text is read again in every pass."""

    def render(self, task: Task) -> Text:
        size, speed = task.fields.get("size", 0), task.speed
        if not speed or not size or not task.total:
            return Text("")
        return Text(f"{speed * size / task.total / 1e6:6.1f} MB/s", style="cyan")


@contextlib.contextmanager
def stages(size: int) -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function `report(stage, done, total)` that draws one bar for each stage.

    Args:
        size: Bytes of the text, for the rate.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:16}"),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f}%"),
        _Rate(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as bars:
        tasks: dict[str, int] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    bars.update(task, completed=1, total=1)
                tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=None, size=size)
            if total:
                passes = 1 if stage == "read" else total
                bars.update(tasks[stage], completed=done, total=total, size=size * passes)

        yield report
        for task in tasks.values():
            bars.update(task, completed=1, total=1)
