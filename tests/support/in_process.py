"""The function in this process, called as over HTTP."""

import os
from unittest.mock import patch

from werkzeug.test import Client

from tests.support.home import PROJECT


def function_client() -> Client:
    """A caller of the function under functions-framework."""
    import functions_framework

    with patch.dict(os.environ):  # the file sets a default for its server
        app = functions_framework.create_app("drive_upload", str(PROJECT / "function/main.py"))  # type: ignore[no-untyped-call]
    return Client(app)
