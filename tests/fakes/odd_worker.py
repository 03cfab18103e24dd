"""A worker that is loaded and then does as its arguments say, run as a script.

Arguments: what it writes when it has the policy, and what when it has a question, in
hexadecimal; then, if given, whether it ends (`end`) instead of staying.
"""

import os
import sys
import time
from collections.abc import Iterator


def frames() -> Iterator[None]:
    """Tell of each frame that was read as a whole."""
    held = b""
    while piece := os.read(0, 1 << 16):
        held += piece
        while len(held) >= 4 and len(held) >= 4 + int.from_bytes(held[:4], "big"):
            held = held[4 + int.from_bytes(held[:4], "big") :]
            yield


def main() -> None:
    """Read the terms and the policy, write; read a question, write; stay or end."""
    ready, answer, *more = sys.argv[1:]
    read = frames()
    next(read), next(read)
    os.write(0, bytes.fromhex(ready))
    next(read, None)
    os.write(0, bytes.fromhex(answer))
    if not more:
        time.sleep(60)


main()
