"""Rows of names and a weight out of the bytes of a file, millions in a second.

Names become numbers in the order in which they come, through a hash table of their bytes; so no
Python object is made per row, only one per name.
"""

import math
import re
from dataclasses import dataclass

import numpy as np

from taolu._kernel import kernel
from taolu.graph.source import Source

SPACES = 0  # any run of blanks or tabs separates; else the byte that does
TAB, COMMA, SEMICOLON = 9, 44, 59
# Up to 15 digits and powers up to 22 are exact in float64, so one product or quotient is too.
_POWERS = np.array([float(f"1e{k}") for k in range(23)])
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I)
_FIRST_SLOTS = 1 << 12
_ROWS_AT_ONCE = 1 << 18

# What the kernel says of the line it stops at.
_SHORT, _EMPTY, _OPEN, _GLUED = 1, 2, 3, 4


@dataclass(frozen=True)
class Table:
    """What rows say.

    Attributes:
        ids: The numbers of the names in each row, int32 (rows, names in a row).
        names: The names, as bytes.
        weights: Weight of each row, float64 (rows,); 1 where it has none.
        offsets: Where each row starts in the file, int64 (rows,).
    """

    ids: np.ndarray
    names: list[bytes]
    weights: np.ndarray
    offsets: np.ndarray


def read_table(
    source: Source,
    begin: int,
    end: int,
    columns: tuple[int, ...],
    *,
    weight: int = -1,
    separator: int = SPACES,
    what: str = "a source and a target",
) -> Table:
    """Returns the rows of a part of a file.

    Empty lines, and lines that begin with #, are no rows; between spaces, % does as # does, and a
    field that begins with # ends the row. A field may stand in double quotes, where a quote is
    written twice. Columns that are not asked for are not looked at.

    Args:
        source: The file.
        begin: Offset of the first line.
        end: Offset after the last one.
        columns: Where the names stand, from 0.
        weight: Where the weight stands; -1 for nowhere. A row may end before.
        separator: `SPACES`, or a byte.
        what: Names the columns in errors.

    Raises:
        CorpusError: A row breaks a rule; names the line.
    """
    data = np.frombuffer(source.data, dtype=np.uint8)
    rows = source.data.count(b"\n", begin, end) + 1
    width = len(columns)
    ids = np.empty((rows, width), dtype=np.int32)
    weights = np.ones(rows)
    offsets = np.empty(rows, dtype=np.int64)
    spans = np.empty((rows, 2), dtype=np.int64)  # of weights that are not read here
    names = np.empty((rows * width, 3), dtype=np.int64)  # start, end and hash of each
    places = np.array(columns, dtype=np.int64)
    order = np.argsort(places, kind="stable")
    size, count, fault, offset = _scan(
        data[:end],
        begin,
        separator,
        (places[order], order, weight),
        _POWERS,
        (ids, weights, offsets, spans),
        names,
        np.full(_FIRST_SLOTS, -1, dtype=np.int32),
    )
    if fault:
        raise source.fault(int(offset), _rule(int(fault), what))
    table = Table(ids[:size], _names(source, names[:count]), weights[:size], offsets[:size])
    if weight >= 0:
        _finish_weights(source, table, spans)
    return table


def _rule(fault, what) -> str:
    if fault == _SHORT:
        return f"a line must hold {what}."
    if fault == _EMPTY:
        return f"a line must hold {what}, none of them empty."
    if fault == _OPEN:
        return "a name that begins with a quote must end with one."
    return "a closing quote must end the field."


def _names(source, spans) -> list[bytes]:
    data = source.data
    # A quote inside a quoted name is written twice; its span is marked by a negative end.
    return [
        data[start:end] if end >= 0 else data[start:-end].replace(b'""', b'"')
        for start, end in zip(spans[:, 0].tolist(), spans[:, 1].tolist(), strict=True)
    ]


def _finish_weights(source, table, spans) -> None:
    """Reads what the kernel left, and checks all weights."""
    weights = table.weights
    left = np.flatnonzero(np.isnan(weights))
    for rows in np.split(left, range(_ROWS_AT_ONCE, left.size, _ROWS_AT_ONCE)):
        starts, ends = spans[rows].T.tolist()
        texts = [source.data[start:end] for start, end in zip(starts, ends, strict=True)]
        try:
            # float would take 1_000 for a thousand.
            weights[rows] = [math.nan if b"_" in text else float(text) for text in texts]
        except ValueError:
            weights[rows] = math.nan
        if np.isnan(weights[rows]).any():
            for row, text in zip(rows.tolist(), texts, strict=True):
                if not _NUMBER.fullmatch(text):
                    raise source.fault(int(table.offsets[row]), "a weight must be a number.")
    wrong = ~((weights >= 0) & (weights < np.inf))
    if wrong.any():
        offset = int(table.offsets[np.argmax(wrong)])
        raise source.fault(offset, "a weight must be a finite number, at least 0.")


