"""Slow, plain definitions: the truth that the fast ones are tested against.

Nothing here imports the package or NumPy. Words follow the rules of the ledger: no word of two
characters or more holds a character of class OTHER, none begins or ends strictly inside a run of
letters and digits, and of several cheapest cuts the one with the longest first word wins, and so
on.
"""

import math
import unicodedata
from collections import Counter
from functools import cache
from itertools import pairwise

OTHER, WORD, ALNUM = 0, 1, 2
ENDS = "。！？；!?;"


def character_class(character):
    """What a character can do for a word, from its Unicode category."""
    category = unicodedata.category(character)
    if character in "々〇〻" or category in ("Lo", "Lm"):
        return WORD
    return ALNUM if category in ("Lu", "Ll", "Lt", "Nd", "Mn", "Mc", "Me") else OTHER


def sentences(text):
    """The sentences of a text in NFC, without outer whitespace; empty ones are left out."""
    found, start = [], 0
    text = unicodedata.normalize("NFC", text) + "\n"
    for i, character in enumerate(text):
        if character == "\n" or character in ENDS:
            found.append(text[start : i + 1].strip())
            start = i + 1
    return [sentence for sentence in found if sentence]


def runs(sentence):
    """Longest pieces without whitespace and OTHER, and each OTHER character by itself."""
    pieces = [""]
    for character in sentence:
        if character.isspace():
            pieces.append("")
        elif character_class(character) == OTHER:
            pieces += [character, ""]
        else:
            pieces[-1] += character
    return [piece for piece in pieces if piece]


def may_be_word(run, start, stop):
    """Whether a run may be cut around these characters: one alone always may."""
    if stop - start == 1:
        return True
    kinds = [character_class(character) for character in run]
    inside = [0 < i < len(run) and kinds[i - 1] == kinds[i] == ALNUM for i in (start, stop)]
    return not any(inside)


def all_cuts(run):
    """Every way to cut a run into words, longest first word first, and so on."""
    if not run:
        yield []
    for size in range(len(run), 0, -1):
        for rest in all_cuts(run[size:]):
            yield [run[:size], *rest]


def allowed(run, words):
    """Whether every word of a cut may stand where it stands."""
    start = 0
    for word in words:
        if not may_be_word(run, start, start + len(word)):
            return False
        start += len(word)
    return True


def cheapest(run, costs, unknown=math.inf):
    """The cheapest cut of a run, from right to left: `best[i] = min of cost + best[j]`."""
    best, first = [0.0] * (len(run) + 1), [0] * len(run)
    longest = max(map(len, costs), default=1)
    kinds = [character_class(character) for character in run]
    glued = [False, *(a == b == ALNUM for a, b in pairwise(kinds)), False]
    for i in range(len(run) - 1, -1, -1):
        best[i], first[i] = math.inf, i + 1
        for j in range(min(len(run), i + longest), i, -1):
            cost = costs.get(run[i:j], unknown if j == i + 1 else math.inf)
            if cost + best[j] < best[i] and (j == i + 1 or not (glued[i] or glued[j])):
                best[i], first[i] = cost + best[j], j
    words, i = [], 0
    while i < len(run):
        words.append(run[i : first[i]])
        i = first[i]
    return words


def unit_costs(counts, closings):
    """Bits of each unit, and of a character that is no unit."""
    total = math.log2(sum(counts.values()) + closings)
    return {u: exactly(total - math.log2(count)) for u, count in counts.items()}, exactly(total)


def exactly(cost):
    """A cost as a multiple of 2**-32, so that sums are exact and ties are ties."""
    return round(cost * 2**32) / 2**32


def units(sentence, costs, unknown):
    """The units of a sentence."""
    return [word for run in runs(sentence) for word in cheapest(run, costs, unknown)]


def count_units(texts, costs, unknown):
    """Uses of each unit on the cheapest cuts of many sentences."""
    pieces = Counter(run for sentence in texts for run in runs(sentence))
    counts = Counter()
    for run, times in pieces.items():
        for word in cheapest(run, costs, unknown):
            counts[word] += times
    return counts


def self_information(counts):
    """`T log2 T - sum c log2 c`: bits of symbols under their own frequencies."""
    counts = [count for count in counts if count]
    total = sum(counts)
    return math.fsum(count * math.log2(total / count) for count in counts)


def ngrams(texts, order):
    """Exact counts of all n-grams up to an order, within runs of word characters."""
    counts = Counter()
    for sentence in texts:
        for run in runs(sentence):
            if character_class(run[0]) != OTHER:
                for size in range(1, order + 1):
                    counts.update(run[i : i + size] for i in range(len(run) - size + 1))
    return counts


