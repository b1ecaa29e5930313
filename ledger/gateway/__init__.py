"""The MCP gateway: stands between a client and a server, passes everything on, and records what is done.

stdio.py, http.py     the two transports: bytes in, bytes out
gate.py               what happens to each message of the client: understood, judged, recorded, then passed on
hearing.py            what the server says: what came of calls, what its tools are said to be
session.py            which answer belongs to which request
message.py            what a message is, and which ones could mean one thing here and another at the server
"""
