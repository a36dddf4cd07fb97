"""Whole jobs from end to end, where the two halves meet: labelled text in, a model folder out.

tag     words and entities: every character gets a tag, or every span a score
"""

from taolu import nn  # isort: skip  # First, because it chooses the backend of Keras.
from taolu.tasks.tag import train_tagger
from taolu.tasks.tag_settings import TagSettings
from taolu.tasks.tagger import Tagger

__all__ = ["TagSettings", "Tagger", "train_tagger"]

del nn
