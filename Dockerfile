# The service's image: one image, three roles (api, worker, migrate). `production` is what runs
# elsewhere; `development` has the locked tools, the tests and a service that restarts.
#
# `make base-digest` asks the registry which bytes the tag means, and pins and renews the digest here.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS builder
# Empty unless your network has a package mirror of its own.
ARG PIP_INDEX_URL=
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1
# An installer has no business in a container that runs, it only helps an intruder: pip stays apart.
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/coinslot
# The dependencies first: this layer is built again only when the locked file changes.
COPY requirements/runtime.txt /build/runtime.txt
RUN /opt/pip/bin/pip --python /opt/coinslot/bin/python install \
       --no-compile --only-binary=:all: --require-hashes -r /build/runtime.txt \
    # psycopg2's wheel brings test suites and type stubs of no use here.
    && find /opt/coinslot -depth -type d -name tests -exec rm -rf {} + \
    # Compiled here and below, because the root file system is read-only where it runs; not by pip,
    # whose files hold the time of installing: no two would be the same, and layers change it.
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/coinslot

FROM ${BASE_IMAGE} AS production
RUN echo "coinslot:x:10001:10001::/nonexistent:/usr/sbin/nologin" >> /etc/passwd \
    && echo "coinslot:x:10001:" >> /etc/group \
    # The base's own installers go for the same reason.
    && rm -rf /usr/share/python-wheels /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip \
       /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/site-packages/setuptools* \
       /usr/local/lib/python3*/site-packages/wheel* /usr/local/bin/pip* \
    # Nobody in here ever becomes somebody else: no file lends its owner's rights.
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
ENV PATH=/opt/coinslot/bin:$PATH \
    PYTHONPATH=/opt/coinslot/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
COPY --from=builder /opt/coinslot /opt/coinslot
COPY service /opt/coinslot/app/service
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/coinslot/app
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

# Below production, because builders without BuildKit make every stage above the one they are asked for.
FROM builder AS development
COPY requirements/dev.txt /build/dev.txt
RUN /opt/pip/bin/pip --python /opt/coinslot/bin/python install \
       --only-binary=:all: --require-hashes -r /build/dev.txt \
    # Where a clone has its packages and tools.
    && mkdir /src && ln -s /opt/coinslot /src/.venv
# The same user.
COPY --from=production /etc/passwd /etc/group /etc/
# What .dockerignore lets through. For a service that restarts as you edit, mount yours over it:
#   docker run --volume="$PWD/service:/src/service:ro" …
COPY . /src
ENV PATH=/opt/coinslot/bin:$PATH \
    PYTHONPATH=/src \
    PYTHONUNBUFFERED=1 \
    HOME=/tmp \
    HYPOTHESIS_STORAGE_DIRECTORY=/tmp/hypothesis
WORKDIR /src
USER 10001:10001
EXPOSE 8080 9464
ENTRYPOINT ["scripts/reload.sh"]
CMD ["api"]

# The last stage is what a build without --target makes.
FROM production
