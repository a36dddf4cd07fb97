"""taolu (套路): to learn is to describe the same text in fewer bits."""

__version__ = "0.1.0"
