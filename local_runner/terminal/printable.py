"""Names that can be shown, whatever bytes they are made of."""


def printable(text: str) -> str:
    r"""The text with every character that isn't one escaped: bytes that aren't UTF-8 as \xff, controls as \n, \x1b."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode()
