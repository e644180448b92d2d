"""The Dockerfile and the systemd unit fit this repository, and their page shows them as they are."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import depthcache
from depthcache.cli import cli
from tests.test_docs import BLOCK

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "systemd-and-docker.md").read_text("utf-8")
UNIT = ROOT / "deploy" / "depthcache-record.service"
ENVIRONMENT = ROOT / "deploy" / "depthcache-record.env"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CARGO: dict[str, Any] = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile with their arguments, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [
        (name.upper(), " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in joined)
    ]


DOCKERFILE = instructions((ROOT / "Dockerfile").read_text("utf-8"))


def of(name: str) -> list[str]:
    return [rest for each, rest in DOCKERFILE if each == name]


def copied() -> set[str]:
    """What the Dockerfile copies from the checkout."""
    return {
        source
        for rest in of("COPY")
        if not rest.startswith("--from")
        for source in shlex.split(rest)[:-1]
        if not source.startswith("--chmod=")
    }


def version(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(".")))


def options(unit: str) -> configparser.SectionProxy:
    """The [Service] of a unit."""
    parser = configparser.RawConfigParser(delimiters=("=",), comment_prefixes=("#",), strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit)
    return parser["Service"]


def blocks(language: str) -> list[str]:
    return [match["code"] for match in BLOCK.finditer(PAGE) if match["language"] == language]


# --- the image -----------------------------------------------------------------------------


def test_the_image_has_a_python_and_a_rust_that_the_package_supports() -> None:
    chosen = dict(rest.split("=") for rest in of("ARG") if "=" in rest)
    assert f"Programming Language :: Python :: {chosen['PYTHON']}" in PROJECT["project"]["classifiers"]
    assert version(chosen["RUST"]) >= version(CARGO["workspace"]["package"]["rust-version"])
    for base in of("FROM"):
        assert re.fullmatch(r"(python:\$\{PYTHON\}|rust:\$\{RUST\})-slim-\$\{DEBIAN\}( AS \w+)?", base), base
    assert not any("amd64" in rest or "x86" in rest for _, rest in DOCKERFILE), "it builds for arm64, too"


def test_the_build_gets_everything_that_it_needs_and_nothing_else() -> None:
    maturin, project = PROJECT["tool"]["maturin"], PROJECT["project"]
    needed = {"pyproject.toml", "Cargo.toml", "Cargo.lock", project["readme"], *project["license-files"]}
    needed |= {maturin["python-source"], Path(maturin["manifest-path"]).parts[0]}
    needed |= {Path(member).parts[0] for member in CARGO["workspace"]["members"]}
    needed |= {"deploy/constraints.txt", "deploy/healthz.py"}
    assert copied() == needed
    assert [source for source in copied() if not (ROOT / source).exists()] == []


def test_only_what_is_copied_reaches_the_builder() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule[1:] for rule in rules if rule.startswith("!")} == copied()
    refused = [rule.removeprefix("**/") for rule in rules[1:] if not rule.startswith("!")]
    for name in ("_native.abi3.so", "__pycache__"):
        assert any(fnmatch(name, rule) for rule in refused), name


def test_the_image_is_what_its_page_says() -> None:
    last = DOCKERFILE[max(at for at, (name, _) in enumerate(DOCKERFILE) if name == "FROM") :]
    final = dict(last)
    assert "apt-get" not in final["RUN"], "no compiler"
    assert "HEALTHCHECK" not in final, "each command is healthy in a different way"
    assert f"The image runs as user {final['USER']}, not as root" in PAGE
    assert f"--uid {final['USER']}" in final["RUN"]
    assert final["ENTRYPOINT"] == '["depthcache"]'
    assert "depthcache" in PROJECT["project"]["scripts"]
    assert f"mount on `{final['VOLUME']}`" in PAGE
    assert final["WORKDIR"] == final["VOLUME"], "`--out .` of the page is the volume"
    assert final["STOPSIGNAL"] == "SIGTERM"
    assert set(extras()) == {"cluster", "prometheus"}
    assert set(extras()) <= set(PROJECT["project"]["optional-dependencies"])


def extras() -> list[str]:
    """Those that the image installs."""
    [found] = [found[1] for rest in of("RUN") if (found := re.search(r"\.whl\)\[([\w,]+)\]", rest))]
    return found.split(",")


def test_the_image_installs_what_the_package_needs_in_pinned_versions() -> None:
    lines = (ROOT / "deploy" / "constraints.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    needed = list(PROJECT["project"]["dependencies"])
    for extra in extras():
        needed += PROJECT["project"]["optional-dependencies"][extra]
    for requirement in map(Requirement, needed):
        assert requirement.name in pinned, requirement.name
        assert requirement.specifier.contains(pinned[requirement.name]), requirement
    assert {*closure(needed)} == {*pinned}, "those of the dependencies, too, and nothing else"
    [install] = [rest for rest in of("RUN") if "pip --python" in rest]
    assert "--only-binary=:all: --constraint /constraints.txt" in install


def closure(needed: Sequence[str], *, python: str = "3.13") -> Iterator[str]:
    """The names of packages, and of all that they need on Linux with this version of Python."""
    place = {**default_environment(), "python_version": python, "python_full_version": f"{python}.0"}
    place |= {"sys_platform": "linux", "platform_system": "Linux"}
    open_ones, seen = [Requirement(each) for each in needed], set[str]()
    while open_ones:
        one = open_ones.pop()
        name = canonicalize_name(one.name)
        if one.marker is not None and not one.marker.evaluate({**place, "extra": ""}):
            continue
        if name not in seen:
            seen.add(name)
            yield name
            open_ones += map(Requirement, metadata.requires(name) or ())


def test_the_image_keeps_data_where_only_its_user_may_look() -> None:
    last = DOCKERFILE[max(at for at, (name, _) in enumerate(DOCKERFILE) if name == "FROM") :]
    [made] = [rest for name, rest in last if name == "RUN"]
    assert "install --directory --mode=700 --owner=depthcache --group=depthcache /data /secrets" in made
    [variables] = [rest for name, rest in last if name == "ENV"]
    found = dict(word.split("=") for word in variables.split())
    assert found["XDG_DATA_HOME"] == "/data", "commands find the node of the container"


def test_hadolint_finds_nothing_wrong_with_the_image() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not here: the file is read by a parser of these tests alone")
    ran = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
    planted = (ROOT / "Dockerfile").read_text("utf-8").replace("USER 10001", "USER root\nCMD true")
    ran = subprocess.run([hadolint, "-"], input=planted, capture_output=True, text=True, check=False)
    assert ran.returncode == 1


def test_a_program_of_ones_own_keeps_what_the_image_sets() -> None:
    [block] = blocks("dockerfile")
    assert instructions(block)[0] == ("FROM", "depthcache")
    assert {name for name, _ in instructions(block)} == {"FROM", "COPY", "ENTRYPOINT"}


def test_the_page_of_platforms_names_what_the_package_needs() -> None:
    page = (ROOT / "docs" / "reference" / "platforms.md").read_text("utf-8")
    python = PROJECT["project"]["requires-python"].removeprefix(">=")
    rust = CARGO["workspace"]["package"]["rust-version"]
    assert f"You need Python {python} or newer, Rust {rust} or newer" in page
    assert "manylinux2014" in (ROOT / "tools" / "wheel.sh").read_text("utf-8"), "glibc 2.17, as the page says"
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text("utf-8")
    for built, said in {
        "musllinux": "musl",
        "aarch64": "arm64",
        "macos": "macOS",
        "windows": "Windows",
    }.items():
        assert (built in release, said in page) == (True, True), said
    for interpreter in re.findall(r"3\.\d+t", release):
        assert interpreter in page, interpreter


# --- the unit ------------------------------------------------------------------------------


def variables() -> dict[str, str]:
    lines = [line for line in ENVIRONMENT.read_text("utf-8").splitlines() if not line.startswith("#")]
    return {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)}


def test_the_command_of_the_unit_would_start() -> None:
    given = variables()
    words: list[str] = []
    for word in (
        options(UNIT.read_text("utf-8"))["ExecStart"].replace("%S", "/var/lib").replace("\\", "").split()
    ):
        name = word.strip("${}")
        words += (
            given.pop(name).split() if word.startswith("$") and word[1] != "{" else [given.pop(name, word)]
        )
    assert words[0] == "/opt/depthcache/bin/depthcache"
    context = cli.commands[words[1]].make_context(words[1], words[2:])
    assert context.params["symbols"] == ("BTCUSDT", "ETHUSDT")
    assert context.params["out"] == Path("/var/lib/depthcache")
    # What is left are settings.
    assert depthcache.Settings.from_environment(given) is not None
    assert all(name.startswith("DEPTHCACHE_") for name in given)


def test_the_page_shows_the_unit_and_its_environment_as_they_are() -> None:
    shown, _ = blocks("ini")
    unit = UNIT.read_text("utf-8").splitlines()
    assert [line for line in shown.splitlines() if line not in unit] == []
    [environment] = blocks("text")
    assert environment.splitlines() == ENVIRONMENT.read_text("utf-8").splitlines()[1:]


@pytest.mark.parametrize("unit", [UNIT.read_text("utf-8"), *blocks("ini")[1:]], ids=["record", "own program"])
def test_a_unit_ends_its_program_in_order_and_lets_it_write_nowhere_else(unit: str) -> None:
    service = options(unit)
    assert service.get("KillSignal", "SIGTERM") == "SIGTERM"
    assert service.getint("TimeoutStopSec") >= 10
    assert (service["DynamicUser"], service["ProtectSystem"], service["ProtectHome"]) == (
        "yes",
        "strict",
        "yes",
    )


@pytest.mark.slow
@pytest.mark.parametrize("unit", [UNIT.read_text("utf-8"), *blocks("ini")[1:]], ids=["record", "own program"])
def test_systemd_finds_nothing_wrong_with_a_unit(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine: the units are read by configparser alone")
    file = tmp_path / "depthcache-under-test.service"
    file.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit, flags=re.MULTILINE), "utf-8")
    command = [analyze, "verify", "--man=no", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "")
