"""Who may join: tokens redeemed once, in time, at their issuer; one authority; removed nodes."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from depthcache.cluster.authority import Authority, NodeKey, authority_hash, make_node_key, node_of, trusts
from depthcache.cluster.core.access_tokens import Role, digest_of, role_of
from depthcache.cluster.core.join_tokens import LIFE_NS, JoinToken, JoinTokens
from depthcache.cluster.core.wanted_set import WantedSet
from depthcache.cluster.errors import JoinRefused
from depthcache.cluster.joining import Issuer, JoinGrant, JoinRequest

NOW = datetime(2026, 11, 30, tzinfo=UTC)
SECRET = "-".join(("some", "secret", "of", "a", "test"))
NOBODY: frozenset[str] = frozenset()


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("amber-fox", now=NOW)


@pytest.fixture(scope="module")
def key() -> NodeKey:
    return make_node_key("b2")


@pytest.fixture
def issuer(authority: Authority) -> Issuer:
    return Issuer(authority, JoinTokens())


def request(key: NodeKey, *, secret: str = SECRET, node: str = "b2") -> JoinRequest:
    return JoinRequest(secret, node, key.request, ("10.0.0.2", "host2.example"), "10.0.0.2:42080")


def admit(issuer: Issuer, asked: JoinRequest, *, now_ns: int = 0, denied: frozenset[str] = NOBODY) -> str:
    return issuer.admit(asked, known=frozenset({"a1"}), denied=denied, now_ns=now_ns, now=NOW)


def test_a_node_joins_with_a_token_that_names_the_cluster(issuer: Issuer, key: NodeKey) -> None:
    token = JoinToken.parse(issuer.issue(secret=SECRET, now_ns=0).text())
    token.check(authority_hash(issuer.authority.certificate))
    certificate = admit(issuer, request(key, secret=token.secret))
    assert trusts(issuer.authority.certificate, certificate, now=NOW)
    assert node_of(certificate) == ("b2", NOW + timedelta(days=7))


def test_a_token_is_redeemed_once(issuer: Issuer, key: NodeKey) -> None:
    issuer.issue(secret=SECRET, now_ns=0)
    admit(issuer, request(key))
    with pytest.raises(JoinRefused, match="redeemed already"):
        admit(issuer, request(key, node="c3"))


def test_a_token_expires_after_thirty_minutes(issuer: Issuer, key: NodeKey) -> None:
    issuer.issue(secret=SECRET, now_ns=5)
    with pytest.raises(JoinRefused, match="expired"):
        admit(issuer, request(key), now_ns=LIFE_NS + 5)
    admit(issuer, request(key), now_ns=LIFE_NS + 4)


def test_a_token_is_known_at_its_issuer_alone(authority: Authority, issuer: Issuer, key: NodeKey) -> None:
    issuer.issue(secret=SECRET, now_ns=0)
    with pytest.raises(JoinRefused, match="did not issue"):
        admit(Issuer(authority, JoinTokens()), request(key))


def test_a_wrong_secret_learns_nothing_about_the_nodes(issuer: Issuer, key: NodeKey) -> None:
    issuer.issue(secret=SECRET, now_ns=0)
    with pytest.raises(JoinRefused, match="did not issue"):
        admit(issuer, request(key, secret="x" * 24, node="a1"))


def test_the_joiner_notices_another_cluster_before_it_sends_its_secret(issuer: Issuer) -> None:
    token = issuer.issue(secret=SECRET, now_ns=0)
    other = Authority.create("amber-fox", now=NOW)
    with pytest.raises(JoinRefused, match="another cluster"):
        token.check(authority_hash(other.certificate))
    with pytest.raises(JoinRefused, match="no certificate"):
        token.check(authority_hash("not a certificate"))


def test_a_removed_node_and_a_taken_id_are_refused_and_use_no_token_up(issuer: Issuer, key: NodeKey) -> None:
    issuer.issue(secret=SECRET, now_ns=0)
    for node, denied in (("b2", frozenset({"b2"})), ("a1", NOBODY)):
        with pytest.raises(JoinRefused, match="taken, or was removed"):
            admit(issuer, request(key, node=node), denied=denied)
    admit(issuer, request(key))


def test_a_removed_node_gets_no_new_certificate(issuer: Issuer, key: NodeKey) -> None:
    hosts = ("10.0.0.2",)
    renewed = issuer.renew(key.request, node="b2", hosts=hosts, denied=NOBODY, now=NOW + timedelta(days=3))
    assert node_of(renewed)[1] == NOW + timedelta(days=10)
    with pytest.raises(JoinRefused, match="was removed"):
        issuer.renew(key.request, node="b2", hosts=hosts, denied=frozenset({"b2"}), now=NOW)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dcj_",
        f"dcj_{'a' * 64}_short",
        f"dcj_{'A' * 64}_{'s' * 24}",
        f"dcr_{'a' * 64}_{'s' * 24}",
        "x" * 9_999,
    ],
)
def test_a_text_that_is_no_token_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(JoinRefused) as caught:
        JoinToken.parse(text)
    assert len(text) < 20 or text not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[" * 100_000,
        b'{"secret":"s","node":"b2","request":"r","hosts":[],"listen":"h:1"}',
        b'{"secret":"s","node":"../b2","request":"r","hosts":["h"],"listen":"h:1"}',
        b'{"secret":"s","node":"0b2","request":"r","hosts":["h"],"listen":"h:1"}',
        b'{"secret":"s","node":"b2","request":"' + b"r" * 70_000 + b'","hosts":["h"],"listen":"h:1"}',
        b'{"secret":"s","node":"b2","request":"r","hosts":["h"],"listen":"h"}',
        b'{"secret":"s","node":"b2","request":"r","hosts":["h"],"listen":"h:1/x"}',
        b'{"secret":1,"node":"b2","request":"r","hosts":["h"],"listen":"h:1"}',
    ],
)
def test_a_malformed_request_is_refused(body: bytes) -> None:
    with pytest.raises(JoinRefused, match="the request is malformed"):
        JoinRequest.decode(body)


@pytest.mark.parametrize(
    ("csr", "host"), [("rubbish", "host"), ("\ud800", "host"), ("x" * 50_000, "host"), (None, "höst")]
)
def test_a_malformed_request_for_a_certificate_is_refused(
    issuer: Issuer, key: NodeKey, csr: str | None, host: str
) -> None:
    issuer.issue(secret=SECRET, now_ns=0)
    with pytest.raises(JoinRefused, match="malformed"):
        admit(issuer, JoinRequest(SECRET, "b2", csr or key.request, (host,), "h:1"))


def test_a_certificate_of_another_authority_or_out_of_its_time_is_not_trusted(
    authority: Authority, key: NodeKey
) -> None:
    other = Authority.create("amber-fox", now=NOW)
    certificate = other.issue(key.request, node="b2", hosts=["h"], now=NOW)
    assert not trusts(authority.certificate, certificate, now=NOW)
    assert trusts(authority.certificate + other.certificate, certificate, now=NOW), "while one takes over"
    assert not trusts(other.certificate, certificate, now=NOW + timedelta(days=7, seconds=1))
    assert trusts(other.certificate, certificate, now=NOW - timedelta(minutes=59)), "of a clock that is late"
    assert not trusts(other.certificate, certificate, now=NOW - timedelta(minutes=61))


def test_a_node_cannot_sign_for_other_nodes(authority: Authority, key: NodeKey) -> None:
    certificate = authority.issue(key.request, node="b2", hosts=["h"], now=NOW)
    forger = Authority(certificate, key.key)
    forged = forger.issue(make_node_key("c3").request, node="c3", hosts=["h"], now=NOW)
    assert not trusts(authority.certificate, forged, now=NOW)


def test_messages_of_joining_survive_the_wire(key: NodeKey) -> None:
    asked = request(key)
    assert JoinRequest.decode(asked.encode()) == asked
    grant = JoinGrant("amber-fox", "c", "a", ("10.0.0.1:42080",), b"\x78\x9c\0", b"{}")
    assert JoinGrant.decode(grant.encode()) == grant
    with pytest.raises(JoinRefused, match="answer of the cluster is malformed"):
        JoinGrant.decode(b"{}")


def test_no_secret_is_in_a_repr(issuer: Issuer, key: NodeKey) -> None:
    token = issuer.issue(secret=SECRET, now_ns=0)
    shown = f"{token!r} {request(key)!r} {key!r} {issuer!r} {issuer.authority!r} {issuer.tokens!r}"
    for secret in (SECRET, key.key, issuer.authority.key, digest_of(SECRET)):
        assert secret not in shown
        assert secret.splitlines()[-2 if "\n" in secret else 0] not in shown


def test_open_tokens_are_bounded() -> None:
    tokens = JoinTokens()
    for _ in range(1_000):
        tokens.issue("a" * 64, secret=secrets.token_urlsafe(24), now_ns=0)
    with pytest.raises(JoinRefused, match="too many"):
        tokens.issue("a" * 64, secret=SECRET, now_ns=LIFE_NS)
    tokens.issue("a" * 64, secret=SECRET, now_ns=3 * LIFE_NS)


def test_a_rotated_token_overlaps_with_the_old_one_and_ends_for_good() -> None:
    wanted = WantedSet("a1")
    wanted.rotate_token(digest_of("old"), role=Role.READ, old_until_ms=0, wall_ms=1)
    wanted.rotate_token(digest_of("admin"), role=Role.MANAGE, old_until_ms=0, wall_ms=2)
    wanted.rotate_token(digest_of("new"), role=Role.READ, old_until_ms=100, wall_ms=50)
    tokens = wanted.tokens()
    assert role_of("old", tokens, wall_ms=99) is Role.READ
    assert role_of("old", tokens, wall_ms=100) is None
    assert role_of("new", tokens, wall_ms=10_000) is Role.READ
    assert role_of("admin", tokens, wall_ms=10_000) is Role.MANAGE
    assert role_of("none", tokens, wall_ms=10_000) is None
    wanted.drop_ended(wall_ms=100)
    assert {token.digest for token in wanted.tokens()} == {digest_of("new"), digest_of("admin")}
