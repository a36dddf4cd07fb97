"""`taolu group`: the modules of a network."""

import json
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from taolu.errors import TaoluError

if TYPE_CHECKING:
    from taolu.graph import Links, Partition
    from taolu.report.network_tree import Tree

SHOWN_MODULES = 10
SHOWN_INSIDE = 4
KINDS = (".tree", ".clu", ".json")
TELEPORTATION = 0.15


def group(
    links: Annotated[
        Path,
        typer.Argument(
            metavar="LINKS",
            help="A file of links: .tsv or .csv (source, target, perhaps a weight), Pajek's or "
            "Infomap's .net, .gml, .graphml; with .gz, .bz2, .xz or .zst too.",
        ),
    ],
    directed: Annotated[
        bool | None,
        typer.Option(
            "--directed/--undirected",
            help="Links lead from source to target only, or both ways; default what the file says, "
            "else both.",
            show_default=False,
        ),
    ] = None,
    weight: Annotated[
        str, typer.Option(metavar="NAME", help="Column or attribute that weighs a link.")
    ] = "weight",
    two_level: Annotated[
        bool, typer.Option("--two-level", help="No modules inside modules.")
    ] = False,
    trials: Annotated[int, typer.Option(min=1, help="Searches; the shortest wins.")] = 10,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="End after so many trials in a row that found nothing shorter."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Trials side by side; default all cores.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same modules.")] = 0,
    teleportation: Annotated[
        float, typer.Option(help="Chance of a teleport at each step, with directions.")
    ] = TELEPORTATION,
    recorded: Annotated[
        bool, typer.Option("--recorded", help="Teleports count as flow, with directions.")
    ] = False,
    to_nodes: Annotated[
        bool, typer.Option("--to-nodes", help="They land on any node alike, not on links.")
    ] = False,
    markov_time: Annotated[
        float,
        typer.Option(help="Steps of the walk between two words about it: more, larger modules."),
    ] = 1.0,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write the modules of all nodes: .tree, .clu, .json."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="PAGE", help="Write an HTML page to look at.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of tables.")
    ] = False,
) -> None:
    """Group the nodes of a network by where a walker stays.

    InfoMap: of all partitions, the one under which a random walk takes the fewest bits per step to
    write down. How many modules there are, and whether they have modules inside, follows from that.

    \b
    A table holds one link a line: source, target and perhaps a weight, in .tsv
    between tabs, in .csv between commas, elsewhere also between spaces:
      宝玉 黛玉 3
      宝玉 袭人 5
    Its first line may name the columns, such as source, target, weight.

    \b
    Examples:
      taolu group links.tsv
      taolu group links.tsv --directed --report page.html
      taolu group karate.gml -o karate.tree
      taolu group words.net --two-level --json
    """
    _check_options(teleportation, markov_time, output, report)
    if recorded and markov_time != 1:
        raise typer.BadParameter("goes with unrecorded teleports only", param_hint="--markov-time")

    from taolu.cli.progress import trials as watching
    from taolu.count.parallel import available_cores
    from taolu.graph import infomap, read_links
    from taolu.report.network_tree import tree_of

    with watching() as tell:
        found = read_links(links, directed=directed, weight=weight)
        if not found.directed and (recorded or to_nodes or teleportation != TELEPORTATION):
            raise typer.BadParameter(
                "teleports are for links with directions; add --directed",
                param_hint=_teleport_option(recorded, to_nodes),
            )
        tell(0, trials, 0.0)
        partition = infomap(
            found,
            directed=found.directed,
            two_level=two_level,
            trials=trials,
            rng=seed,
            threads=threads or available_cores(),
            teleportation=teleportation,
            recorded=recorded,
            to_nodes=to_nodes,
            markov_time=markov_time,
            patience=patience,
            report=tell,
        )
    if output:
        from taolu.graph import write_partition

        write_partition(partition, output)
    if report:
        from taolu.report.network import write_network

        options = _options(found, two_level, seed, teleportation, recorded, to_nodes)
        if markov_time != 1:
            options["马尔可夫时间 Markov time"] = f"{markov_time:g}"
        title, size = links.name, found.sources.size
        write_network(report, partition, title=title, links=size, options=options)
    tree = tree_of(partition)
    if as_json:
        summary = _summary(links, found, partition, tree)
        sys.stdout.write(json.dumps(summary, ensure_ascii=False) + "\n")
        return
    _print(links, found, partition, tree)
    if partition.trials.size > 1:
        same = int((partition.trials < partition.codelength + 1e-6).sum())
        sys.stdout.write(f"{same} of {partition.trials.size} trials found this length\n")
    for path in filter(None, (output, report)):
        sys.stdout.write(f"{path}\n")


def _check_options(teleportation, markov_time, output, report) -> None:
    """Nobody should wait for a result that then cannot be written."""
    if not 0 < teleportation < 1:
        raise typer.BadParameter(
            f"{teleportation} does not lie between 0 and 1", param_hint="--teleportation"
        )
    if not 0 < markov_time < math.inf:
        raise typer.BadParameter(f"{markov_time} is not above 0", param_hint="--markov-time")
    if output and output.suffix.lower() not in KINDS:
        raise typer.BadParameter(f"{output} must end in {', '.join(KINDS)}", param_hint="--output")
    for path in filter(None, (output, report)):
        folder = path.absolute().parent
        if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
            raise TaoluError(f"{path}: cannot be written, {folder} takes no such file.")


