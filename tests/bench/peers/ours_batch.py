"""One invocation with several files, in a process of its own: `ours_batch.py PATH...`, each relative to the home."""

import json
import sys

from function.app import current

files = [{"path": path} for path in sys.argv[1:]]
answer = current().handle(json.dumps({"files": files}).encode(), {})
sys.exit(0 if answer.code == 200 else f"{answer.code}: {answer.document()}")
