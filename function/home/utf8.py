"""Names of files are UTF-8, whatever the locale says: the same file has the same name on Drive from every host.

Python decodes names by the locale unless it runs in its UTF-8 mode, which it can only be started in.
"""

import os
import sys


def is_on() -> bool:
    """Whether names of files are decoded as UTF-8 (bytes that aren't are kept: surrogateescape)."""
    return sys.getfilesystemencoding() == "utf-8"


def restart_where_off() -> None:
    """Start this program again in UTF-8 mode where the locale is another one. Before anything else is done."""
    if not is_on():
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606 - itself
