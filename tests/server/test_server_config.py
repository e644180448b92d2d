"""What cannot work or is not safe is refused when it is written, and secrets stay secret."""

from __future__ import annotations

import os
import socket
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from depthcache import Settings
from depthcache.cli.serve import _short
from depthcache.errors import InvalidArgument
from depthcache.server import ServerConfig
from depthcache.server.config import default_data_dir, default_workers, from_environment
from depthcache.server.config_file import read_serve_file
from depthcache.server.private_files import load_tls, load_tokens

ANY = "0.0.0.0"  # noqa: S104

OTHERS: dict[str, tuple[str, Any]] = {
    "listen": ("::1", "::1"),
    "port": ("8080", 8080),
    "workers": ("3", 3),
    "tls": ("true", True),
    "certificate": ("a.pem", "a.pem"),
    "key": ("a.key", "a.key"),
    "hosts": ("a.example, b.example", ("a.example", "b.example")),
    "data_dir": ("data", "data"),
    "read_token": ("r" * 16, "r" * 16),
    "admin_token": ("a" * 16, "a" * 16),
    "connections": ("5", 5),
    "connections_per_address": ("5", 5),
    "requests_per_second": ("5", 5),
    "messages_per_second": ("5", 5),
    "subscriptions": ("5", 5),
    "view_bytes": ("1048576", 1 << 20),
    "heartbeat_s": ("1.5", 1.5),
    "idle_s": ("1.5", 1.5),
    "drain_s": ("1.5", 1.5),
    "manage_timeout_s": ("1.5", 1.5),
    "keep_books": ("true", True),
    "access_log": ("access.jsonl", "access.jsonl"),
    "compat_listen": ("127.0.0.1:42080", "127.0.0.1:42080"),
    "compat_listen_2_8": ("[::1]:42079", "[::1]:42079"),
    "compat_allow": ("10.0.0.0/8, 192.0.2.0/24", ("10.0.0.0/8", "192.0.2.0/24")),
    "compat_manage": ("true", True),
    "exchange_symbols": ("any", "any"),
    "exchange_books": ("5", 5),
    "exchange_allow": ("10.0.0.0/8, fd00::/8", ("10.0.0.0/8", "fd00::/8")),
    "exchange_key": ("x" * 16, "x" * 16),
}


@pytest.mark.parametrize("name", [each.name for each in fields(ServerConfig)])
def test_every_field_has_a_variable_and_a_key(name: str, tmp_path: Path) -> None:
    text, value = OTHERS[name]
    given = from_environment(
        {f"DEPTHCACHE_SERVER_{name.upper()}": text, "HOME": "/", "DEPTHCACHE_PROXIES": "0"}
    )
    assert given == {name: value}
    path = tmp_path / "serve.toml"
    written = list(value) if isinstance(value, tuple) else value
    toml = str(written).lower() if isinstance(written, bool) else repr(written).replace("'", '"')
    path.write_text(f'[books]\n"binance.com" = ["BTCUSDT"]\n[server]\n{name} = {toml}\n')
    if name.endswith(("_token", "_key")):
        with pytest.raises(InvalidArgument) as caught:
            read_serve_file(path)
        assert value not in str(caught.value)
    else:
        assert read_serve_file(path).server == {name: value}


def test_variables_of_the_server_are_no_settings_of_a_client() -> None:
    assert Settings.from_environment({"DEPTHCACHE_SERVER_PORT": "1"}) == Settings()
    with pytest.raises(InvalidArgument, match="DEPTHCACHE_SERVER_PROT"):
        from_environment({"DEPTHCACHE_SERVER_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "books.example"),
        ("listen", ANY),
        ("listen", "192.0.2.1"),
        ("listen", "::"),
        ("port", -1),
        ("port", 65_536),
        ("port", True),
        ("workers", 0),
        ("tls", "yes"),
        ("certificate", "a.pem"),
        ("key", "a.key"),
        ("hosts", "a.example"),
        ("hosts", ("http://a.example",)),
        ("hosts", ("a.example:80",)),
        ("hosts", ("*",)),
        ("hosts", ("a\nb",)),
        ("hosts", ("bücher.example",)),
        ("certificate", 1),
        ("data_dir", ["a"]),
        ("data_dir", ""),
        ("access_log", b"a"),
        ("access_log", "a\0b"),
        ("read_token", "short"),
        ("read_token", "with a blank in it"),
        ("admin_token", "ü" * 16),
        ("connections", 0),
        ("requests_per_second", -1),
        ("idle_s", 0),
        ("drain_s", -1),
        ("manage_timeout_s", float("nan")),
        ("exchange_symbols", "some"),
        ("exchange_books", 0),
        ("exchange_allow", "10.0.0.0/8"),
        ("exchange_allow", ("10.0.0.0/33",)),
        ("exchange_allow", ("10.0.0.1/8",)),
        ("exchange_allow", ("books.example",)),
        ("exchange_allow", (1,)),
        ("exchange_key", "short"),
        ("exchange_key", "with/a/slash/in/it"),
    ],
)
def test_what_cannot_work_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        ServerConfig(**{name: value})
    assert caught.value.name in (name, "key", "certificate")


