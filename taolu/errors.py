"""What can go wrong with files, as one small family of exceptions.

TaoluError
├── CorpusError      a text cannot be read, or holds nothing to learn from
├── CodebookError    a saved codebook is missing, damaged or of another version
├── ModelError       a saved model is missing, damaged or of another version
└── WorkerError      a worker process died before it finished

Wrong arguments are `ValueError` and `TypeError`, as everywhere in Python.
"""


class TaoluError(Exception):
    """The base of every error this package raises about files and processes."""


class CorpusError(TaoluError):
    """A text cannot be read; the message names the file and, where known, the line."""


class CodebookError(TaoluError):
    """A saved codebook cannot be used; the message names the file and the rule."""


class ModelError(TaoluError):
    """A saved model cannot be used; the message names the file and the rule."""


class WorkerError(TaoluError):
    """A worker process died (killed, out of memory) before it returned its result."""
