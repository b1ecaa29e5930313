"""A careless server: says what it heard, line by line, and answers whatever looks like a request. For tests of the gateway."""

import sys

# As some servers do, it takes a lone carriage return for the end of a line.
heard = open(sys.argv[1], "ab", buffering=0)  # noqa: SIM115, PTH123 - as long as it lives
for line in sys.stdin.buffer:
    heard.write(line)
    for part in line.splitlines():
        if b'"die"' in part:
            sys.exit(3)
        if b'"huge"' in part:
            sys.stdout.buffer.write(b'{"jsonrpc":"2.0","id":1,"result":"' + b"x" * (40 << 20) + b'"}\n')
        if b'"echo"' in part:
            sys.stdout.buffer.write(part.replace(b'"method"', b'"result":{},"was"') + b"\n")
        sys.stdout.buffer.flush()