def cohesion(word, counts, total):
    """The natural log of count over chance, at the weakest of all cuts."""
    cuts = ((word[:i], word[i:]) for i in range(1, len(word)))
    return min(math.log(total * counts[word] / (counts[a] * counts[b])) for a, b in cuts)


def join(run, cohesive):
    """The segments of a run: overlapping spans of cohesive n-grams glued together."""
    glued = [False] * (len(run) + 1)
    for i in range(len(run)):
        for j in range(i + 1, len(run) + 1):
            if run[i:j] in cohesive:
                glued[i + 1 : j] = [True] * (j - i - 1)
    segments = [""]
    for i, character in enumerate(run):
        if i and not glued[i]:
            segments.append("")
        segments[-1] += character
    return segments


def discover(texts, thresholds, min_count):
    """Words found by counting, joining and backtracking, with the number of their segments."""
    order = len(thresholds)
    counts = ngrams(texts, order)
    total = sum(count for gram, count in counts.items() if len(gram) == 1)
    cohesive = {
        gram
        for gram, count in counts.items()
        if len(gram) > 1
        and count >= min_count
        and cohesion(gram, counts, total) >= thresholds[len(gram) - 1]
    }
    segments = Counter(s for text in texts for run in runs(text) for s in join(run, cohesive))
    frequent = {w: c for w, c in segments.items() if len(w) > 1 and c >= min_count}
    return {word: count for word, count in frequent.items() if stands(word, cohesive, order)}


def stands(word, cohesive, order):
    """Whether a segment is cohesive as a whole or, if longer than the order, in all its parts."""
    size = min(order, len(word))
    parts = [word[i : i + size] for i in range(len(word) - size + 1)]
    return len(word) < 3 or all(part in cohesive for part in parts)


def branching_entropies(texts, word):
    """Entropy in bits of the character before and after a string; a border is one of them."""
    left, right = Counter(), Counter()
    for sentence in texts:
        padded = "".join("\n" if c.isspace() else c for c in f"\n{sentence}\n")
        for i in range(1, len(padded) - len(word)):
            if padded.startswith(word, i):
                left[padded[i - 1]] += 1
                right[padded[i + len(word)]] += 1
    return tuple(self_information(side.values()) / max(1, side.total()) for side in (left, right))


def merge(sentence, left, right):
    """The units of a sentence after joining neighbours, from left to right, none used twice."""
    merged, i = [], 0
    while i < len(sentence):
        pair = i + 1 < len(sentence) and (sentence[i], sentence[i + 1]) == (left, right)
        merged.append(left + right if pair else sentence[i])
        i += 2 if pair else 1
    return merged


def pair_counts(texts):
    """Joins that each pair of neighbouring units would give: of overlapping ones every second."""
    pairs = Counter()
    for sentence in texts:
        last = None
        for i in range(len(sentence) - 1):
            pair = sentence[i], sentence[i + 1]
            if pair[0] == pair[1] and last == (pair, i - 1):
                continue
            pairs[pair] += 1
            last = pair, i
    return pairs


def template_bits(words, costs, templates, slot_end):
    """Cost of the cheapest way to say words as a row of words and templates, slots filled alike.

    A template is a tuple of words and slots (None), with its cost; each slot costs its end too.
    """
    here = [(parts, cost) for parts, cost in templates.items() if set(parts) - {None} <= set(words)]
    if not here:
        return math.fsum(costs[word] for word in words)

    @cache
    def row(start, stop):
        ways = (item(start, middle) + row(middle, stop) for middle in range(start + 1, stop))
        return min(item(start, stop), min(ways, default=math.inf))

    @cache
    def item(start, stop):
        best = costs[words[start]] if stop == start + 1 else math.inf
        for parts, cost in here:
            best = min(best, cost + filled(parts, start, stop))
        return best

    def filled(parts, start, stop):
        if not parts:
            return 0.0 if start == stop else math.inf
        if stop - start < len(parts):
            return math.inf
        if parts[0] is not None:
            found = words[start] == parts[0]
            return filled(parts[1:], start + 1, stop) if found else math.inf
        best = math.inf
        for middle in range(start + 1, stop - len(parts) + 2):
            rest = filled(parts[1:], middle, stop)
            if rest < math.inf:
                best = min(best, row(start, middle) + slot_end + rest)
        return best

    return row(0, len(words)) if words else 0.0
