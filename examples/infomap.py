"""Modules of a network: what a map of a random walk saves, and how many modules that makes.

python examples/infomap.py

Two triangles by hand; a ring of cliques, whose shortest map has regions of towns; a flow with
directions, where modules are what the flow does not leave; and characters of a poem, grouped by
what follows what.
"""

import itertools

import numpy as np

from taolu.graph import codelength, infomap, link_flow

POEM = (
    "江南可采莲，莲叶何田田。鱼戏莲叶间。鱼戏莲叶东，鱼戏莲叶西，鱼戏莲叶南，鱼戏莲叶北。"
    "青青河畔草，绵绵思远道。远道不可思，宿昔梦见之。梦见在我傍，忽觉在他乡。"
    "他乡各异县，展转不相见。枯桑知天风，海水知天寒。入门各自媚，谁肯相为言。"
)


def two_triangles():
    flow = link_flow(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]))
    print("two triangles, one link between: bits per step")
    for name, modules in (
        ("one codebook for all", [0] * 6),
        ("a triangle each", [0, 0, 0, 1, 1, 1]),
        ("three pairs", [0, 0, 1, 1, 2, 2]),
    ):
        bits = codelength(flow, modules)
        print(f"  {name:21s} index {bits.index:.4f} + modules {bits.module:.4f} = {bits.total:.4f}")


def ring(cliques, size):
    """Cliques in a ring; each has one link to the next."""
    matrix = np.kron(np.eye(cliques), np.ones((size, size)) - np.eye(size))
    for k in range(cliques):
        a, b = k * size, (k + 1) % cliques * size + 1
        matrix[a, b] = matrix[b, a] = 1
    return matrix


def deeper():
    for two_level in (True, False):
        found = infomap(ring(30, 5), two_level=two_level, trials=5)
        tops, leaves = found.modules.max() + 1, found.leaves.max() + 1
        print(
            f"  {found.levels} levels: {found.codelength:.4f} bits, {tops} on top, {leaves} in all"
        )


def currents():
    """Two circles, each with a way round, and links that lead from one to the other."""
    sources = np.array([0, 1, 2, 3, 4, 5, 6, 7, 0, 2, 5])
    targets = np.array([1, 2, 3, 0, 5, 6, 7, 4, 4, 6, 1])
    for recorded in (False, True):
        found = infomap((sources, targets), directed=True, recorded=recorded, trials=5)
        name = "recorded" if recorded else "not recorded"
        print(f"  teleports {name:12s} {found.codelength:.4f} bits {found.modules.tolist()}")


def poem():
    letters = sorted(set(POEM) - set("，。"))
    place = {letter: i for i, letter in enumerate(letters)}
    pairs = [(a, b) for a, b in itertools.pairwise(POEM) if a in place and b in place]
    ends = np.array([[place[a], place[b]] for a, b in pairs]).T
    found = infomap((ends[0], ends[1]), directed=True, nodes=len(letters), trials=10)
    saved = 1 - found.codelength / found.bits.one_level
    print(
        f"  {found.bits.one_level:.4f} bits, in modules {found.codelength:.4f}: {saved:.0%} saved"
    )
    for module in np.argsort(-np.bincount(found.leaves), kind="stable")[:4]:
        inside = np.flatnonzero(found.leaves == module)
        inside = inside[np.argsort(-found.rates[inside], kind="stable")]
        print("  " + "".join(letters[i] for i in inside))


if __name__ == "__main__":
    two_triangles()
    print("\na ring of thirty cliques")
    deeper()
    print("\ntwo currents")
    currents()
    print("\na poem, character by character")
    poem()
