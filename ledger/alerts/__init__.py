"""Standing rules over what is recorded, and delivery of what they find (docs/alerts.md, docs/adr/0021)."""
