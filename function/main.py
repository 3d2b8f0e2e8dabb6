"""HTTP entry point, target `drive_upload`: request in, response out. `function.serving.flask_adapter` has the rest.

functions-framework loads this file by its path, from any folder: the package `function` is the folder it lies in.
"""

import importlib.util
import os
import sys
from pathlib import Path

if "function" not in sys.modules:
    _here = Path(__file__).resolve().parent
    _spec = importlib.util.spec_from_file_location(
        "function", _here / "__init__.py", submodule_search_locations=[str(_here)]
    )
    assert _spec
    assert _spec.loader
    sys.modules["function"] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules["function"])

import functions_framework
from flask import current_app

from function.serving.flask_adapter import drive_upload, speak_json
from function.startup import collect_garbage_rarely, give_memory_back
from function.telemetry import log_to_stderr

THREADS = "128"
"""Of functions-framework's own server, where THREADS doesn't say otherwise. A connection that is silent, or sends
slowly, keeps one of them, and by default there are only four for each processor."""

# Read when that server starts, which is after this file is loaded.
os.environ.setdefault("THREADS", THREADS)
os.environ.setdefault("FORWARDED_ALLOW_IPS", "")  # else a caller on this machine may name another SCRIPT_NAME
log_to_stderr()
collect_garbage_rarely()
give_memory_back()
speak_json(current_app)
functions_framework.http(drive_upload)
