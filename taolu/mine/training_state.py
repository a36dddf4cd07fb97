"""The state of a training in a file, so that what was killed goes on where it was."""

import hashlib
import json
import os
import time
import zipfile
from pathlib import Path

import numpy as np

from taolu.errors import ModelError
from taolu.mine.skip_gram import Tables
from taolu.mine.token_stream import TokenStream
from taolu.text.files import replacing_bytes

FORMAT = 1


def digest(stream: TokenStream, settings: dict, seed: int) -> str:
    """Returns what tells a training from others: a hash of its text, settings and seed."""
    found = hashlib.blake2b(json.dumps([FORMAT, settings, seed], sort_keys=True).encode())
    found.update("\n".join(stream.words).encode())
    for start in range(0, stream.ids.size, 1 << 22):
        found.update(stream.ids[start : start + (1 << 22)].data)
    return found.hexdigest()


class TrainingState:
    """Writes the tables of a training every so many seconds, and reads them back.

    Args:
        path: The file; None keeps no state.
        seconds: Least time between two writings.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None, seconds: float = 600.0):
        self.path = None if path is None else Path(path)
        self.seconds = seconds
        self.written = time.monotonic()
        self.mark = ""

    def load(self, tables: Tables, width: int, mark: str) -> int:
        """Fills the tables where there is a state, and returns how many pieces are done.

        Raises:
            ModelError: The file is no state of a training, or damaged.
            ValueError: It is the state of another training.
        """
        self.mark = mark
        if self.path is None or not self.path.exists():
            return 0
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                found, done = str(file["mark"]), int(file["done"])
                inputs, outputs = file["inputs"], file["outputs"]
        except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{self.path}: no state of a training, or damaged. Received: {error}. "
                "Remove it to train from the start."
            ) from error
        if found != mark:
            raise ValueError(
                "`checkpoint` must be of the same text, settings and seed; remove it to train "
                f"from the start. Received: checkpoint={str(self.path)!r}, of another training."
            )
        tables.inputs[:, :width] = inputs
        tables.outputs[:, :width] = outputs
        return done

    def save(self, tables: Tables, width: int, done: int, *, last: bool) -> None:
        """Writes the tables if it is time; the old state stays until the new one is whole."""
        if self.path is None or not (last or time.monotonic() - self.written >= self.seconds):
            return
        with replacing_bytes(self.path) as file:
            np.savez(
                file,
                mark=np.array(self.mark),
                done=np.array(done),
                inputs=tables.inputs[:, :width],
                outputs=tables.outputs[:, :width],
            )
        self.written = time.monotonic()
