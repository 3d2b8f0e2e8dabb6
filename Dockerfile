FROM python:3.13-slim AS build
WORKDIR /build

# Dependencies first: their layer is made again only when the lock changes.
COPY requirements.txt ./
RUN pip install --no-cache-dir --no-compile --no-deps --require-hashes --only-binary :all: --root-user-action ignore \
        --prefix /install --requirement requirements.txt \
    # The client library describes every Google API, in 110 MB; the job speaks Drive only.
    && find /install -path '*/discovery_cache/documents/*' ! -name 'drive.v[23].json' -delete \
    && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /install

COPY function/ /app/function/
# A clone made under a strict umask would be unreadable for the image's user.
RUN chmod -R a+rX /app \
    && python -m compileall -q --invalidation-mode unchecked-hash /app


FROM python:3.13-slim

ARG REVISION=unknown
LABEL org.opencontainers.image.title="drive-upload" \
      org.opencontainers.image.description="Puts a local file onto Google Drive, verified, exactly once." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"

# Nothing installs packages here, so what could is taken out. The import leaves bytecode of the standard library
# behind, which the base image comes without: a start on a read-only root could not keep it.
COPY --from=build /install /usr/local
RUN pip uninstall --quiet --yes --root-user-action ignore pip \
    && rm -rf /usr/local/lib/python3.13/ensurepip \
    && python -c "import functions_framework._http.gunicorn, pydrive2.auth, urllib3" \
    && mkdir /mnt/home

COPY --from=build /app /app

# Safe path: a module in the working folder, which may be a mounted volume, is never imported.
# /dev/shm is writable when the root is read-only; gunicorn keeps its heartbeat and its control socket there.
ENV PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/dev/shm \
    XDG_RUNTIME_DIR=/dev/shm \
    DRIVE_UPLOAD_PATHS=/mnt/home/paths.json \
    PORT=8080

WORKDIR /app
USER 65532:65532
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
    CMD ["python", "-ISc", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/'); sys.exit(c.getresponse().status != 200)"]

ENTRYPOINT ["python", "-m", "function"]
CMD ["serve"]
