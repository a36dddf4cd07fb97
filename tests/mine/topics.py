"""A made text of planted topics, and how well word vectors find them."""

import numpy as np


def topics_text(sentences, seed=0, topics=20, words=30):
    """Sentences of one topic each, half of their words from no topic; the topic of each word."""
    rng = np.random.default_rng(seed)
    chances = 1 / np.arange(1, words + 1)
    own = rng.choice(words, (sentences, 12), p=chances / chances.sum())
    ids = own + words * rng.integers(0, topics, (sentences, 1))
    common = rng.integers(0, 300, ids.shape) + words * topics
    ids = np.where(rng.random(ids.shape) < 0.5, common, ids)
    return [[str(i) for i in line] for line in ids.tolist()]


def topic_precision(found, topics=20, words=30):
    """The share of ten nearest words of topics that are of the topic of the word."""
    own = [word for word in found.words if int(word) < topics * words]
    hits = [
        int(near) // words == int(word) // words and int(near) < topics * words
        for word in own
        for near, _ in found.most_similar(word)
    ]
    return float(np.mean(hits))
