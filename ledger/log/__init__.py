"""The log itself: the only writer, what it stores, and how it is served as tiles and proofs."""