def test_an_address_of_others_needs_tls_and_one_of_this_machine_does_not() -> None:
    for own in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert ServerConfig(listen=own).is_loopback
    assert not ServerConfig(listen=ANY, tls=True).is_loopback
    assert ServerConfig(listen=ANY, certificate="a.pem", key="a.key").is_tls


@pytest.mark.parametrize("name", ["compat_allow", "exchange_allow"])
def test_networks_have_one_notation(name: str) -> None:
    given = ("10.0.0.0/255.0.0.0", "192.0.2.7", "FD00::/8", "::ffff:10.1.0.0/112", "::fffe:0:0/95")
    config = ServerConfig(compat_listen="127.0.0.1:0", **{name: given})
    assert getattr(config, name) == (
        "10.0.0.0/8",
        "192.0.2.7/32",
        "fd00::/8",
        "10.1.0.0/16",
        "::fffe:0:0/95",
    )


def test_both_tokens_the_same_are_refused_and_neither_is_shown() -> None:
    secret = "s" * 20
    with pytest.raises(InvalidArgument) as caught:
        ServerConfig(read_token=secret, admin_token=secret)
    assert secret not in str(caught.value)
    with pytest.raises(InvalidArgument) as caught:
        ServerConfig(read_token=secret, exchange_key=secret)
    assert secret not in str(caught.value)
    assert secret not in repr(ServerConfig(exchange_key=secret))
    assert secret not in repr(ServerConfig(read_token=secret))


def test_tokens_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    config = ServerConfig(data_dir=tmp_path / "new" / "folder")
    first, second = load_tokens(config), load_tokens(config)
    assert first == second
    assert first.read != first.admin
    assert (first.read[:4], first.admin[:4], first.exchange[:4]) == ("dcr_", "dca_", "dcx_")
    assert first.admin_file is not None
    assert first.admin_file.stat().st_mode & 0o777 == 0o600
    assert first.admin_file.parent.stat().st_mode & 0o777 == 0o700
    assert first.admin not in repr(first)
    names = ["admin.token", "exchange.token", "read.token"]
    assert sorted(path.name for path in config.folder.iterdir()) == names


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_token_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    config = ServerConfig(data_dir=tmp_path)
    load_tokens(config)
    (tmp_path / "admin.token").chmod(mode)
    with pytest.raises(InvalidArgument, match="chmod 600"):
        load_tokens(config)


