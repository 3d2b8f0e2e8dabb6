"""Writing to a descriptor until all of it is written."""

import os


def write_at(fd: int, content: bytes, offset: int) -> int:
    """All of the content from that offset on; the offset behind it. Raises OSError, some of it being written then."""
    while content:
        count = os.pwrite(fd, content, offset)
        content, offset = content[count:], offset + count
    return offset
