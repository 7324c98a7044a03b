# The service's image: one image, three roles (api, worker, migrate).
#
# BASE_IMAGE takes a digest too, and should in a pipeline that keeps one:
#   --build-arg BASE_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS builder
# Empty unless your network has a package mirror of its own.
ARG PIP_INDEX_URL=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /opt/coinslot
# The dependencies first: this layer is built again only when the locked file changes.
COPY requirements/runtime.txt /build/runtime.txt
RUN /opt/coinslot/bin/pip install --only-binary=:all: --require-hashes -r /build/runtime.txt \
    # An installer has no business in a container that runs: it only helps an intruder.
    && /opt/coinslot/bin/pip uninstall --yes pip setuptools \
    # psycopg2's wheel brings test suites and type stubs of no use here.
    && find /opt/coinslot -depth -type d -name tests -exec rm -rf {} +
COPY service /opt/coinslot/app/service
# Compiled here, because the root file system is read-only where it runs.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/coinslot

FROM ${BASE_IMAGE} AS production
RUN echo "coinslot:x:10001:10001::/nonexistent:/usr/sbin/nologin" >> /etc/passwd \
    && echo "coinslot:x:10001:" >> /etc/group \
    # The base's own installers go for the same reason.
    && rm -rf /usr/share/python-wheels /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip \
       /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
       /usr/local/lib/python3*/site-packages/wheel* /usr/local/bin/pip* \
    # Nobody in here ever becomes somebody else: no file lends its owner's rights.
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
COPY --from=builder /opt/coinslot /opt/coinslot
ENV PATH=/opt/coinslot/bin:$PATH \
    PYTHONPATH=/opt/coinslot/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/coinslot/app
# A number, so that Kubernetes can prove runAsNonRoot without reading /etc/passwd.
USER 10001:10001
# The API, and the operations port of both long-running roles: /metrics and /health in detail.
EXPOSE 8080 9464
# Kubernetes has probes of its own; this one is for `docker run`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["python3", "-c", \
  "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ.get(\"OPS_PORT\", 9464)}/health/live', timeout=2)"]
ENTRYPOINT ["python3", "-m", "service"]
CMD ["api"]
# Last, because each commit changes them.
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="coinslot" \
      org.opencontainers.image.description="A payment service for a games shop" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV VERSION=${VERSION}
