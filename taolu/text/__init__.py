"""Characters in, ids out, and back: streams of sentences from files, and one alphabet."""
