"""Google's own client for Drive, google-api-python-client: from its shipped discovery document to ready requests.

The document builds and checks each request, `HttpRequest` sends it through our `http` object, once.
"""

import importlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, Final

import msgspec

METHODS: Final[Mapping[str, tuple[str, ...]]] = {
    "about": ("get",),
    "files": ("create", "generateIds", "get", "list", "update"),
    "revisions": ("list",),
}
"""The part of the API that the job speaks, by resource; building all of it takes ten times as long."""

_UNUSED: Final = (
    "google.api_core.client_options",
    "google.auth.credentials",
    "google.auth.transport.mtls",
    "google.oauth2.service_account",
    "google_auth_httplib2",
    "httplib2.auth",
    "oauth2client",
    "oauth2client.client",
)
"""What the client imports to authorise requests, which we do ourselves: 0.35 s of its 0.45 s, at each cold start."""


class _Placeholder(ModuleType):
    """Stands for a module that the client names; asked for anything of it, it imports the module and passes that on."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = importlib.import_module(self.__name__)
        try:
            return getattr(module, name)
        except AttributeError:
            return importlib.import_module(f"{self.__name__}.{name}")


@contextmanager
def _without_unused() -> Iterator[None]:
    """While it lasts, an import of what is unused gives a placeholder; afterwards everyone imports the module itself.

    What imports those modules for itself (credentials, when they are renewed) comes after this: a token is first asked
    for by the first request, and a request is built by what is imported here.
    """
    placeholders = {name: _Placeholder(name) for name in _UNUSED if name not in sys.modules}
    sys.modules.update(placeholders)
    try:
        yield
    finally:
        for name, placeholder in placeholders.items():
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]
            package, _, inner = name.rpartition(".")
            if package in sys.modules and not hasattr(sys.modules[package], inner):
                setattr(sys.modules[package], inner, placeholder)


with _without_unused():
    from googleapiclient import discovery, http, version
    from googleapiclient.discovery_cache import get_static_doc
    from googleapiclient.errors import HttpError

__all__ = ["ODD_ANSWER", "USER_AGENT", "HttpError", "HttpRequest", "MediaUpload", "Service", "service"]

ODD_ANSWER: Final = (ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What the client raises, besides HttpError, where an answer or a refusal is other JSON than it expects."""

HttpRequest: Any = http.HttpRequest
MediaUpload: Any = http.MediaUpload

USER_AGENT: Final = f"google-api-python-client/{version.__version__} (gzip)"
"""Google compresses answers for those who say gzip here and in Accept-Encoding. Source: Drive guide, 'Improve
performance'."""


class Service(msgspec.Struct, frozen=True):
    """The resources of the API at one endpoint; their methods make `HttpRequest`s. Safe for threads."""

    about: Any
    files: Any
    revisions: Any


@lru_cache(maxsize=8)
def service(endpoint: str) -> Service:
    """Drive's API v3 below that base URL, uploads included."""
    document = json.loads(get_static_doc("drive", "v3"))
    document.pop("mtlsRootUrl", None)
    document["rootUrl"] = f"{endpoint}/"
    document["resources"] = {
        name: {"methods": {method: document["resources"][name]["methods"][method] for method in methods}}
        for name, methods in METHODS.items()
    }
    # The universe is named, since the client would take another one from the environment and send tokens there.
    root = discovery.build_from_document(
        document, http=_Nothing(), client_options={"universe_domain": "googleapis.com"}
    )
    return Service(root.about(), root.files(), root.revisions())


class _Nothing:
    """In the place of a connection: each request is sent through the one that it is given."""
