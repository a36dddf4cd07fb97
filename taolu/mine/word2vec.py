"""Word vectors that tell the company of a word from noise: word2vec.

What the vectors end at is known: with noise as frequent as words are used, x . y = PMI - log k
for the input vector x of a word, the output vector y of another, and k noise words a pair (Levy and
Goldberg). So word2vec is a table of mutual information in few numbers a word, made without writing
down the table. The compiled code is in `skip_gram`.

The text is cut into pieces of like size, each with random numbers of its own; threads take pieces
in turn and write to the same tables without locks (Hogwild). On one thread the same seed gives the
same bits, also after a break; on several, two threads at times write to one row at once, and runs
differ a little.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from queue import SimpleQueue

import numpy as np

from taolu.mine.huffman import huffman_paths
from taolu.mine.sampling import alias_table, keep_thresholds
from taolu.mine.skip_gram import Bags, Draws, Paths, Plan, Room, Tables, train_piece, work_room
from taolu.mine.subwords import PieceVectors, Subwords, bags_of_pieces
from taolu.mine.token_stream import END, Sentences, TokenStream, read_tokens
from taolu.mine.training_state import TrainingState, digest
from taolu.mine.word_vectors import WordVectors

PIECE = 1 << 16  # ids trained on at a time
ROUND = 16  # pieces a thread, between looks at whether the state is to be written
LANES = 16  # numbers in a vector register: rows are as wide as a multiple of them

Report = Callable[[int, int, float], None]


@dataclass(frozen=True)
class Settings:
    """How vectors are trained; see `word2vec` for what each says."""

    width: int = 100
    window: int = 5
    cbow: bool = False
    negative: int = 5
    hierarchical: bool = False
    sample: float = 1e-3
    noise_power: float = 0.75
    epochs: int = 5
    rate: float = 0.025
    end_rate: float = 1e-4
    subwords: Subwords | None = None

    def __post_init__(self) -> None:
        for name in ("width", "window", "epochs"):
            value = getattr(self, name)
            if value < 1 or value != int(value):
                raise ValueError(
                    f"`{name}` must be a whole number, at least 1. Received: {name}={value}."
                )
        if self.negative < 0 or self.negative != int(self.negative):
            raise ValueError(
                f"`negative` must be a whole number, 0 or more. Received: negative={self.negative}."
            )
        if not self.negative and not self.hierarchical:
            raise ValueError(
                "`negative` must be at least 1 where `hierarchical` is False. "
                f"Received: negative={self.negative}."
            )
        if not 0 <= self.sample <= 1:
            raise ValueError(f"`sample` must lie in 0 to 1. Received: sample={self.sample}.")
        if not np.isfinite(self.noise_power):
            raise ValueError(
                f"`noise_power` must be a number. Received: noise_power={self.noise_power}."
            )
        if not 0 <= self.end_rate <= self.rate < np.inf or not self.rate:
            raise ValueError(
                "`rate` must be above 0, and `end_rate` lie in 0 to `rate`. "
                f"Received: rate={self.rate}, end_rate={self.end_rate}."
            )


def word2vec(
    source: Sentences,
    *,
    min_count: int = 5,
    threads: int = 1,
    rng=0,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 600.0,
    report: Report | None = None,
    **settings,
) -> WordVectors:
    """Returns a vector for each word of a text that is cut into words.

    Takes time linear in the text, times `window * (negative + 1) * width`, and memory for two
    tables of float32 (words, width); ids of large texts lie in a temporary file.

    Args:
        source: A file (or `Corpus`) with one sentence a line, words separated by whitespace, also
            compressed; or sentences that are lists of words, read once.
        min_count: Least uses of a word that gets a vector; rarer ones are taken out of the text.
        threads: Threads that share the text.
        rng: Seed, or NumPy generator. On one thread the same seed gives the same vectors.
        checkpoint: A file that keeps the state of training, in the format of NumPy. Where it
            exists, training goes on from it.
        checkpoint_seconds: How often it is written, at least; it is also at the end.
        report: Called as `report(done, words, loss)` with ids trained on, how many there are in
            all epochs, and nats a pair of the last piece of text.
        settings: Fields of `Settings`. `width` (100): numbers in a vector. `window` (5): words
            of company to either side at most; for each word the reach is drawn from 1 to it.
            `cbow` (False): whether the mean of the company tells the word, not each by itself.
            `negative` (5): noise words for each pair. `hierarchical` (False): whether to also, or
            where `negative` is 0 only, go down a Huffman tree. `sample` (1e-3): the share above
            which words are dropped now and then; 0 drops none. `noise_power` (0.75): noise is
            drawn by count to this power. `epochs` (5). `rate` (0.025), `end_rate` (1e-4): size of
            a step, falling in a line. `subwords` (None): a `Subwords`, for vectors of pieces.

    Raises:
        CorpusError: A file cannot be read.
        ValueError: An argument is out of range, no word is used often enough, or the checkpoint is
            of another training.

    Example:
        >>> days = [[a, "去", b] for a in "甲乙丙" for b in ("北京", "上海")] * 9
        >>> found = word2vec(days, width=8, window=2, epochs=9, rate=0.3, sample=0)
        >>> found.most_similar("北京", top=1)[0][0]
        '上海'

    References:
        Mikolov, Sutskever, Chen, Corrado, Dean, Distributed representations of words and phrases
        and their compositionality, 2013. Levy, Goldberg, Neural word embedding as implicit matrix
        factorization, 2014. Ji, Satish, Li, Dubey, Parallelizing word2vec in shared and
        distributed memory, 2016. Niu, Recht, Ré, Wright, Hogwild!, 2011. Su Jianlin,
        “噪声对比估计”杂谈：曲径通幽之妙, spaces.ac.cn/archives/5617, 2018.
    """
    chosen = Settings(**settings)
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1. Received: threads={threads}.")
    stream = read_tokens(source, min_count=min_count)
    if chosen.hierarchical and len(stream.words) < 2:
        raise ValueError(
            "`hierarchical` needs at least two words that are used `min_count` times. "
            f"Received: {stream.words[0]!r} alone, min_count={min_count}."
        )
    state = TrainingState(checkpoint, checkpoint_seconds)
    tables, bags, buckets = train_tables(
        stream, chosen, threads=threads, rng=rng, state=state, report=report
    )
    words = len(stream.words)
    vectors = _composed(tables.inputs, bags, words)[:, : chosen.width]
    if not np.isfinite(vectors).all():
        raise ValueError(
            "`rate` is too large for this text: steps grow and grow, until vectors are no numbers. "
            f"Received: rate={chosen.rate}."
        )
    pieces = None
    if chosen.subwords is not None:
        own = np.ascontiguousarray(tables.inputs[words:, : chosen.width])
        pieces = PieceVectors(chosen.subwords, buckets, own)
    return WordVectors(stream.words, np.ascontiguousarray(vectors), stream.counts, pieces)


def train_tables(
    stream: TokenStream,
    settings: Settings,
    *,
    threads: int = 1,
    rng=0,
    state: TrainingState | None = None,
    report: Report | None = None,
) -> tuple[Tables, Bags, np.ndarray]:
    """Returns both tables of vectors, which input rows make up each word, and buckets of pieces."""
    words = len(stream.words)
    *bag, buckets = bags_of_pieces(stream.words, settings.subwords)
    bags, paths = Bags(*bag), _paths(stream.counts, settings)
    noise = alias_table(stream.counts.astype(np.float64) ** settings.noise_power)
    draws = Draws(keep_thresholds(stream.counts, settings.sample), *noise)
    seed = int(np.random.default_rng(rng).integers(1 << 48))
    tables = _start(words, words + buckets.size, settings, seed)
    bounds = _bounds(stream.ids)
    pieces = len(bounds) - 1
    total = pieces * settings.epochs
    state = state or TrainingState(None)
    mark = digest(stream, asdict(settings), seed) if state.path else ""
    first = state.load(tables, settings.width, mark)
    longest = int(np.diff(bounds).max(initial=0))
    outputs = 1 + settings.negative + int(np.diff(paths.starts).max())
    shape = longest, settings.window, outputs, tables.inputs.shape[1]
    rooms = [work_room(*shape) for _ in range(min(threads, max(1, total - first)))]

    def train(number: int, room: Room) -> float:
        piece = stream.ids[bounds[number % pieces] : bounds[number % pieces + 1]]
        rates = [_rate(settings, (number + end) / total) for end in (0, 1)]
        plan = Plan(settings.window, settings.negative, settings.cbow, *rates)
        # Its own random numbers: they do not depend on threads, nor on a break before it.
        own = int(np.random.default_rng([seed, number]).integers(1 << 48))
        train_piece(piece, tables, draws, paths, bags, plan, room, own)
        return float(room.loss[0] / max(room.loss[1], 1.0))

    # Threads wait for each other only before the state is written.
    step = ROUND * len(rooms) if state.path else max(1, total)
    for start in range(first, total, step):
        numbers = range(start, min(start + step, total))
        for number, loss in zip(numbers, _in_turn(train, rooms, numbers), strict=True):
            if report is not None:
                done = (number + 1) // pieces * stream.ids.size + bounds[(number + 1) % pieces]
                report(done, settings.epochs * stream.ids.size, loss)
        state.save(tables, settings.width, numbers.stop, last=numbers.stop == total)
    return tables, bags, buckets


def _paths(counts: np.ndarray, settings: Settings) -> Paths:
    if not settings.hierarchical:
        none = np.zeros(counts.size + 1, np.int64)
        return Paths(none, np.empty(0, np.int32), np.empty(0, np.int8))
    starts, nodes, ways = huffman_paths(counts)
    # The rows of nodes come after those of words.
    return Paths(starts, nodes + np.int32(counts.size), ways)


def _start(words: int, rows: int, settings: Settings, seed: int) -> Tables:
    """Small random inputs, from -1 / width to 1 / width, and outputs of zeros."""
    width = -(-settings.width // LANES) * LANES
    inputs = _aligned(rows, width)
    rng = np.random.default_rng([seed])
    for first in range(0, rows, PIECE):
        part = inputs[first : first + PIECE, : settings.width]
        part[:] = (2 * rng.random(part.shape, dtype=np.float32) - 1) / settings.width
    return Tables(inputs, _aligned(words + (words - 1) * settings.hierarchical, width))


def _aligned(rows: int, width: int) -> np.ndarray:
    """Zeros, float32 (rows, width), on a border of 64 bytes: no register spans two cache lines."""
    room = np.zeros(rows * width + LANES, dtype=np.float32)
    skip = -room.ctypes.data % 64 // 4
    return room[skip : skip + rows * width].reshape(rows, width)


def _bounds(ids: np.ndarray) -> list[int]:
    """Where pieces begin and end: after a sentence, or within one that is longer than a piece."""
    bounds = [0]
    while ids.size - bounds[-1] > PIECE:
        at = bounds[-1] + PIECE
        found = np.flatnonzero(ids[at : at + PIECE] == END)
        bounds.append(at + (int(found[0]) + 1 if found.size else 0))
    return [*bounds, ids.size] if bounds[-1] < ids.size else bounds


def _rate(settings: Settings, share: float) -> float:
    return settings.rate + (settings.end_rate - settings.rate) * share


def _in_turn(train, rooms: list[Room], numbers: range) -> Iterator[float]:
    """What training on each piece returns, in order; as many at a time as there are rooms."""
    if len(rooms) == 1:
        yield from (train(number, rooms[0]) for number in numbers)
        return
    free: SimpleQueue[Room] = SimpleQueue()
    for room in rooms:
        free.put(room)

    def run(number: int) -> float:
        room = free.get()
        try:
            return train(number, room)
        finally:
            free.put(room)

    with ThreadPoolExecutor(len(rooms)) as pool:
        waiting: deque[Future[float]] = deque()
        try:
            for number in numbers:
                waiting.append(pool.submit(run, number))
                if len(waiting) > 2 * len(rooms):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            # After an error, or a report that raises, nothing new is begun.
            for future in waiting:
                future.cancel()


def _composed(inputs: np.ndarray, bags: Bags, words: int) -> np.ndarray:
    """The vector of each word, of all rows that make it up."""
    if inputs.shape[0] == words:
        return inputs
    found = np.empty((words, inputs.shape[1]), dtype=np.float32)
    for word in range(words):
        rows = bags.rows[bags.starts[word] : bags.starts[word + 1]]
        found[word] = inputs[rows].sum(axis=0) * bags.scale[word]
    return found
