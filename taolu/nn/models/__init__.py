"""Models: layers put together with the loss they learn by and the way they answer."""

from taolu.nn.models.tag_model import TagModel

__all__ = ["TagModel"]
