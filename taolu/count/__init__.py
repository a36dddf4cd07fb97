"""Ids to counts, exactly and in bounded memory."""

from taolu.count.ngrams import count_ngrams
from taolu.count.words import count_words

__all__ = ["count_ngrams", "count_words"]
