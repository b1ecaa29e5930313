"""The log format, pure: bytes in, bytes out. No clock, no disk, no network."""
