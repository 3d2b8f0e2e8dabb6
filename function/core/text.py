"""Texts of strangers inside our sentences."""

QUOTED_MAX = 80
"""Characters of a stranger's text that a message repeats."""


def quoted(text: str) -> str:
    """The text in quotes and shortened, what can't be printed escaped: it is fit for any message."""
    shown = repr(text[:QUOTED_MAX])
    return f"{shown[:-1]}…{shown[-1]}" if len(text) > QUOTED_MAX else shown
