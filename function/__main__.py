"""The same job from a command line: `serve` the HTTP function, or `upload` one path and exit.

Exit codes follow sysexits.h: 0 done, 64 usage, 65 failed for good, 75 try again later.
"""

import argparse
import json
import os
import signal
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from function.serving.app import Answer

EX_OK, EX_USAGE, EX_DATAERR, EX_TEMPFAIL = 0, 64, 65, 75


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(EX_USAGE, f"{self.prog}: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run a command; its exit code."""
    parser = _Parser(prog="python -m function", description="Upload files of the local zone to Google Drive.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    commands.add_parser("serve", help="the HTTP function on $PORT (default 8080)")
    upload = commands.add_parser("upload", help="upload one file and print the answer's JSON")
    upload.add_argument("path", help="absolute, or relative to the folder of paths.json")
    upload.add_argument("--metadata", metavar="JSON", help="a JSON object that travels with the file")
    upload.add_argument("--if-exists", choices=["keep_both", "skip", "fail", "new_revision"])
    upload.add_argument("--account", help="only this account of the settings")
    options = parser.parse_args(arguments)
    return _serve() if options.command == "serve" else _upload(options)


def _serve() -> int:
    """Replace this process by functions-framework, so that signals reach it."""
    main_file = str(Path(__file__).with_name("main.py"))
    root = str(Path(__file__).resolve().parent.parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    code = """
import sys
from functions_framework._cli import _cli
from function.serving import shutdown
from gunicorn import config
config.ControlSocketDisable.default = True  # it would be a socket in the user's home that nobody asked for
config.PostWorkerInit.default = staticmethod(lambda worker: shutdown.on_sigterm())
sys.argv[0] = 'functions-framework'
_cli()
"""
    os.execv(  # noqa: S606 - no shell is wanted
        sys.executable, [sys.executable, "-c", code, "--source", main_file, "--target", "drive_upload"]
    )


def _upload(options: argparse.Namespace) -> int:
    from function.core.errors import UploadError
    from function.serving import json_logs, shutdown
    from function.serving.app import current, refusal

    json_logs.set_up()
    try:
        body = json.dumps(_payload(options)).encode()
    except ValueError as error:
        print(f"--metadata: not valid JSON ({error}).", file=sys.stderr)
        return EX_USAGE
    try:
        app = current()
    except UploadError as error:
        return _print(refusal(uuid.uuid4().hex, error, from_queue=False))
    shutdown.on_sigterm()
    signal.signal(signal.SIGINT, lambda *_: shutdown.stop("Interrupted; call again to go on.", 0))
    return _print(app.handle(body, {}))


def _payload(options: argparse.Namespace) -> dict[str, Any]:
    payload = {"path": options.path, "account": options.account, "if_exists": options.if_exists}
    if options.metadata is not None:
        payload["metadata"] = json.loads(options.metadata)
    return {key: value for key, value in payload.items() if value is not None}


def _print(answer: "Answer") -> int:
    """Show the answer's JSON; its exit code."""
    json.dump(answer.document(), sys.stdout, ensure_ascii=True, indent=2)
    print(flush=True)
    return exit_code(answer.code)


def exit_code(http_code: int) -> int:
    """The exit code for an answer's HTTP code."""
    if http_code == 200:
        return EX_OK
    if http_code == 400:
        return EX_USAGE
    return EX_TEMPFAIL if http_code == 503 else EX_DATAERR


def leave(code: int) -> NoReturn:
    """End the process at once.

    A read that hangs must not keep it, and to free what the kernel frees anyway takes as long as half a request.
    """
    with suppress(BrokenPipeError):  # who read the output has had enough of it
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    leave(main())
