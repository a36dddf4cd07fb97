"""What a text contains: new words, the minimum-entropy lexicon, and the climb that learns them."""

# `discover` is a function and also the file it lives in: see `taolu.bits`.
from taolu.mine.discover import discover

__all__ = ["discover"]
