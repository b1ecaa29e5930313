"""The vocabulary: what a submitter may say happened, and how it becomes canonical bytes."""
