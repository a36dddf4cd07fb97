"""Where the modules and nodes of a network stand in its picture.

Every item is a disc whose area grows with its flow. From the top down, the items inside a module
are placed by forces: those with links attract each other, any two keep apart, and who has links to
the outside is drawn to the side where these end. Then they are moved and scaled into the disc of
the module.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from taolu._kernel import kernel
from taolu.graph.flow import Flow
from taolu.report.network_tree import Tree

FLOOR = 0.35  # share of all area that is dealt out evenly, so that no node is too small to see
FULL = 0.62  # share of a module's area that what it holds may take
APART = 1.7  # nodes keep as far apart as if they were so many times as large
MOST_GROWN = 1.6  # times that a disc may become larger than its share of the area
ROOM = 0.93  # share of a module's radius inside which its items stand
WORK = 60_000_000  # pairs that may be looked at for one module
MOST_STEPS = 300
MOST_WAVES = 300  # items in one module whose links are looked at as a whole for a start


@dataclass(frozen=True)
class Layout:
    """A picture in the unit circle.

    Attributes:
        x: Centre of each item, float64 (items,).
        y: Likewise.
        radii: Of the disc of each item, float64 (items,).
        links: Pairs of items with the same parent and flow between them, int32 (2, pairs).
        between: Flow between them, both ways together, float64 (pairs,).
    """

    x: np.ndarray
    y: np.ndarray
    radii: np.ndarray
    links: np.ndarray
    between: np.ndarray


def place_items(tree: Tree, flow: Flow) -> Layout:
    """Returns a picture of a tree over a network; the same picture each time.

    Args:
        tree: What is to be shown.
        flow: The flow of all the network.

    Example:
        >>> from taolu.graph import infomap
        >>> from taolu.report.network_tree import tree_of
        >>> found = infomap(([0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]))
        >>> layout = place_items(tree_of(found), found.flow)
        >>> bool(np.all(np.hypot(layout.x, layout.y) + layout.radii <= 1 + 1e-9))
        True
    """
    radii = _radii(tree)
    spots = np.zeros((radii.size, 2))
    heads = np.repeat(np.arange(flow.nodes), np.diff(flow.starts))
    tails, between = flow.neighbours, flow.between
    links, strengths = [], []
    depths = np.where(tree.items[-1] == tree.items[-2], -1, tree.levels[tree.items[-1]] - 1)
    for level in range(tree.items.shape[0] - 1):
        above = tree.items[level]
        own = np.where(depths == level, tree.items[-1], tree.items[level + 1])
        own = np.where((own != above) & (tree.levels[above] == level), own, -1)
        a, b = own[heads], own[tails]
        inside = (a >= 0) & (b >= 0) & (a != b) & (above[heads] == above[tails])
        shape = (radii.size, radii.size)
        near = sparse.csr_array((between[inside], (a[inside], b[inside])), shape=shape)
        near.sum_duplicates()
        outside = (a >= 0) & (above[heads] != above[tails])
        pulls = _pulls(
            a[outside],
            spots[above[tails[outside]]] - spots[above[heads[outside]]],
            between[outside],
            radii.size,
        )
        for parent in np.unique(above[own >= 0]):
            children = np.flatnonzero(tree.parents == parent)
            _fill(parent, children, tree.sizes == 0, near, pulls, spots, radii)
        pairs = near.tocoo()
        once = pairs.coords[0] < pairs.coords[1]
        links.append(np.stack([pairs.coords[0][once], pairs.coords[1][once]]).astype(np.int32))
        strengths.append(pairs.data[once])
    x, y = np.ascontiguousarray(spots.T)
    return Layout(x, y, radii, np.concatenate(links, axis=1), np.concatenate(strengths))


def _radii(tree) -> np.ndarray:
    """Discs of the nodes and modules as if all were whole; the root has radius one."""
    shown = (tree.sizes == 0).astype(np.float64)
    share = shown.copy()
    for item in range(share.size - 1, 0, -1):
        share[tree.parents[item]] += share[item]
    area = (1 - FLOOR) * tree.flow + FLOOR * share / max(1.0, share[0])
    # What stands deeper has to leave room around it, more than once.
    return np.sqrt(area / area[0]) * FULL ** (tree.levels / 2)


def _pulls(items, ways, between, size) -> np.ndarray:
    """For each item the sum of directions to where its links outside end, weighted by flow."""
    far = np.hypot(ways[:, 0], ways[:, 1])
    ways = ways / np.where(far > 0, far, 1.0)[:, None] * between[:, None]
    return np.stack([np.bincount(items, ways[:, k], size) for k in (0, 1)], axis=1)


def _fill(parent, children, nodes, near, pulls, spots, radii) -> None:
    """Puts the children into the disc of their parent."""
    some = near[children][:, children]
    strength = np.asarray(some.sum(axis=1)).ravel()
    pull = pulls[children]
    largest = max(float((strength + np.hypot(*pull.T)).max()), 1e-300)
    # Between nodes there is room for links.
    size = radii[children] * np.where(nodes[children], APART, 1.0)
    size /= size.mean()
    x = _start(some, size, pull)
    steps = int(min(MOST_STEPS, max(12, WORK // max(1, children.size**2))))
    if children.size > 1:
        rows = some.indptr.astype(np.int64), some.indices.astype(np.int64), some.data / largest
        _settle(x, size, rows, strength / largest, pull / largest, steps)
    low, high = (x - size[:, None]).min(axis=0), (x + size[:, None]).max(axis=0)
    x -= (low + high) / 2
    reach = float((np.hypot(x[:, 0], x[:, 1]) + size).max())
    scale = ROOM * radii[parent] / reach
    spots[children] = spots[parent] + x * scale
    # Where little of a module is shown, that is not blown up to fill it.
    inner = size * np.where(nodes[children], 1 / APART, 1.0)
    radii[children] = np.minimum(MOST_GROWN * radii[children], inner * scale)


def _start(links, size, pull) -> np.ndarray:
    """Where linked discs are near, by the slowest waves on the links, turned as the pulls ask."""
    x = _spiral(size)
    if not 3 < size.size <= MOST_WAVES:
        return x
    strength = links.sum(axis=1)
    scale = 1 / np.sqrt(np.where(strength > 0, strength, 1.0))
    waves = np.linalg.eigh(links.toarray() * scale * scale[:, None])[1][:, -3:-1]
    waves = waves * scale[:, None]
    # In a network of several parts a wave may be one of them against all others: far, not that far.
    waves = np.clip((waves - waves.mean(axis=0)) / np.maximum(waves.std(axis=0), 1e-12), -2, 2)
    places, asked = waves @ [1, 1j], pull @ [1, 1j]
    straight, mirrored = (np.sum(asked * side) for side in (places.conj(), places))
    if abs(mirrored) > abs(straight):
        places, straight = places.conj(), mirrored
    if abs(straight) > 0:
        places = places * straight / abs(straight)
    # The spiral parts those that the waves put on one place.
    return x.std() * np.stack([places.real, places.imag], axis=1) + 0.2 * x


def _spiral(size) -> np.ndarray:
    """A start that keeps discs apart, the first in the middle."""
    turn = np.pi * (3 - np.sqrt(5))
    order = np.arange(size.size)
    reach = np.sqrt(np.cumsum(size**2) - 0.5 * size**2) * 1.3
    return np.stack([reach * np.cos(turn * order), reach * np.sin(turn * order)], axis=1)


@kernel
def _settle(x, size, rows, strength, pull, steps):
    """Moves discs by forces; each step a little less, and at last only apart."""
    starts, neighbours, weights = rows
    count = size.size
    force = np.empty((count, 2))
    for step in range(steps):
        left = 1.0 - step / steps
        hold, lean = 0.02 + 0.78 * left, 1.5 * np.sqrt(count) * left
        for i in range(count):
            # Towards the middle, and to the side of the links that lead outside.
            force[i, 0] = -hold * x[i, 0] + lean * pull[i, 0]
            force[i, 1] = -hold * x[i, 1] + lean * pull[i, 1]
        for i in range(count):
            for j in range(i):
                across, up = x[i, 0] - x[j, 0], x[i, 1] - x[j, 1]
                square = across * across + up * up + 1e-9
                touch = size[i] + size[j]
                push = 0.2 * left * touch * touch / square
                far = np.sqrt(square)
                if far < 1.08 * touch:
                    # Overlaps are undone whatever the links want.
                    push += (1.08 * touch - far) / far * (0.5 + 3.0 * (1.0 - left))
                # The small make way for the large.
                own, other = size[i] * size[i], size[j] * size[j]
                own, other = 2 * own / (own + other), 2 * other / (own + other)
                force[i, 0] += other * push * across
                force[i, 1] += other * push * up
                force[j, 0] -= own * push * across
                force[j, 1] -= own * push * up
        for i in range(count):
            for e in range(starts[i], starts[i + 1]):
                j = neighbours[e]
                draw = 1.2 * weights[e] / np.sqrt(strength[i] * strength[j] + 1e-12) * left
                force[i, 0] -= draw * (x[i, 0] - x[j, 0])
                force[i, 1] -= draw * (x[i, 1] - x[j, 1])
        limit = 0.05 + 1.5 * left * left
        for i in range(count):
            length = np.sqrt(force[i, 0] ** 2 + force[i, 1] ** 2) + 1e-12
            move = min(0.3 * length, limit) / length
            x[i, 0] += move * force[i, 0]
            x[i, 1] += move * force[i, 1]
