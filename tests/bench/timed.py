"""What one command took: `python -I -S timed.py OUTPUT COMMAND...` prints {"wall_s", "cpu_s", "peak_bytes", "code"}.

A process of its own, as small as Python gets: the kernel counts a parent's peak at the fork among the child's.
"""

import json
import os
import sys
import time


def main() -> None:
    """Run the command, its stdout and stderr into the file OUTPUT."""
    output, command = sys.argv[1], sys.argv[2:]
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    _, status, usage = os.wait4(child, 0)
    took = {
        "wall_s": time.perf_counter() - start,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