@kernel
def _scan(data, begin, separator, columns, powers, out, names, slots):
    """Fills rows and names; returns how many there are, and the fault and where it is, if any."""
    places, order, weight = columns
    ids, weights, offsets, spans = out
    rows, count, p = 0, 0, begin
    while p < data.size:
        stop = p
        while stop < data.size and data[stop] != 10:
            stop += 1
        q, last = p, stop
        while last > p and _blank(data[last - 1]) and (data[last - 1] != 9 or separator != 9):
            last -= 1
        while q < last and _blank(data[q]) and (data[q] != 9 or separator != 9):
            q += 1
        empty = True
        for i in range(q, last):
            empty = empty and _blank(data[i])
        if empty or data[q] == 35 or (separator == 0 and data[q] == 37):
            p = stop + 1
            continue
        offsets[rows] = p
        field, wanted, here = 0, 0, q
        while here >= 0 and (wanted < places.size or weight >= field):
            start, end, here, fault, doubled = _field(data, here, last, separator)
            if fault == -1:  # nothing but a comment is left
                break
            if fault:
                return rows, count, fault, p
            while wanted < places.size and places[wanted] == field:
                if start == end:
                    return rows, count, 2, p
                code = 0
                for i in range(start, end):
                    code = ((code * 16777619) ^ int(data[i])) & 0x3FFFFFFFFF
                slot = code & (slots.size - 1)
                while slots[slot] >= 0 and not _same(data, names, slots[slot], start, end, code):
                    slot = (slot + 1) & (slots.size - 1)
                if slots[slot] < 0:
                    names[count, 0], names[count, 2] = start, code
                    names[count, 1] = -end if doubled else end
                    slots[slot] = count
                    count += 1
                ids[rows, order[wanted]] = slots[slot]
                wanted += 1
                if 2 * count > slots.size:
                    slots = _grown(slots, names, count)
            if field == weight:
                spans[rows, 0], spans[rows, 1] = start, end
                weights[rows] = _number(data, start, end, powers)
            field += 1
        if wanted < places.size:
            return rows, count, 1, p
        rows += 1
        p = stop + 1
    return rows, count, 0, 0


@kernel
def _blank(byte):
    return byte == 32 or byte == 9 or byte == 13


@kernel
def _field(data, here, last, separator):
    """Returns start and end of the next field, where the one after begins or -1, and faults."""
    while here < last and _blank(data[here]) and data[here] != separator:
        here += 1
    if separator == 0 and (here == last or data[here] == 35):
        return here, here, -1, -1, False
    if here < last and data[here] == 34 and separator != 9:
        doubled = False
        end = here + 1
        while end < last:
            if data[end] == 34:
                if end + 1 < last and data[end + 1] == 34:
                    doubled = True
                    end += 1
                else:
                    break
            end += 1
        if end >= last:
            return here, here, -1, 3, False
        after = end + 1
        while after < last and _blank(data[after]) and data[after] != separator:
            after += 1
        if separator == 0:
            if after < last and after == end + 1:
                return here, here, -1, 4, False
            return here + 1, end, after if after < last else -1, 0, doubled
        if after < last and data[after] != separator:
            return here, here, -1, 4, False
        return here + 1, end, after + 1 if after < last else -1, 0, doubled
    end = here
    while end < last and (data[end] != separator if separator else not _blank(data[end])):
        end += 1
    after = end + 1 if end < last else -1
    if separator == 0:
        return here, end, after, 0, False
    while end > here and _blank(data[end - 1]):
        end -= 1
    # Between tabs a quote is a character like others, unless two enclose the whole field.
    if end - here > 2 and data[here] == 34 and data[end - 1] == 34:
        return here + 1, end - 1, after, 0, False
    return here, end, after, 0, False


@kernel
def _same(data, names, name, start, end, code):
    first, size = names[name, 0], abs(names[name, 1]) - names[name, 0]
    if names[name, 2] != code or size != end - start:
        return False
    for i in range(size):  # noqa: SIM110 (Numba)
        if data[first + i] != data[start + i]:
            return False
    return True


@kernel
def _grown(slots, names, count):
    slots = np.full(2 * slots.size, -1, dtype=np.int32)
    for name in range(count):
        slot = names[name, 2] & (slots.size - 1)
        while slots[slot] >= 0:
            slot = (slot + 1) & (slots.size - 1)
        slots[slot] = name
    return slots


@kernel
def _number(data, start, end, powers):
    """Returns a number that needs no rounding twice; NaN for all else."""
    digits, shift, seen = 0, 0, 0
    value = 0
    q = start
    negative = q < end and data[q] == 45
    if negative:
        q += 1
    point = False
    while q < end:
        byte = int(data[q])
        if 48 <= byte <= 57:
            value = value * 10 + (byte - 48)
            digits += 1 if value else 0
            seen += 1
            shift -= 1 if point else 0
            if digits > 15:
                return np.nan
        elif byte == 46 and not point:
            point = True
        else:
            break
        q += 1
    if q < end and seen and (data[q] == 101 or data[q] == 69):
        q += 1
        minus = q < end and data[q] == 45
        if q < end and (data[q] == 45 or data[q] == 43):
            q += 1
        power, first = 0, q
        while q < end and 48 <= data[q] <= 57 and power < 1000:
            power = power * 10 + (int(data[q]) - 48)
            q += 1
        if q == first:
            return np.nan
        shift += -power if minus else power
    if q < end or not seen or shift < -22 or shift > 22:
        return np.nan
    number = value * powers[shift] if shift >= 0 else value / powers[-shift]
    return -number if negative else number
