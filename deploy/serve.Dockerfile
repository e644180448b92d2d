# The book server as a container, on top of the image that the Dockerfile of the repository makes.
#   docker build -t depthcache .
#   docker build -t depthcache-serve -f deploy/serve.Dockerfile deploy
#   docker run -d -p 127.0.0.1:42081:42081 -v books:/data depthcache-serve BTCUSDT ETHUSDT
# hadolint ignore=DL3006
FROM depthcache
# Tokens and the server's own certificate are made at the first start, in the volume: no layer has a secret.
ENV DEPTHCACHE_SERVER_LISTEN=0.0.0.0 \
    DEPTHCACHE_SERVER_PORT=42081 \
    DEPTHCACHE_SERVER_TLS=true \
    DEPTHCACHE_SERVER_DATA_DIR=/data
EXPOSE 42081
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["python", "-c", "import http.client as h, ssl; c = h.HTTPSConnection('127.0.0.1', 42081, timeout=4, context=ssl._create_unverified_context()); c.request('GET', '/healthz'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["depthcache", "serve"]
CMD ["BTCUSDT"]
