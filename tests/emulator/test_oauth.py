"""The OAuth endpoints as a state machine: codes with PKCE, refresh tokens, signed assertions, revocation, expiry."""

from __future__ import annotations

import base64
import hashlib
import html
import re
import time
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from google.auth import crypt, jwt
from google.oauth2 import service_account

from local_runner.drive_emulator.model.records import AccessToken, Account, RefreshToken
from local_runner.drive_emulator.oauth import assertions, consent
from local_runner.drive_emulator.oauth.endpoints import CLIENT_ID, CLIENT_SECRET, DRIVE_SCOPE, JWT_BEARER, Answer, OAuth

NOW_MS = 1_800_000_000_000
CLIENT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
REDIRECT = "http://localhost:8090/?here=1"
REQUEST = {
    "client_id": CLIENT_ID,
    "redirect_uri": REDIRECT,
    "response_type": "code",
    "scope": DRIVE_SCOPE,
    "state": "x & y",
    "access_type": "offline",
}


@dataclass
class Tokens:
    """A token store of plain dicts."""

    accounts: dict[str, Account] = field(default_factory=dict)
    tokens: dict[str, AccessToken] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)

    def put_token(self, token: AccessToken) -> None:
        """Keep an access token."""
        self.tokens[token.token] = token

    def delete_token(self, token: str) -> None:
        """Forget an access token."""
        self.tokens.pop(token, None)

    def put_refresh_token(self, token: RefreshToken) -> None:
        """Keep or replace a refresh token."""
        self.refresh_tokens[token.token] = token


@pytest.fixture
def oauth() -> OAuth:
    """Two people and a service account, and tokens that count up."""
    numbers = count(1)
    people = [
        Account("ann@example.com", "Ann <A>", "1", "ROOT-A"),
        Account("bob@example.com", "Bob", "2", "ROOT-B"),
        Account("robot@drive-emulator.iam.gserviceaccount.com", "Robot", "3", "ROOT-R", is_service_account=True),
    ]
    store = Tokens({account.email: account for account in people})
    return OAuth(store, lambda prefix: f"{prefix}{next(numbers)}", lambda: "ann@example.com", lambda: 3599)


def refresh(oauth: OAuth, token: str, **form: str) -> Answer:
    """The answer to a refresh with the emulator's own client."""
    return oauth.token({"grant_type": "refresh_token", "refresh_token": token, **CLIENT, **form}, now_ms=NOW_MS)


def code_for(oauth: OAuth, **request: str) -> str:
    """A code for what Ann allowed."""
    target = consent.decide({**REQUEST, "account": "ann@example.com", **request}, oauth, now_ms=NOW_MS)
    return parse_qs(urlsplit(target).query)["code"][0]


def redeem(oauth: OAuth, code: str, *, now_ms: int = NOW_MS, **form: str) -> Answer:
    """The answer to a code."""
    given = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, **CLIENT, **form}
    return oauth.token(given, now_ms=now_ms)


def test_a_refresh_token_gives_an_access_token_for_an_hour(oauth: OAuth) -> None:
    """The answer has Google's fields, no new refresh token, and the token says whose it is until it expires."""
    answer = refresh(oauth, "1//anything")

    assert answer.status == 200
    assert set(answer.body) == {"access_token", "expires_in", "scope", "token_type"}
    assert (answer.body["expires_in"], answer.body["token_type"]) == (3599, "Bearer")
    info = oauth.tokeninfo(answer.body["access_token"], now_ms=NOW_MS)
    assert (info.body["email"], info.body["expires_in"]) == ("ann@example.com", "3599")
    assert oauth.userinfo(answer.body["access_token"], now_ms=NOW_MS).body["sub"] == "1"
    assert oauth.tokeninfo(answer.body["access_token"], now_ms=NOW_MS + 3_599_000).status == 400


@pytest.mark.parametrize(
    ("form", "status", "error"),
    [
        ({"refresh_token": "revoked"}, 400, "invalid_grant"),
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "another", "client_secret": "unknown"}, 401, "invalid_client"),
        ({"client_secret": ""}, 400, "invalid_request"),
        ({"client_id": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "unsupported_grant_type"),
    ],
)
def test_refusals_are_worded_as_googles(oauth: OAuth, form: dict[str, str], status: int, error: str) -> None:
    """Each mistake has its status, its error and a description."""
    answer = refresh(oauth, "1//good", **form)

    assert (answer.status, answer.body["error"]) == (status, error)
    assert set(answer.body) == {"error", "error_description"}


