"""What Google says about credentials, in our words: for whom it is, what to do, and nothing of what was sent."""

from pathlib import Path
from typing import Any

import pytest

from function.credentials import refusals
from function.credentials.token_file import TokenFile

ADDRESS = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/s@p.iam.gserviceaccount.com"
FIELDS: dict[str, dict[str, Any]] = {
    "authorized_user": {"refresh_token": "1//0-secret", "client_id": "id", "client_secret": "GOCSPX-secret"},
    "pydrive2": {"refresh_token": "1//0-secret", "client_id": "id"},
    "service_account": {"client_email": "robot@p.iam.gserviceaccount.com", "client_id": "1234", "private_key": "PEM"},
    "pydrive2_service_account": {"_service_account_email": "robot@p.iam.gserviceaccount.com", "client_id": "1234"},
    "external_account": {"service_account_impersonation_url": f"{ADDRESS}:generateAccessToken"},
    "impersonated_service_account": {"service_account_impersonation_url": f"{ADDRESS}:generateAccessToken"},
    "metadata": {},
}
SHORT_LIVED = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your iat and exp "
    "values in the JWT claim."
)
UNAUTHORIZED = (
    "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the "
    "scopes requested."
)


def file(kind: str, subject: str | None = None) -> TokenFile:
    """A token file of the kind."""
    return TokenFile(Path("drive_token.json"), kind, "identity", FIELDS[kind], subject)


@pytest.mark.parametrize(
    ("kind", "subject", "error", "description", "reason", "words"),
    [
        ("authorized_user", None, "invalid_grant", "Token has been expired or revoked.", "expired", "authorize again"),
        ("pydrive2", None, "invalid_grant", "Bad Request", "expired", "live 7 days"),
        ("authorized_user", None, "invalid_grant", "reauth related error (invalid_rapt)", "expired", "session rule"),
        ("authorized_user", None, "invalid_client", "The OAuth client was not found.", "invalid", "client id"),
        ("authorized_user", None, "invalid_scope", "", "invalid", "drive.file"),
        ("authorized_user", None, "admin_policy_enforced", "", "invalid", "administrator"),
        ("authorized_user", None, "", "", "invalid", "no reason given"),
        ("authorized_user", None, "1//0-secret", "", "invalid", "no reason given"),
        ("authorized_user", None, "org_mystery", "Ask the oracle", "invalid", "Google says: Ask the oracle"),
        ("service_account", None, "invalid_grant", SHORT_LIVED, "invalid", "clock is wrong"),
        ("pydrive2_service_account", None, "invalid_grant", SHORT_LIVED, "invalid", "clock is wrong"),
        ("service_account", None, "invalid_grant", "Invalid JWT Signature.", "invalid", "make a new key"),
        ("service_account", None, "invalid_grant", "Invalid grant: account not found", "invalid", "was deleted"),
        ("service_account", None, "invalid_grant", "Invalid JWT: Failed audience check.", "invalid", "doesn't accept"),
        (
            "service_account",
            None,
            "invalid_client",
            "The OAuth client was not found.",
            "invalid",
            "disabled or deleted",
        ),
        ("service_account", "boss@example.com", "unauthorized_client", UNAUTHORIZED, "invalid", "client id 1234"),
        ("service_account", "boss@example.com", "invalid_grant", "Invalid email or User ID", "invalid", "boss@example"),
        ("pydrive2_service_account", "boss@example.com", "unauthorized_client", UNAUTHORIZED, "invalid", "delegation"),
        ("impersonated_service_account", None, "invalid_grant", "Bad Request", "expired", "gcloud auth"),
        (
            "impersonated_service_account",
            None,
            "PERMISSION_DENIED",
            "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist).",
            "invalid",
            "roles/iam.serviceAccountTokenCreator",
        ),
        (
            "external_account",
            None,
            "PERMISSION_DENIED",
            "IAM Service Account Credentials API has not been used in project 1 before or it is disabled.",
            "invalid",
            "enable iamcredentials.googleapis.com",
        ),
        (
            "external_account",
            None,
            "NOT_FOUND",
            "Gaia id not found for email s@p",
            "invalid",
            "s@p.iam.gserviceaccount",
        ),
        ("external_account", None, "invalid_target", "", "invalid", "workload identity pool"),
        (
            "external_account",
            None,
            "unauthorized_client",
            "rejected by the attribute condition",
            "invalid",
            "condition",
        ),
        (
            "external_account",
            None,
            "invalid_grant",
            "ID Token issued at 1 is stale to sign-in.",
            "invalid",
            "own token",
        ),
        ("metadata", "boss@example.com", "unauthorized_client", UNAUTHORIZED, "invalid", "act for boss@example.com"),
    ],
)
def test_each_refusal_has_its_sentence(
    kind: str, subject: str | None, error: str, description: str, reason: str, words: str
) -> None:
    """Kind, error and description choose who is told what; only a person is told to authorize."""
    told = refusals.refusal(file(kind, subject), error, description)

    assert told.reason == f"credentials_{reason}"
    assert told.is_retryable
    assert words in told.message
    assert told.message.startswith("drive_token.json: ")
    assert "{" not in told.message
    assert ("drive-upload authorize" in told.message) <= (kind in ("authorized_user", "pydrive2"))
    assert "1//0" not in told.message


@pytest.mark.parametrize(
    "description",
    [
        "you sent 1//0-secret to us",
        "you sent GOCSPX-secret",
        "Authorization: Bearer ya29.a0AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
        "line one\r\nline two\x00\x1b[31m",
        "x" * 10_000,
        "1//0-secret" * 500,
    ],
)
def test_an_explanation_is_told_without_what_it_echoes(description: str) -> None:
    """An endpoint that repeats the request doesn't get it into a message: one short printable line is told."""
    told = refusals.refusal(file("authorized_user"), "strange", description).message

    assert not any(secret in told for secret in ("1//0-secret", "GOCSPX-secret", "a0AbCdEfGh"))
    assert told.isprintable()
    assert len(told) < 400
