"""What lies on the disk: hot files, sealed segments, indexes, the head anchor. Nothing here decides what may be written."""
