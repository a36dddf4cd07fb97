"""The dynamic programme of `template_parse`, compiled: templates in a trie, spans in a chart.

For each start, from the last word to the first, all templates that may begin there are matched
together. A state is a node of the trie and the word it has come to; it goes on along the next word,
or over a slot, whose cheapest row is known by then, to a word behind it.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from taolu._kernel import kernel

ROOT = 0
NONE = -1

# Of ways that cost the same, the one with fewer items is taken, then with fewer that are outside of
# all templates, then with shorter last slots: this much is added for each, and each word of these.
TIE = 1e-9


class Rules(NamedTuple):
    """Templates as a trie; an edge is a word, alone or behind a slot.

    Attributes:
        keys: Open-addressed table of edges, `(2 * node + behind a slot) * words + word`, int64; -1
            where it is empty.
        nodes: The node that each edge leads to, int32.
        words: Number of words, unknown ones counted as one.
        slots: Whether any edge from a node is behind a slot, bool (nodes,).
        ends: Cost of the template that ends at a node, infinite where none does, float64 (nodes,).
        end_ids: Which template that is, int32 (nodes,).
        opens: Cost of the template that ends with a slot behind a node, float64 (nodes,).
        open_ids: Which template that is, int32 (nodes,).
    """

    keys: np.ndarray
    nodes: np.ndarray
    words: int
    slots: np.ndarray
    ends: np.ndarray
    end_ids: np.ndarray
    opens: np.ndarray
    open_ids: np.ndarray


def build_rules(
    templates: Sequence[Sequence[str | None]], vocabulary: Mapping[str, int], costs
) -> Rules:
    """Returns templates as a trie.

    Args:
        templates: Words and slots (None) of each.
        vocabulary: Number of each word; all words of templates are in it.
        costs: Cost of each template, (templates,). Of equal templates the last counts.
    """
    words = len(vocabulary) + 1
    edges: dict[int, int] = {}
    ended: list[tuple[int, int, int]] = []
    for number, parts in enumerate(templates):
        node, skipped = ROOT, 0
        for part in parts:
            if part is None:
                skipped = 1
                continue
            key = (2 * node + skipped) * words + vocabulary[part]
            node, skipped = edges.setdefault(key, len(edges) + 1), 0
        ended.append((node, skipped, number))
    size = len(edges) + 1
    slots = np.zeros(size, dtype=np.bool_)
    slots[[key // words // 2 for key in edges if key // words % 2]] = True
    prices = np.full((2, size), np.inf)
    ids = np.full((2, size), NONE, dtype=np.int32)
    for node, skipped, number in ended:
        prices[skipped, node], ids[skipped, node] = costs[number], number
    capacity = 1 << max(4, (3 * len(edges)).bit_length())
    keys, nodes = np.full(capacity, NONE, dtype=np.int64), np.zeros(capacity, dtype=np.int32)
    _fill_table(np.fromiter(edges, np.int64, len(edges)), keys, nodes)
    return Rules(keys, nodes, words, slots, prices[0], ids[0], prices[1], ids[1])


@kernel
def parse_one(ids, rules, word_costs, prices, limits, records):
    """Fills the records of the cheapest parse of a sentence; returns its cost and their number.

    Args:
        ids: The words, int32 (words,).
        rules: The templates.
        word_costs: Cost of each word as an item, float64 (vocabulary,).
        prices: Cost of the end of a slot, and of each item of a row but the first.
        limits: Most words of a slot, and of a template with its slots filled.
        records: Room for int64 (4 * words + 4, 3): template (-1 a word, -2 a slot), start, stop,
            a template before its slots and a slot before its items.
    """
    return _parse(ids, rules, word_costs, prices, limits, records)


@kernel
def count_uses(ids, rules, word_costs, prices, limits, uses):
    """Parses all sentences, adds up what they use, and returns their cost.

    Args:
        ids: Words, int32 (time,); a negative id ends a sentence.
        rules, word_costs, prices, limits: See `parse_one`.
        uses: Uses of words, templates and slot ends, int64 (vocabulary + templates + 1,).
    """
    records = np.empty((4 * _longest(ids) + 4, 3), dtype=np.int64)
    cost, start = 0.0, 0
    for t in range(ids.size):
        if ids[t] >= 0:
            continue
        sentence = ids[start:t]
        spent, used = _parse(sentence, rules, word_costs, prices, limits, records)
        cost += spent
        for r in range(used):
            kind = records[r, 0]
            if kind == -1:
                uses[sentence[records[r, 1]]] += 1
            elif kind == -2:
                uses[uses.size - 1] += 1
            else:
                uses[word_costs.size + kind] += 1
        start = t + 1
    return cost


@kernel
def read_slots(ids, rules, word_costs, prices, limits, fillers, spans):
    """Puts down what fills slots, and an example of each template.

    Args:
        ids, rules, word_costs, prices, limits: See `count_uses`.
        fillers: Room for template, which of its slots, and the word, where one word alone fills a
            slot, int32 (slot ends, 3).
        spans: Where the words of an example of each template start and stop: the first use that
            has no more than twelve, or else the first, int64 (templates, 2); zeros to begin with.

    Returns:
        Rows of `fillers` in use.
    """
    records = np.empty((4 * _longest(ids) + 4, 3), dtype=np.int64)
    # Templates around the place that is read: where each ends, and how many slots it has had.
    around = np.empty((records.shape[0], 3), dtype=np.int64)
    filled, start = 0, 0
    for t in range(ids.size):
        if ids[t] >= 0:
            continue
        _, used = _parse(ids[start:t], rules, word_costs, prices, limits, records)
        depth = 0
        for r in range(used):
            kind, first, stop = records[r, 0], records[r, 1], records[r, 2]
            while depth and around[depth - 1, 0] <= first:
                depth -= 1
            if kind >= 0:
                _put(around[depth], stop, kind, 0)
                depth += 1
                shown = spans[kind, 1] - spans[kind, 0]
                if not shown or (shown > 12 and stop - first <= 12):
                    spans[kind, 0], spans[kind, 1] = start + first, start + stop
            elif kind == -2:
                about = around[depth - 1]
                if stop - first == 1:
                    _put(fillers[filled], about[1], about[2], ids[start + first])
                    filled += 1
                about[2] += 1
        start = t + 1
    return filled


@kernel
def _longest(ids):
    longest = start = 0
    for t in range(ids.size):
        if ids[t] < 0:
            longest = max(longest, t - start)
            start = t + 1
    return longest


@kernel
def _parse(ids, rules, word_costs, prices, limits, records):
    keys, nodes, words, slots, ends, end_ids, opens, open_ids = rules
    slot_end, beside = prices[0], prices[1]
    n, reach, longest = ids.size, min(limits[1], ids.size), min(limits[0], ids.size)
    # Of the row of so many words from a start: its cost, and how many words its first item has.
    row, first = np.full((n + 1, longest + 1), np.inf), np.zeros((n + 1, longest + 1), np.int32)
    # Of the item: its cost, template, last state, and where its last slot starts if it ends in one.
    item = np.full((n + 1, reach + 1), np.inf)
    about = np.full((n + 1, reach + 1, 3), -1, dtype=np.int32)
    rest, step = np.full(n + 1, np.inf), np.zeros(n + 1, dtype=np.int32)
    rest[n] = 0.0
    # States: node, state before, where the slot before its last word starts, next in its place.
    states, spent = np.empty((64, 4), dtype=np.int32), np.empty(64)
    used = 0
    places = np.full(n + 2, -1, dtype=np.int32)
    for i in range(n - 1, -1, -1):
        top = min(n, i + reach)
        places[i : top + 1] = -1
        item[i, 1] = word_costs[ids[i]]
        node = _edge(keys, nodes, (2 * 0 + 0) * words + ids[i])
        if node:
            states, spent, used = _add(states, spent, used, places, i + 1, node, 0.0, -1, -1)
        for m in range(i + 1, top + 1):
            s = places[m]
            while s >= 0:
                node, cost = states[s, 0], spent[s]
                if cost + ends[node] < item[i, m - i]:
                    item[i, m - i] = cost + ends[node]
                    _put(about[i, m - i], end_ids[node], s, -1)
                if m < top:
                    child = _edge(keys, nodes, (2 * np.int64(node)) * words + ids[m])
                    if child:
                        states, spent, used = _add(
                            states, spent, used, places, m + 1, child, cost, s, -1
                        )
                if slots[node]:
                    for q in range(m + 1, min(m + longest, top - 1) + 1):
                        child = _edge(keys, nodes, (2 * np.int64(node) + 1) * words + ids[q])
                        if child:
                            more = cost + row[m, q - m] + slot_end
                            states, spent, used = _add(
                                states, spent, used, places, q + 1, child, more, s, m
                            )
                if opens[node] < np.inf:
                    for q in range(m + 1, min(m + longest, top) + 1):
                        more = cost + row[m, q - m] + slot_end + opens[node] + TIE * (q - m)
                        if more < item[i, q - i]:
                            item[i, q - i] = more
                            _put(about[i, q - i], open_ids[node], s, m)
                s = states[s, 3]
            if m - i <= longest:
                row[i, m - i], first[i, m - i] = item[i, m - i], m - i
                for k in range(i + 1, m):
                    cost = item[i, k - i] + beside + row[k, m - k]
                    if cost < row[i, m - i]:
                        row[i, m - i], first[i, m - i] = cost, k - i
                if slots[0] and m < top:
                    child = _edge(keys, nodes, np.int64(1) * words + ids[m])
                    if child:
                        more = row[i, m - i] + slot_end
                        states, spent, used = _add(
                            states, spent, used, places, m + 1, child, more, -1, i
                        )
        for m in range(i + 1, top + 1):
            cost = item[i, m - i] + rest[m] + (beside + TIE if m < n else 0.0)
            if cost < rest[i]:
                rest[i], step[i] = cost, m - i
    return rest[0], _walk(n, first, about, step, states, records)


@kernel
def _walk(n, first, about, step, states, records):
    """Puts down the items of the cheapest parse, in the order of a reader."""
    # Still to be read, the next on top: rest of a sentence (0), row (1), item (2), slot (3).
    todo = np.empty((4 * n + 4, 3), dtype=np.int32)
    _put(todo[0], 0, 0, n)
    left, used = 1, 0
    while left:
        left -= 1
        kind, start, stop = todo[left, 0], todo[left, 1], todo[left, 2]
        if start == stop:
            continue
        if kind < 2:
            middle = start + (step[start] if kind == 0 else first[start, stop - start])
            _put(todo[left], kind, middle, stop)
            _put(todo[left + 1], 2, start, middle)
            left += 2
            continue
        _put(records[used], -2, start, stop)
        used += 1
        if kind == 3:
            _put(todo[left], 1, start, stop)
            left += 1
            continue
        about_it = about[start, stop - start]
        number, s, gap = about_it[0], about_it[1], about_it[2]
        records[used - 1, 0] = number
        if number < 0:
            continue
        # Slots are met from the last to the first, so the first ends on top.
        if gap >= 0:
            _put(todo[left], 3, gap, stop)
            left += 1
        end = gap if gap >= 0 else stop
        while s >= 0:
            gap = states[s, 2]
            end -= 1  # the last word of the state
            if gap >= 0:
                _put(todo[left], 3, gap, end)
                left += 1
                end = gap
            s = states[s, 1]
    return used


@kernel
def _put(row, first, second, third):
    row[0], row[1], row[2] = first, second, third


@kernel
def _add(states, spent, used, places, place, node, cost, before, gap):
    """Adds a state at a place, or makes the one of its node cheaper."""
    s = places[place]
    while s >= 0:
        if states[s, 0] == node:
            if cost < spent[s]:
                spent[s], states[s, 1], states[s, 2] = cost, before, gap
            return states, spent, used
        s = states[s, 3]
    if used == spent.size:
        states = np.concatenate((states, np.empty_like(states)))
        spent = np.concatenate((spent, np.empty_like(spent)))
    states[used, 0], states[used, 1], states[used, 2] = node, before, gap
    states[used, 3], spent[used] = places[place], cost
    places[place] = used
    return states, spent, used + 1


@kernel
def _edge(keys, nodes, key):
    """The node that an edge leads to, 0 where there is none."""
    mask = keys.size - 1
    at = _hash(key) & mask
    while keys[at] >= 0:
        if keys[at] == key:
            return nodes[at]
        at = (at + 1) & mask
    return np.int32(0)


@kernel
def _hash(key):
    # 31 bits times 32: no product overflows, compiled or not.
    low = np.int64(key ^ (key >> 31)) & 0x7FFFFFFF
    return (low * 0x9E3779B1) >> 20


@kernel
def _fill_table(edges, keys, nodes):
    mask = keys.size - 1
    for number in range(edges.size):
        at = _hash(edges[number]) & mask
        while keys[at] >= 0:
            at = (at + 1) & mask
        keys[at], nodes[at] = edges[number], number + 1
