"""A local signer: a log's key in a process of its own, asked over a unix socket by the ssh-agent protocol (docs/keys.md)."""
