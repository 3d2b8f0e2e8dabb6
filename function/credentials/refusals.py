"""What a token endpoint says about credentials -> our sentence: who is refused, why, and what a person does about it.

A sentence is a row of `_ROWS`, chosen by the kind of the token file and by `error` and `error_description` of Google's
answer. Nothing else of an answer is told, and never a library's exception: both can quote what was sent.
Source: RFC 6749 section 5.2; Google guides "Using OAuth 2.0 to Access Google APIs", "… for Server to Server
Applications"; IAM Credentials API; AIP-4117.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from function.core.errors import CredentialsError
from function.credentials.token_file import AUTHORIZE, DRIVE_SCOPE, METADATA, TokenFile

_PERSON: Final = ("authorized_user", "pydrive2")
_KEY: Final = ("service_account", "pydrive2_service_account")
_FEDERATED: Final = ("external_account", "external_account_authorized_user")
_ACTING: Final = ("impersonated_service_account", "external_account", METADATA)
_ALL: Final = (*_PERSON, *_KEY, *_FEDERATED, *_ACTING)

_EXPIRED: Final = "credentials_expired"
_INVALID: Final = "credentials_invalid"


class _Row(msgspec.Struct, frozen=True):
    kinds: tuple[str, ...]
    error: str
    """A regular expression for the whole of `error`."""
    description: str
    """A regular expression for a part of `error_description`, in any case."""
    sentence: str
    """With {error}, {again}, {account}, {subject}, {client} filled in."""
    reason: str = _INVALID
    delegated: bool | None = None
    """Only with (True) or without (False) a subject."""


_ROWS: Final = (
    _Row(
        _ALL,
        "invalid_grant",
        r"short-lived token|reasonable timeframe|\biat\b.*\bexp\b|token used too (early|late)",
        "Google finds the signed request too early or too late ({error}): this machine's clock is wrong; set it, "
        "'doctor' compares it with Google's",
    ),
    _Row(
        _ALL,
        "invalid_grant",
        r"invalid jwt signature|no valid (verification|public) key",
        "the key of {account} was deleted or disabled, or is another account's ({error}): make a new key in the "
        "Google Cloud console (IAM, Service Accounts, Keys) and put its JSON there",
    ),
    _Row(
        _ALL,
        "invalid_grant",
        r"invalid email|not a valid email|invalid user",
        "{subject} is no user that can be acted for ({error}): mend the account's subject in the settings",
        delegated=True,
    ),
    _Row(
        (*_KEY, *_ACTING),
        "invalid_grant|NOT_FOUND",
        r"account not found|gaia id not found|not found",
        "Google knows no service account {account} ({error}): it was deleted, or the project with it; restore it or "
        "use another account's key",
    ),
    _Row(
        (*_KEY, *_ACTING),
        "unauthorized_client|access_denied",
        "",
        "{account} may not act for {subject} ({error}): in the Google Workspace Admin console (Security, API controls, "
        "Domain-wide delegation) allow client id {client} the scope " + DRIVE_SCOPE,
        delegated=True,
    ),
    _Row(
        _KEY,
        "unauthorized_client|access_denied|invalid_client|deleted_client|disabled_client",
        "",
        "Google doesn't let {account} in ({error}): it is disabled or deleted; enable it in the Google Cloud console "
        "(IAM, Service Accounts)",
    ),
    _Row(
        _KEY,
        "invalid_grant",
        "",
        "Google doesn't accept the request signed for {account} ({error}); check that the key is current, in the "
        "Google Cloud console (IAM, Service Accounts, Keys)",
    ),
    _Row(_KEY, "invalid_scope", "", "{account} isn't granted the Drive scope ({error}); allow it " + DRIVE_SCOPE),
    _Row(
        _ACTING,
        "PERMISSION_DENIED|SERVICE_DISABLED",
        r"has not been used|is disabled|SERVICE_DISABLED",
        "the IAM Service Account Credentials API is off in the project ({error}): enable iamcredentials.googleapis.com",
    ),
    _Row(
        _ACTING,
        "PERMISSION_DENIED|FORBIDDEN",
        "",
        "these credentials may not act as {account} ({error}): grant them roles/iam.serviceAccountTokenCreator on it "
        "(a workload pool: roles/iam.workloadIdentityUser)",
    ),
    _Row(
        _FEDERATED,
        "invalid_target",
        "",
        "Google knows no such workload identity pool or provider ({error}): mend audience, or make the file anew",
    ),
    _Row(
        _FEDERATED,
        "unauthorized_client",
        "",
        "the provider's attribute condition doesn't let this workload in ({error}): mend the condition",
    ),
    _Row(
        ("external_account",),
        "invalid_grant|invalid_request|invalid_subject_token",
        "",
        "Google doesn't accept the workload's own token ({error}): check its issuer, audience and expiry against the "
        "provider's, and this machine's clock",
    ),
    _Row(
        _ALL,
        "invalid_rapt|rapt_required",
        "",
        "a session rule of the organisation wants a new sign-in ({error}): {again}",
        _EXPIRED,
    ),
    _Row(
        _ALL,
        "invalid_grant",
        r"invalid_rapt|rapt_required|reauth",
        "a session rule of the organisation wants a new sign-in ({error}): {again}",
        _EXPIRED,
    ),
    _Row(
        _ALL,
        "invalid_grant",
        "",
        "the grant was revoked or has expired ({error}; tokens of an app in testing live 7 days): authorize again, "
        "{again}",
        _EXPIRED,
    ),
    _Row(
        _ALL,
        "invalid_client|unauthorized_client|deleted_client|disabled_client",
        "",
        "Google doesn't accept its client id and secret ({error}); {again} with current ones",
    ),
    _Row(
        _ALL,
        "invalid_scope",
        "",
        "the grant doesn't cover Drive ({error}); {again}, with --scope drive (or drive.file, which sees only "
        "what this program makes)",
    ),
    _Row(
        _ALL,
        "admin_policy_enforced|access_denied|org_internal",
        "",
        "an administrator doesn't allow this access ({error}); ask them to",
    ),
)


def refusal(file: TokenFile, error: str, description: str) -> CredentialsError:
    """The error for an OAuth `error` (or the `status` of another Google API) and what describes it."""
    # Only what looks like a code is repeated: an answer may echo what it was sent.
    name = error if re.fullmatch(r"[A-Za-z_]{1,40}", error) else "no reason given"
    for row in _ROWS:
        if (
            file.kind in row.kinds
            and re.fullmatch(row.error, name)
            and re.search(row.description, description, re.IGNORECASE)
            and row.delegated in (None, file.subject is not None)
        ):
            return CredentialsError(
                f"{file.path}: {row.sentence.format(error=name, **_names(file))}.", reason=row.reason
            )
    said = redacted(description, file)
    told = f"{name}; Google says: {said}" if said else name
    again = f"{AUTHORIZE} or mend the file" if file.kind in _PERSON else "mend the file or what it names"
    return CredentialsError(f"{file.path}: no access token is given for these credentials ({told}); {again}.")


def _names(file: TokenFile) -> dict[str, str]:
    fields = file.fields
    address = str(fields.get("service_account_impersonation_url") or "")
    acted_as = re.search(r"/serviceAccounts/([^/:]+):", address)
    account = str(fields.get("client_email") or fields.get("_service_account_email") or (acted_as and acted_as[1]))
    is_gclouds = file.is_default or file.kind == "impersonated_service_account"
    again = "run 'gcloud auth application-default login'" if is_gclouds else AUTHORIZE
    return {
        "again": again,
        "account": account if re.fullmatch(r"[\w.-]{1,100}@[\w.-]{1,100}", account) else "the service account",
        "subject": str(file.subject or "a user"),
        "client": str(fields.get("client_id") or "of the service account"),
    }


_WORD_SHOWN_MAX = 24
"""Characters of a word that is repeated: tokens, keys and signatures are longer."""


def redacted(text: str, file: TokenFile) -> str:
    """Google's explanation on one line, without anything that the file holds and without what looks like a secret."""
    kept = text[:1000]
    for secret in sorted(set(_strings(file.fields)), key=len, reverse=True):
        kept = kept.replace(secret, "…")
    words = ("…" if len(word) > _WORD_SHOWN_MAX else word for word in kept.split())
    return "".join(each if each.isprintable() else "…" for each in " ".join(words))[:200].rstrip(".")


def _strings(value: Any) -> Iterator[str]:
    """All texts of a document, of four characters or more: shorter ones would cut words and guard nothing."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _strings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _strings(each)
    elif isinstance(value, str) and len(value) >= 4:
        yield value
