"""HTTP entry point, target `drive_upload`: request in, response out. `function.http` has the rest."""

import functions_framework
from flask import Request, Response, current_app

from function import log_format
from function.http import respond, speak_json

log_format.set_up()
speak_json(current_app)


@functions_framework.http
def drive_upload(request: Request) -> Response:
    """Upload what the request names, and answer as the contract says."""
    return respond(request)
