"""Signing in: ID tokens that Google's library verifies, userinfo, and the flow for devices without a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import google.auth.transport.requests
import requests
from cryptography import x509
from google.auth import crypt, jwt
from google.oauth2 import id_token

from local_runner.drive_emulator import DriveEmulator
from local_runner.drive_emulator.oauth.endpoints import CLIENT_ID, CLIENT_SECRET, JWT_BEARER

CLIENT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
BACK = "http://127.0.0.1:1/back"
DRIVE = "https://www.googleapis.com/auth/drive"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def post(drive: DriveEmulator, path: str, **form: str) -> requests.Response:
    """A form to the emulator."""
    return requests.post(drive.url + path, data=form, allow_redirects=False, timeout=10)


def fields(page: str) -> dict[str, str]:
    """The hidden fields of a page's form."""
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))


def signed_in(drive: DriveEmulator, **asked: str) -> dict[str, Any]:
    """What the token endpoint answers after a person chose an account on the consent page."""
    query = {"client_id": CLIENT_ID, "redirect_uri": BACK, "response_type": "code", "scope": f"openid email {DRIVE}"}
    page = requests.get(f"{drive.url}/o/oauth2/v2/auth", params=query | asked, timeout=10).text
    back = post(drive, "/o/oauth2/v2/auth", **fields(page), account="user@example.com").headers["Location"]
    code = parse_qs(urlsplit(back).query)["code"][0]
    answer: dict[str, Any] = post(
        drive, "/token", grant_type="authorization_code", code=code, redirect_uri=BACK, **CLIENT
    ).json()
    return answer


def verified(token: str, certs_url: str) -> dict[str, Any]:
    """The claims, checked by Google's library."""
    verify: Any = id_token.verify_token
    claims: dict[str, Any] = verify(
        token, google.auth.transport.requests.Request(), audience=CLIENT_ID, certs_url=certs_url
    )
    return claims


def test_googles_library_verifies_the_id_token(drive: DriveEmulator) -> None:
    """The nonce comes back, and the access token is tied to it; the JWK is the certificate's key."""
    answer = signed_in(drive, nonce="n-1")

    claims = verified(answer["id_token"], f"{drive.url}/oauth2/v1/certs")
    jwk = requests.get(f"{drive.url}/oauth2/v3/certs", timeout=10).json()["keys"][0]
    certificate = requests.get(f"{drive.url}/oauth2/v1/certs", timeout=10).json()[jwk["kid"]]
    key: Any = x509.load_pem_x509_certificate(certificate.encode()).public_key()

    assert int.from_bytes(base64.urlsafe_b64decode(jwk["n"] + "==")) == key.public_numbers().n

    assert (claims["iss"], claims["aud"], claims["nonce"]) == ("https://accounts.google.com", CLIENT_ID, "n-1")
    assert (claims["email"], claims["email_verified"]) == ("user@example.com", True)
    digest = hashlib.sha256(answer["access_token"].encode()).digest()[:16]
    assert claims["at_hash"] == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_there_is_an_id_token_only_where_it_was_asked_for(drive: DriveEmulator) -> None:
    """Scope `openid` asks; without it nothing of the kind is answered."""
    assert "id_token" not in signed_in(drive, scope=DRIVE)


def test_a_service_account_gets_an_id_token_for_an_audience(drive: DriveEmulator) -> None:
    """`target_audience` in the assertion: an ID token and no access token, as Cloud Run's callers ask for it."""
    key: dict[str, Any] = dict(drive.service_account())
    now = drive.drive.clock.now_ms() // 1000
    claims = {"iss": key["client_email"], "aud": key["token_uri"], "iat": now, "exp": now + 600}
    signer: Any = crypt.RSASigner
    encode: Any = jwt.encode
    assertion = encode(signer.from_service_account_info(key), {**claims, "target_audience": CLIENT_ID}).decode()

    answer = post(drive, "/token", grant_type=JWT_BEARER, assertion=assertion).json()

    assert set(answer) == {"id_token"}
    assert verified(answer["id_token"], f"{drive.url}/oauth2/v1/certs")["email"] == key["client_email"]


def test_userinfo_and_configuration(drive: DriveEmulator) -> None:
    """In the words of OpenID and in those of oauth2/v2; every address of the configuration is here."""
    headers = {"Authorization": f"Bearer {signed_in(drive)['access_token']}"}
    configuration = requests.get(f"{drive.url}/.well-known/openid-configuration", timeout=10).json()
    subject = requests.get(configuration["userinfo_endpoint"], headers=headers, timeout=10).json()
    legacy = requests.get(f"{drive.url}/oauth2/v2/userinfo", headers=headers, timeout=10).json()

    assert subject["sub"] == legacy["id"]
    assert (subject["email_verified"], legacy["verified_email"]) == (True, True)
    assert requests.get(configuration["jwks_uri"], timeout=10).json()["keys"][0]["kty"] == "RSA"
    assert all(
        address.startswith(drive.url) for name, address in configuration.items() if name.endswith(("_endpoint", "_uri"))
    )
    assert requests.get(f"{drive.url}/v1/userinfo", timeout=10).status_code == 401


def poll(drive: DriveEmulator, device_code: str) -> requests.Response:
    """One poll of the device."""
    return post(drive, "/token", grant_type=DEVICE, device_code=device_code, **CLIENT)


def test_a_device_waits_for_its_person(drive: DriveEmulator) -> None:
    """Pending, too fast, then allowed on the page: tokens that work, once."""
    begun = post(drive, "/device/code", client_id=CLIENT_ID, scope=DRIVE).json()
    pending, hasty = poll(drive, begun["device_code"]), poll(drive, begun["device_code"])
    page = requests.get(begun["verification_url"], params={"user_code": begun["user_code"].lower()}, timeout=10).text
    done = post(drive, "/device", **fields(page), account="other@example.com")

    answer = poll(drive, begun["device_code"])

    assert (pending.status_code, pending.json()["error"]) == (428, "authorization_pending")
    assert (hasty.status_code, hasty.json()["error"]) == (403, "slow_down")
    assert done.status_code == 200
    headers = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    about = requests.get(f"{drive.url}/drive/v3/about?fields=user", headers=headers, timeout=10).json()
    assert about["user"]["emailAddress"] == "other@example.com"
    assert answer.json()["refresh_token"]
    assert poll(drive, begun["device_code"]).json()["error"] == "invalid_grant"


def test_a_device_is_refused_or_unknown(drive: DriveEmulator) -> None:
    """Cancel on the page; a code that no device shows; a post that didn't come from the page."""
    begun = post(drive, "/device/code", client_id=CLIENT_ID, scope=DRIVE).json()
    shown = {"user_code": begun["user_code"]}
    blind = post(drive, "/device", **shown, account="user@example.com")
    page = requests.get(begun["verification_url"], params=shown, timeout=10).text
    unknown = requests.get(begun["verification_url"], params={"user_code": "AAAA-AAAA"}, timeout=10)
    post(drive, "/device", **fields(page), deny="1")

    refused = poll(drive, begun["device_code"])

    assert blind.status_code == 400
    assert (unknown.status_code, "No device shows this code" in unknown.text) == (400, True)
    assert (refused.status_code, refused.json()["error"]) == (403, "access_denied")
    assert post(drive, "/device/code", client_id=CLIENT_ID).status_code == 400