def test_a_client_that_came_with_one_secret_is_held_to_it(oauth: OAuth) -> None:
    """Somebody else's client id is taken at its word at first, and a different secret later is refused."""
    first = refresh(oauth, "1//theirs", client_id="theirs", client_secret="one")
    second = refresh(oauth, "1//theirs", client_id="theirs", client_secret="two")
    other_client = refresh(oauth, "1//theirs")

    assert (first.status, second.status) == (200, 401)
    assert (other_client.status, other_client.body["error"]) == (401, "unauthorized_client")


def test_a_narrower_scope_may_be_asked_for_and_a_wider_one_not(oauth: OAuth) -> None:
    """A refresh gives at most what was granted."""
    grant = oauth.grant_refresh_token("ann@example.com", CLIENT_ID, frozenset({DRIVE_SCOPE + ".file"}))

    assert refresh(oauth, grant.token).body["scope"] == DRIVE_SCOPE + ".file"
    assert refresh(oauth, grant.token, scope=DRIVE_SCOPE).body["error"] == "invalid_scope"


@pytest.mark.parametrize("by", ["refresh_token", "access_token"])
def test_revoking_ends_the_grant_and_its_access_tokens(oauth: OAuth, by: str) -> None:
    """After revocation by either token both are dead, and a second revocation is an error."""
    tokens = redeem(oauth, code_for(oauth)).body

    answer = oauth.revoke(tokens[by])

    assert answer == Answer(200, {})
    assert refresh(oauth, tokens["refresh_token"]).body["error_description"] == "Token has been expired or revoked."
    assert oauth.tokeninfo(tokens["access_token"], now_ms=NOW_MS).status == 400
    assert oauth.revoke(tokens[by]).body["error"] == "invalid_token"


def test_the_hundred_and_first_refresh_token_ends_the_first(oauth: OAuth) -> None:
    """An account has at most a hundred live refresh tokens with one client."""
    grants = [oauth.grant_refresh_token("ann@example.com", CLIENT_ID, frozenset({DRIVE_SCOPE})) for _ in range(101)]

    statuses = [refresh(oauth, grant.token).status for grant in grants]

    assert statuses == [400] + [200] * 100


def test_a_code_is_good_once_and_for_ten_minutes(oauth: OAuth) -> None:
    """A second use and a late use are invalid_grant; another redirect_uri is a mismatch."""
    once, late, elsewhere = code_for(oauth), code_for(oauth), code_for(oauth)

    assert redeem(oauth, once).body["refresh_token"]
    assert redeem(oauth, once).body["error"] == "invalid_grant"
    assert redeem(oauth, late, now_ms=NOW_MS + 600_000).body["error"] == "invalid_grant"
    assert redeem(oauth, elsewhere, redirect_uri="http://localhost:1/").body["error"] == "redirect_uri_mismatch"


def test_without_offline_access_there_is_no_refresh_token(oauth: OAuth) -> None:
    """access_type=online gives an access token only."""
    assert "refresh_token" not in redeem(oauth, code_for(oauth, access_type="online")).body


@pytest.mark.parametrize("method", ["S256", "plain"])
def test_pkce_ties_a_code_to_who_asked_for_it(oauth: OAuth, method: str) -> None:
    """The right verifier passes, without a client secret too; a wrong or missing one doesn't."""
    verifier = "v" * 43
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    challenge = {"code_challenge": digest if method == "S256" else verifier, "code_challenge_method": method}
    codes = [code_for(oauth, **challenge) for _ in range(3)]

    assert redeem(oauth, codes[0], code_verifier="w" * 43).body["error_description"] == "Invalid code verifier."
    assert redeem(oauth, codes[1]).body["error_description"] == "Missing code verifier."
    assert redeem(oauth, codes[2], code_verifier=verifier).status == 200


def test_a_person_can_click_through_the_consent_page(oauth: OAuth) -> None:
    """The page offers the people, not the robots; its form's fields lead to the redirect with code and state."""
    page = consent.page(REQUEST, oauth.store.accounts, "/o/oauth2/v2/auth", "the page's own")
    fields = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page))
    form = {name: html.unescape(value) for name, value in fields.items()}

    target = consent.decide({**form, "account": "bob@example.com"}, oauth, now_ms=NOW_MS)

    assert "Ann &lt;A&gt;" in page
    assert "Robot" not in page
    answer = parse_qs(urlsplit(target).query)
    assert (answer["here"], answer["state"], answer["scope"]) == (["1"], ["x & y"], [DRIVE_SCOPE])
    assert redeem(oauth, answer["code"][0]).status == 200
    assert next(iter(oauth.store.tokens.values())).email == "bob@example.com"