@pytest.mark.skipif(os.name != "posix", reason="other systems have no owners of this kind")
def test_a_token_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of root could read it, and who planted it would know the token."""
    config = ServerConfig(data_dir=tmp_path)
    load_tokens(config)
    if os.geteuid() == 0:
        os.chown(tmp_path / "admin.token", 65_534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 65_534)
    with pytest.raises(InvalidArgument, match="a file of the user who runs the server"):
        load_tokens(config)


@pytest.mark.parametrize("content", ["", "short\n", "with blanks between it\n", "ü" * 20])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "read.token").write_text(content, "utf-8")
    (tmp_path / "read.token").chmod(0o600)
    with pytest.raises(InvalidArgument, match="token file"):
        load_tokens(ServerConfig(data_dir=tmp_path))


def test_given_tokens_need_no_file(tmp_path: Path) -> None:
    config = ServerConfig(data_dir=tmp_path, read_token="r" * 16, admin_token="a" * 16, exchange_key="x" * 16)
    found = load_tokens(config)
    assert (found.read, found.read_file, list(tmp_path.iterdir())) == ("r" * 16, None, [])


def test_other_names_get_another_certificate(tmp_path: Path) -> None:
    made = [
        load_tls(ServerConfig(data_dir=tmp_path, tls=True, hosts=hosts)) for hosts in ((), ("a.example",), ())
    ]
    fingerprints = [own.fingerprint for own in made if own is not None]
    assert fingerprints[0] == fingerprints[2] != fingerprints[1]
    assert len(fingerprints[0]) == 32 * 3 - 1
    assert load_tls(ServerConfig(data_dir=tmp_path)) is None
    assert "PRIVATE" not in repr(made[0])


def test_a_host_that_is_called_otherwise_keeps_its_certificate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As each new container with the same volume is."""
    fingerprints = set()
    for name in ("3f1c9ab2", "77d0e4c1"):
        monkeypatch.setattr(socket, "gethostname", lambda name=name: name)
        own = load_tls(ServerConfig(data_dir=tmp_path, tls=True))
        assert own is not None
        fingerprints.add(own.fingerprint)
    assert len(fingerprints) == 1


def test_the_folder_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "depthcache"
    assert ServerConfig().folder == tmp_path / "depthcache"


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_a_user_without_a_home_names_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container that runs as a number."""
    for variable in ("XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(InvalidArgument, match="data_dir"):
        default_data_dir()
    assert ServerConfig(data_dir=tmp_path).folder == tmp_path
    assert _short(tmp_path / "admin.token") == str(tmp_path / "admin.token")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("books = 5", "books"),
        ('[books]\n"binance.com" = "BTCUSDT"', "books.'binance.com'"),
        ("[serve]\nport = 1", "serve"),
        ("[server]\nprot = 1", "prot"),
        ("port = 1", "port"),
        ("settings = 5", "settings"),
        ("sync_timeout_s = -1", "sync_timeout_s"),
        ("not toml", "config file"),
    ],
)
def test_a_file_that_cannot_be_meant_so_is_refused_by_its_key(tmp_path: Path, text: str, name: str) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument) as caught:
        read_serve_file(path)
    assert caught.value.name.startswith(name)
    with pytest.raises(InvalidArgument, match="config file"):
        read_serve_file(tmp_path / "missing.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[books]\nbinance.com = ["ETHUSDT"]', 'put the exchange in quotes: "binance.com" = ["ETHUSDT"]'),
        ("depht = 5", "unknown key depht; did you mean depth?"),
        (
            "colour = 5",
            "unknown key colour; there are depth, speed_ms, sync_timeout_s, settings, books, server",
        ),
        ("[server]\nwrokers = 1", "unknown key wrokers in [server]; did you mean workers?"),
        (
            f'[server]\nread_token = "{"r" * 20}"',
            "tokens do not belong in this file: set DEPTHCACHE_SERVER_READ_TOKEN, or use read.token",
        ),
    ],
)
def test_a_file_s_error_says_what_to_write(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "serve.toml"
    path.write_text(text)
    with pytest.raises(InvalidArgument) as caught:
        read_serve_file(path)
    assert str(caught.value) == f"{path}: {words}"


def test_an_unknown_variable_names_the_one_that_is_near() -> None:
    with pytest.raises(InvalidArgument) as caught:
        from_environment({"DEPTHCACHE_SERVER_PROT": "1"})
    near = "unknown variable DEPTHCACHE_SERVER_PROT; did you mean DEPTHCACHE_SERVER_PORT?"
    assert str(caught.value) == near


def test_settings_of_the_client_lie_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("[policy]\nlimit_share = 0.25\n")
    (tmp_path / "serve.toml").write_text('depth = 500\nsync_timeout_s = 5\nsettings = "settings.toml"\n')
    file = read_serve_file(tmp_path / "serve.toml")
    assert (file.connect["depth"], file.sync_timeout_s) == (500, 5)
    assert file.connect["settings"].policy.limit_share == 0.25


@pytest.mark.parametrize(("processors", "workers"), [(1, 1), (2, 1), (3, 1), (4, 2), (64, 2)])
def test_there_is_a_worker_for_every_two_processors(processors: int, workers: int) -> None:
    assert default_workers(processors) == workers
