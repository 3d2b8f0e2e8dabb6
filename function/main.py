"""HTTP entry point, target `drive_upload`: request in, response out. `function.serving.flask_adapter` has the rest."""

import functions_framework
from flask import Request, Response, current_app

from function.serving import json_logs
from function.serving.flask_adapter import respond, speak_json

json_logs.set_up()
speak_json(current_app)


@functions_framework.http
def drive_upload(request: Request) -> Response:
    """Upload what the request names, and answer as the contract says."""
    return respond(request)
