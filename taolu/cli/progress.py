"""A progress bar for each stage, with rate and time left, on standard error; quiet where nobody
looks."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

STAGES = {
    "read": "reading 读入",
    "words": "new words 新词",
    "lexicon": "lexicon 词典",
    "groups": "groups 词群",
    "measure": "measuring 统计",
    "report": "report 报告",
}


class _Rate(ProgressColumn):
    """How much of the text a second the whole stage gets through."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def render(self, task: Task) -> Text:
        seconds = task.finished_time if task.finished else task.elapsed
        if not task.total or not seconds or not task.completed:
            return Text(" " * 11)
        speed = task.completed / task.total * self.size / seconds / 1e6
        return Text(f"{speed:6.1f} MB/s", style="cyan")


@contextlib.contextmanager
def stages(size: int) -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function `report(stage, done, total)` that draws one bar for each stage.

    A stage begins when it is first named and ends when the next begins; what stands behind a
    colon in its name is a note about it. `total` 0 means that nobody knows how much there is.

    Args:
        size: Bytes of the text, for the rate.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f}%"),
        _Rate(size),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    with Progress(*columns, console=console, disable=not _is_watched(console)) as bars:
        tasks: dict[str, TaskID] = {}

        def finish() -> None:
            for task in tasks.values():
                if not bars.tasks[task].finished:
                    bars.update(task, completed=1, total=1, note="")

        def report(stage: str, done: int, total: int) -> None:
            stage, _, note = stage.partition(": ")
            if stage not in tasks:
                finish()
                title = STAGES.get(stage, stage)
                tasks[stage] = bars.add_task(title, total=None, note="")
            if note:
                bars.update(tasks[stage], note=note)
            if total:
                bars.update(tasks[stage], completed=done, total=total)

        yield report
        finish()


def _is_watched(console: Console) -> bool:
    return console.is_terminal and not console.is_dumb_terminal


@contextlib.contextmanager
def training() -> Iterator[Callable[[str, int, int], None]]:
    """Yields a function `report(stage, done, total)` that draws one bar for each epoch.

    What stands behind a colon in the name of a stage is a note about it. Where nobody watches,
    every finished stage is one line.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:>5.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    watched = _is_watched(console)
    with Progress(*columns, console=console, disable=not watched) as bars:
        tasks: dict[str, TaskID] = {}

        def report(stage: str, done: int, total: int) -> None:
            stage, _, note = stage.partition(": ")
            if total and stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note=note)
            if total:
                bars.update(tasks[stage], completed=done, note=note)
            if not watched and total and done == total:
                console.print(f"{stage}: {note}", highlight=False, markup=False)

        yield report


@contextlib.contextmanager
def trials() -> Iterator[Callable[[int, int, float], None]]:
    """Yields a function `report(done, total, bits)` that draws a bar of trials and the best so far.

    Until it is first called, reading is what is shown.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, disable=not _is_watched(console)) as bars:
        task = bars.add_task(STAGES["read"], total=None, note="")

        def report(done: int, total: int, bits: float) -> None:
            note = f"{done}/{total}" + (f"  best {bits:.6f} bits" if done else "")
            bars.update(
                task,
                description="trials 试探",
                completed=done,
                total=total,
                note=note,
                refresh=True,
            )

        yield report
