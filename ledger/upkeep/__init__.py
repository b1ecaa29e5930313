"""What keeps a log for years: backup and restore, migration, retention, export and import."""
