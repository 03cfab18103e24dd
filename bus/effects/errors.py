"""What can be wrong with a hand-over or with the user's transaction."""

from bus.core.errors import BusError, UsageError


class StaleTokenError(BusError):
    """A later hand-over of the same message has been carried out: this one is over.

    Nothing is left to do for it; its transaction is rolled back.
    """

    code = "stale_token"

    def __init__(self, message: bytes, *, token: int, newest: int) -> None:
        super().__init__(
            f"message {message.hex()}: token {token} is older than {newest}, which has "
            "carried it out; this hand-over was given up, and its transaction is rolled "
            "back"
        )
        self.token = token
        self.newest = newest


class ForgottenError(BusError):
    """The inbox no longer knows whether the message was carried out, so it is not.

    Keep rows for longer than a message can wait; see `purge`.
    """

    code = "forgotten"

    def __init__(self, message: bytes, *, floor: bytes) -> None:
        super().__init__(
            f"message {message.hex()} is not newer than {floor.hex()}, up to which the "
            "inbox was purged; keep rows for longer than a message can wait"
        )


class TransactionError(UsageError):
    """The user's connection is not in the state that the call needs; the text says which."""

    code = "transaction"
