"""Other audit logs and databases, fed the same records in the same run. Each peer runs in a process, and an environment, of its own."""
