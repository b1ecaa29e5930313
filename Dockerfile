# Two stages: the first has pip and a build backend, the second only what runs. The Python is the one that the tests run on. The
# base is pinned by tag: add the digest that your registry shows (FROM python:...@sha256:...) before an image becomes evidence.
#
#   docker build -t agent-ledger .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --publish 127.0.0.1:8731:8731 \
#       --volume ledger-data:/data --volume ledger-anchor:/anchor --env AGENT_LEDGER_ORIGIN=ledger.example.com/prod \
#       --name ledger agent-ledger
#   docker exec ledger agent-ledger token create gateway --role writer
FROM python:3.11-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /opt/agent-ledger
COPY requirements/runtime.txt requirements/build.txt requirements/node.txt requirements/
RUN /opt/agent-ledger/bin/python -m pip install --no-cache-dir --require-hashes -r requirements/runtime.txt \
 && python -m pip install --no-cache-dir --require-hashes -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY queries queries
COPY web web
COPY ledger ledger
RUN python web/build.py /tmp/node --alone \
 && python -m hatchling build --target wheel \
 && /opt/agent-ledger/bin/python -m pip install --no-cache-dir --no-deps --no-index dist/agent_ledger-*.whl \
 && /opt/agent-ledger/bin/python -m pip uninstall --yes pip

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home ledger \
 && install --directory --owner ledger --mode 0700 /data /anchor
COPY --from=build /opt/agent-ledger /opt/agent-ledger
COPY requirements/runtime.cdx.json /usr/share/doc/agent-ledger/sbom.cdx.json
ENV PATH=/opt/agent-ledger/bin:$PATH \
    AGENT_LEDGER_DATA=/data \
    AGENT_LEDGER_HEAD_ANCHOR=/anchor/head \
    XDG_STATE_HOME=/anchor/state \
    TMPDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
# The head anchor has a volume of its own: restored together with the data it could not show that the data is older. What
# `verify` remembers of the log lies there too.
VOLUME ["/data", "/anchor", "/tmp"]
EXPOSE 8731
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8731/healthz', timeout=2)"]
ENTRYPOINT ["agent-ledger"]
# 0.0.0.0 is the container's own network: nothing is reached but what `docker run --publish` opens, and nothing but
# health answers without a token. TLS is in front of it: a proxy, or nothing but loopback, as above (docs/hardening.md).
CMD ["serve", "--host", "0.0.0.0", "--plain-http"]
