"""AgentDojo runs as records."""
