"""One module per dialect: a body from outside becomes record bytes."""
