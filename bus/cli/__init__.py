"""The command `assent`: thin commands over the same calls the library has.

Rule: a command's module is light to import; what it needs is imported when it runs,
so that `assent --help` does not wait for what it does not use.
"""

from bus.cli.entry import main

__all__ = ["main"]
