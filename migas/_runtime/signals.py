"""The signals' names, for what people read. What is done about a signal, `endings` knows."""

from __future__ import annotations


def name_signal(number: int) -> str:
    """Return a signal's name, or `signal 99` if it has none.

    Example:
        >>> name_signal(15)
        'SIGTERM'
    """
    import signal  # which costs an import of `enum`

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
