"""Who may use `restore serve`: hosts, origins and tokens."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from served import BICUBIC, Server, encoded, problem, started

from restore.errors import UsageError
from restore.serve import Address


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "a@127.0.0.1", "", "[::1", "["]
)
def test_other_hosts_are_refused(client: httpx.Client, host: str) -> None:
    assert "is not called" in problem(client.get("/api/models", headers={"host": host}), 421)
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize(
    "origin", ["null", "https://evil.example", "http://127.0.0.1:1", "http://localhost:3000", "http://[", ""]
)
def test_pages_of_other_origins_are_refused(client: httpx.Client, origin: str) -> None:
    answer = client.post("/api/jobs", params=BICUBIC, content=encoded(), headers={"origin": origin})
    assert "may not use this server" in problem(answer, 403)


def test_its_own_page_and_programs_are_answered(client: httpx.Client, server: Server) -> None:
    assert client.get("/api/models", headers={"origin": server.address.rstrip("/")}).status_code == 200
    port = urlsplit(server.address).port
    assert client.get("/api/models", headers={"host": f"localhost:{port}"}).status_code == 200
    embedded = {"sec-fetch-site": "cross-site"}
    problem(client.get("/api/models", headers=embedded), 403)


def test_every_answer_has_the_headers_that_keep_pages_apart(client: httpx.Client) -> None:
    for answer in (client.get("/"), client.get("/api/models"), client.get("/nothing")):
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("token", ["", "short"])
def test_an_address_that_others_reach_needs_a_token(token: str) -> None:
    with pytest.raises(UsageError, match="other machines can reach"):
        Address("0.0.0.0", token=token)  # noqa: S104 - it is refused
    with pytest.raises(UsageError, match="other machines can reach photos"):
        Address(allowed_hosts=("localhost", "photos.example"), token=token)


def test_a_server_on_all_addresses_needs_a_name_which_is_shown() -> None:
    token = "0123456789abcdef"  # noqa: S105 - of no server
    with pytest.raises(UsageError, match="needs a host name; set `allowed_host`"):
        Address("0.0.0.0", token=token)  # noqa: S104 - it is refused
    address = Address("0.0.0.0", allowed_hosts=("photos.example", "127.0.0.1"), token=token)  # noqa: S104 - not listened on
    assert (address.shown, Address("::1").shown) == ("photos.example", "[::1]")


def test_a_token_is_needed_and_exchanged_for_a_cookie(tmp_path: Path) -> None:
    token = "0123456789abcdef"  # noqa: S105 - of the test's own server
    with started(tmp_path, "--token", token) as server, server.client() as client:
        assert "a token is needed" in problem(client.get("/api/models"), 401)
        problem(client.get("/api/models", headers={"authorization": "Bearer wrong"}), 401)
        assert client.get("/api/health").status_code == 200
        assert client.get("/").status_code == 200, "the page asks for it"
        assert client.get("/api/models", headers={"authorization": f"Bearer {token}"}).status_code == 200
        problem(client.post("/api/session", json={"token": "wrong"}), 401)
        answer = client.post("/api/session", json={"token": token})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert token not in cookie
        assert client.get("/api/models").status_code == 200, "with the cookie"
        assert not any(token in message for message in server.messages)
