"""taolu (套路): to learn is to describe the same text in fewer bits.

>>> import taolu
>>> places = "北京", "天安门"
>>> lines = [a + b + c for a in "我你他在去看" for b in places for c in "好大美吧吗了"]
>>> book = taolu.learn(taolu.Corpus.from_lines(lines))
>>> taolu.cut("他在北京天安门", book)
['他', '在', '北京', '天安门']
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Names are looked up when first used, so that `import taolu` stays fast.
_HOMES = {
    "Codebook": "taolu.mine.codebook",
    "CodebookError": "taolu.errors",
    "Corpus": "taolu.text.corpus",
    "CorpusError": "taolu.errors",
    "Segmenter": "taolu.mine.cut",
    "TaoluError": "taolu.errors",
    "WorkerError": "taolu.errors",
    "count_ngrams": "taolu.count.ngrams",
    "count_words": "taolu.count.words",
    "cut": "taolu.mine.cut",
    "discover": "taolu.mine.discover",
    "learn": "taolu.mine.learn",
}

__all__ = [
    "Codebook",
    "CodebookError",
    "Corpus",
    "CorpusError",
    "Segmenter",
    "TaoluError",
    "WorkerError",
    "count_ngrams",
    "count_words",
    "cut",
    "discover",
    "learn",
]

if TYPE_CHECKING:
    from taolu.count.ngrams import count_ngrams
    from taolu.count.words import count_words
    from taolu.errors import CodebookError, CorpusError, TaoluError, WorkerError
    from taolu.mine.codebook import Codebook
    from taolu.mine.cut import Segmenter, cut
    from taolu.mine.discover import discover
    from taolu.mine.learn import learn
    from taolu.text.corpus import Corpus


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'taolu' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
