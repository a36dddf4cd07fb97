"""How a tagger is made and trained: every choice, with the default that a newcomer needs."""

import math
from dataclasses import dataclass

from taolu.nn.models.tag_network import ENCODERS
from taolu.tasks.tag_target import HEADS
from taolu.text.schemes import SCHEMES

_LEAST = {
    **dict.fromkeys(("width", "character_width", "pair_width", "epochs", "patience"), 1),
    **dict.fromkeys(("depth", "seed", "batch_characters"), 0),
    "longest": 16,
}


@dataclass(frozen=True)
class TagSettings:
    """How a tagger is made and trained.

    Attributes:
        encoder: convolution (fast), recurrent or transformer.
        head: softmax, memm, bi-memm, crf, or pointer, which scores spans and may find nested ones.
        scheme: Tags to learn: BIO, BMESO, ...; empty for BMES where text is cut into words, else
            BMESO.
        width: Width of the encoder.
        depth: Layers of the encoder; 0 for its default.
        character_width: Width of the vector of a character, unless vectors are given.
        pair_width: Width of the vector of a pair of characters.
        dropout: Rate at which units are dropped.
        mixed: Whether words of the codebook get vectors too, added to those of their characters.
        epochs: Most passes through the sentences.
        patience: Epochs without a better F1 after which training stops.
        learning_rate: Highest rate of Adam.
        batch_characters: Characters of a batch, padding included; 0 for 512 to 2,048, by the size
            of the data: a small one wants more steps.
        longest: Characters read at once; longer sentences are cut for training, and read in windows
            that overlap later.
        seed: Of weights, order, dropout and held-out sentences.
    """

    encoder: str = "convolution"
    head: str = "crf"
    scheme: str = ""
    width: int = 128
    depth: int = 0
    character_width: int = 64
    pair_width: int = 48
    dropout: float = 0.4
    mixed: bool = False
    epochs: int = 15
    patience: int = 4
    learning_rate: float = 2e-3
    batch_characters: int = 0
    longest: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        for name, choices in (("encoder", ENCODERS), ("head", HEADS), ("scheme", ("", *SCHEMES))):
            if getattr(self, name) not in choices:
                listed = ", ".join(filter(None, choices))
                raise ValueError(
                    f"`{name}` must be one of {listed}. Received: {getattr(self, name)!r}."
                )
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(
                    f"`{name}` must be at least {least}. Received: {name}={getattr(self, name)}."
                )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"`dropout` must lie in [0, 1). Received: dropout={self.dropout}.")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(
                "`learning_rate` must be positive and finite. "
                f"Received: learning_rate={self.learning_rate}."
            )
