# syntax=docker/dockerfile:1
# The command `depthcache` in a slim image, built from this checkout, for amd64 and arm64: commands, book servers and nodes of a
# cluster. docs/how-to/systemd-and-docker.md shows it in use.
#   docker build -t depthcache .
#   docker run --rm depthcache doctor

ARG PYTHON=3.13
ARG RUST=1.95
ARG DEBIAN=bookworm

FROM rust:${RUST}-slim-${DEBIAN} AS rust

FROM python:${PYTHON}-slim-${DEBIAN} AS wheel
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
# Compiled crates stay in the cache of the builder: the next build compiles only what changed. One cache for each platform.
ARG TARGETPLATFORM
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target,id=target-${TARGETPLATFORM} \
    --mount=type=cache,target=/pip \
    pip wheel --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim-${DEBIAN} AS environment
ENV PIP_CACHE_DIR=/pip
COPY deploy/constraints.txt /constraints.txt
COPY --from=wheel /wheels /wheels
# Without pip: nothing is installed into it later. Its cache is no part of the image.
# hadolint ignore=DL3042
RUN --mount=type=cache,target=/pip \
    python -m venv --without-pip /opt/depthcache \
    && pip --python /opt/depthcache/bin/python install --only-binary=:all: --constraint /constraints.txt \
        "$(echo /wheels/*.whl)[cluster,prometheus]"

FROM python:${PYTHON}-slim-${DEBIAN}
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin depthcache \
    && install --directory --mode=700 --owner=depthcache --group=depthcache /data /secrets
COPY --from=environment /opt/depthcache /opt/depthcache
COPY --chmod=755 deploy/healthz.py /usr/local/bin/healthz
# Nothing but /data is written, so the root may be read-only. Servers listen beyond the container, with TLS; tokens and
# certificates are made at the first start, in the volume: no layer has a secret.
ENV PATH=/opt/depthcache/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    XDG_DATA_HOME=/data \
    DEPTHCACHE_SERVER_LISTEN=0.0.0.0 \
    DEPTHCACHE_SERVER_PORT=42081 \
    DEPTHCACHE_SERVER_TLS=true \
    DEPTHCACHE_SERVER_DATA_DIR=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 42081 42080
# The command handles SIGTERM itself, also as process 1.
STOPSIGNAL SIGTERM
ENTRYPOINT ["depthcache"]
CMD ["--help"]