def test_cancelling_sends_the_browser_back_with_access_denied(oauth: OAuth) -> None:
    """A person who refuses leaves no code."""
    target = consent.decide({**REQUEST, "deny": "1"}, oauth, now_ms=NOW_MS)

    assert parse_qs(urlsplit(target).query)["error"] == ["access_denied"]
    assert not oauth.codes


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": ""}, "invalid_request"),
        ({"scope": ""}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"redirect_uri": "urn:ietf:wg:oauth:2.0:oob"}, "invalid_request"),
        ({"redirect_uri": "javascript:alert(1)"}, "invalid_request"),
        ({"code_challenge_method": "S1"}, "invalid_request"),
    ],
)
def test_a_wrong_request_gets_an_error_page(change: dict[str, str], error: str) -> None:
    """What Google shows an error page for is refused before anybody can consent."""
    with pytest.raises(assertions.GrantError) as refusal:
        consent.check({**REQUEST, **change})

    assert refusal.value.error == error
    assert f"Error 400: {error}" in consent.error_page(refusal.value)


ROBOT = "robot@drive-emulator.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def key() -> tuple[dict[str, str], Account]:
    """A key file, and the account that knows its public half (keys take a while to make)."""
    return assertions.new_key(Account(ROBOT, "Robot", "3", "R", is_service_account=True), "http://127.0.0.1:1/token")


def robot_credentials(key_file: dict[str, str]) -> Any:
    """google-auth's credentials for a key file."""
    load: Any = service_account.Credentials.from_service_account_info
    return load(key_file, scopes=[DRIVE_SCOPE])


def assertion(key_file: dict[str, str], **changes: str) -> str:
    """What google-auth signs with the key file, now."""
    credentials = robot_credentials({**key_file, **changes})
    return str(credentials._make_authorization_grant_assertion().decode())


def trade(oauth: OAuth, signed: str, *, after_s: int = 0) -> Answer:
    """The answer to an assertion."""
    now_ms = int((time.time() + after_s) * 1000)
    return oauth.token({"grant_type": JWT_BEARER, "assertion": signed}, now_ms=now_ms)


def test_google_auth_can_trade_its_signature_for_a_token(oauth: OAuth, key: tuple[dict[str, str], Account]) -> None:
    """What google-auth signs with an issued key file is accepted, and the token is the robot's."""
    key_file, account = key
    oauth.store.accounts[ROBOT] = account  # type: ignore[index]

    answer = trade(oauth, assertion(key_file))

    assert (answer.status, answer.body["scope"]) == (200, DRIVE_SCOPE)
    assert oauth.store.tokens[answer.body["access_token"]].email == ROBOT


def test_assertions_that_are_not_right_are_refused(oauth: OAuth, key: tuple[dict[str, str], Account]) -> None:
    """A foreign signature, an unknown account, a late one, a wrong audience, rubbish: each is refused."""
    key_file, account = key
    good = assertion(key_file)
    stranger, _ = assertions.new_key(account, key_file["token_uri"])
    oauth.store.accounts[ROBOT] = account  # type: ignore[index]

    foreign = assertion(key_file, private_key=stranger["private_key"])
    nobody = assertion(key_file, client_email="nobody@example.com")
    now_s = int(time.time())
    claims = {"iss": ROBOT, "scope": DRIVE_SCOPE, "iat": now_s, "exp": now_s + 60, "aud": "https://example.com/other"}
    elsewhere = jwt.encode(crypt.RSASigner.from_service_account_info(key_file), claims).decode()  # type: ignore[no-untyped-call]
    tampered = good[: good.rindex(".") - 4] + "AAAA" + good[good.rindex(".") :]

    for signed in (foreign, nobody, elsewhere, tampered, "a.b.c", "", "é.é.é", good.rpartition(".")[0] + "."):
        answer = trade(oauth, signed)
        assert answer.status == 400, signed
        assert answer.body["error"] in {"invalid_grant", "invalid_request"}
    assert trade(oauth, good, after_s=4000).body["error_description"].startswith("Invalid JWT: Token must be")


def test_a_robot_may_act_for_a_person_it_is_delegated_to(oauth: OAuth, key: tuple[dict[str, str], Account]) -> None:
    """With `sub` the token is the person's; for somebody unknown it is unauthorized_client."""
    key_file, account = key
    oauth.store.accounts[ROBOT] = account  # type: ignore[index]
    base = robot_credentials(key_file)

    ann = trade(oauth, base.with_subject("ann@example.com")._make_authorization_grant_assertion().decode())
    eve = trade(oauth, base.with_subject("eve@example.com")._make_authorization_grant_assertion().decode())

    assert oauth.store.tokens[ann.body["access_token"]].email == "ann@example.com"
    assert (eve.status, eve.body["error"]) == (401, "unauthorized_client")
