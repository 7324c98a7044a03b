"""What can go wrong here; each message is one sentence a person can act on."""


class BootstrapError(Exception):
    """Nothing more can be tried; the message says what to do."""


class UnavailableError(Exception):
    """One source cannot provide a tool; the message says why, and the next source is tried."""


class CancelledError(Exception):
    """Another step failed or the user pressed Ctrl-C; this one stops without a word."""
