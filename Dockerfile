# syntax=docker/dockerfile:1
# The command `depthcache` in a slim image, built from this checkout. docs/how-to/systemd-and-docker.md shows it in use.
#   docker build -t depthcache .
#   docker run --rm depthcache doctor

ARG PYTHON=3.13
ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS rust

FROM python:${PYTHON}-slim-${DEBIAN} AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
COPY --from=rust /usr/local/cargo /usr/local/cargo
COPY --from=rust /usr/local/rustup /usr/local/rustup
ENV CARGO_HOME=/usr/local/cargo \
    RUSTUP_HOME=/usr/local/rustup \
    PATH=/usr/local/cargo/bin:$PATH \
    CARGO_TARGET_DIR=/target \
    PIP_CACHE_DIR=/pip \
    MATURIN_PEP517_ARGS=--locked
WORKDIR /source
COPY Cargo.toml Cargo.lock pyproject.toml README.md LICENSE ./
COPY crates crates
COPY src src
# Compiled crates stay in the cache of the builder: the next build compiles only what changed.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target \
    --mount=type=cache,target=/pip \
    python -m venv /opt/depthcache \
    && /opt/depthcache/bin/pip install ".[prometheus]"

FROM python:${PYTHON}-slim-${DEBIAN}
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin depthcache \
    && install --directory --owner=depthcache --group=depthcache /data
COPY --from=build /opt/depthcache /opt/depthcache
ENV PATH=/opt/depthcache/bin:$PATH \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /data
VOLUME /data
# The command handles SIGTERM itself, also as process 1.
STOPSIGNAL SIGTERM
ENTRYPOINT ["depthcache"]
CMD ["--help"]
