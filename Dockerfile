# The build stage makes the virtual environment; the image gets that, Python and nothing to build with.
# It is the full image of the same Debian: some platforms have no ready-made wheel of every dependency.
FROM python:3.11.14-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/fanout
WORKDIR /src
COPY requirements-run.lock ./
RUN pip --python /opt/fanout/bin/python install --require-hashes -r requirements-run.lock
COPY pyproject.toml README.md LICENSE ./
COPY pipeline pipeline
COPY topologies topologies
RUN pip wheel --no-deps --wheel-dir /dist . \
    && pip --python /opt/fanout/bin/python install --no-deps --no-index /dist/*.whl

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="fanout" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN pip uninstall --yes setuptools wheel pip \
    && rm -rf /usr/local/lib/python3.11/ensurepip \
    && mkdir -p /etc/fanout \
    && install -d -o 10001 -g 10001 -m 0750 /var/lib/fanout
COPY --from=build /opt/fanout /opt/fanout
# HOME and TMPDIR point into the one writable folder, so that a read-only root is enough.
ENV PATH=/opt/fanout/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 \
    HOME=/var/lib/fanout \
    TMPDIR=/var/lib/fanout
USER 10001:10001
# The configuration is read from fanout.toml here; mount the file or its folder.
WORKDIR /etc/fanout
VOLUME ["/var/lib/fanout"]
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["fanout", "health"]
ENTRYPOINT ["fanout"]
CMD ["run"]