def _teleport_option(recorded, to_nodes) -> str:
    return "--recorded" if recorded else "--to-nodes" if to_nodes else "--teleportation"


def _options(found, two_level, seed, teleportation, recorded, to_nodes) -> dict[str, Any]:
    options = {"方向 directed": "有 yes" if found.directed else "无 no", "种子 seed": seed}
    if two_level:
        options["层 levels"] = "两层 two"
    if found.directed:
        counted = "计入 recorded" if recorded else "不计入 unrecorded"
        where = "到节点 to nodes" if to_nodes else "到边 to links"
        options["传送 teleportation"] = f"{teleportation}，{counted}，{where}"
    return options


def _kind(found: "Links") -> str:
    """What the walker visits: nodes, or where steps depend on the one before, states of nodes."""
    return "nodes" if found.physical is None else "states"


def _saved(partition: "Partition") -> float:
    one = partition.bits.one_level
    return 1 - partition.codelength / one if one > 0 else 0.0


def _summary(path, found: "Links", partition: "Partition", tree: "Tree") -> dict[str, Any]:
    bits = partition.bits
    tops = [item for item in range(1, tree.modules + 1) if tree.levels[item] == 1]
    return {
        "network": str(path),
        "nodes": found.nodes if found.physical is None else int(found.physical.max()) + 1,
        **({} if found.physical is None else {"states": found.nodes}),
        "links": int(found.sources.size),
        "directed": found.directed,
        "levels": partition.levels,
        "top_modules": int(partition.modules.max()) + 1,
        "lowest_modules": int(partition.leaves.max()) + 1,
        "bits": {
            "one_level": float(bits.one_level),
            "total": float(bits.total),
            "index": float(bits.index),
            "module": float(bits.module),
            "depths": [float(value) for value in bits.depths],
        },
        "saved": _saved(partition),
        "trials": [float(value) for value in partition.trials],
        "modules": [
            {
                "path": tree.paths[item],
                "flow": float(tree.flow[item]),
                "nodes": int(tree.sizes[item]),
                "exit": float(tree.leave[item]),
                "names": tree.names[item],
            }
            for item in tops
        ],
    }


def _print(path, found: "Links", partition: "Partition", tree: "Tree") -> None:
    from taolu.cli.tables import print_table

    bits = partition.bits
    tops, lowest = int(partition.modules.max()) + 1, int(partition.leaves.max()) + 1
    print_table(
        f"{path}: bits per step",
        (
            "network",
            "nodes",
            "links",
            "levels",
            "modules",
            "bits, one\ncodebook",
            "bits, in\nmodules",
            "saved",
        ),
        [
            (
                "directed" if found.directed else "undirected",
                f"{found.nodes:,}",
                f"{found.sources.size:,}",
                str(partition.levels),
                f"{tops:,}" if lowest == tops else f"{tops:,} / {lowest:,}",
                f"{bits.one_level:.4f}",
                f"{bits.total:.4f}",
                f"{_saved(partition):.1%}",
            )
        ],
    )
    rows = [
        (
            tree.paths[item],
            f"{tree.flow[item]:.2%}",
            f"{tree.sizes[item]:,}",
            f"{tree.leave[item]:.4f}",
            tree.names[item],
        )
        for item in range(1, tree.modules + 1)
        if tree.levels[item] == 1
    ]
    names = ("module", "flow", "nodes", "exits", "most visited")
    more = f", {SHOWN_MODULES} of {tops:,}" if tops > SHOWN_MODULES else ""
    print_table(f"modules 模块{more}", names, rows[:SHOWN_MODULES], left=["most visited"])
    _print_tree(tree)


def _print_tree(tree: "Tree") -> None:
    """Two levels, each line cut where the terminal ends."""
    from rich.text import Text

    from taolu.cli.tables import console

    out = console()
    out.print("tree 层级", style="italic")
    children: dict[int, list[int]] = {}
    for item, parent in enumerate(tree.parents.tolist()):
        children.setdefault(parent, []).append(item)
    for module in children.get(0, [])[:SHOWN_MODULES]:
        inside = children.get(module, [])
        lines = [_line(tree, module), *(f"  {_line(tree, item)}" for item in inside[:SHOWN_INSIDE])]
        # What is inside is either nodes or mostly modules; of both, all there are is counted.
        whole = tree.sizes[module] if inside and not tree.sizes[inside[0]] else len(inside)
        if whole > SHOWN_INSIDE:
            lines.append(f"  … {whole - SHOWN_INSIDE:,} more")
        for line in lines:
            out.print(Text(line), no_wrap=True, overflow="ellipsis", crop=True)
    hidden = len(children.get(0, [])) - SHOWN_MODULES
    if hidden > 0:
        out.print(f"… {hidden:,} more")


def _line(tree: "Tree", item: int) -> str:
    size = f"  {tree.sizes[item]:,} nodes" if tree.sizes[item] else ""
    return f"{tree.paths[item]}  {tree.flow[item]:.2%}{size}  {tree.names[item]}"
