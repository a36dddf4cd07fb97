"""What a text contains: new words, the minimum-entropy lexicon, and the climb that learns them."""
