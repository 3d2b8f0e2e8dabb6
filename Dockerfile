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
COPY local_runner/ /app/local_runner/
COPY Data/ /app/local_runner/sample_data/
# A clone made under a strict umask would be unreadable for the image's user.
RUN chmod -R a+rX /app \
    && python -m compileall -q --invalidation-mode unchecked-hash /app


FROM python:3.13-slim AS command

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
    && python -c "import functions_framework, pydrive2.auth, rich.progress, urllib3, waitress" \
    && printf '#!/bin/sh\nexec python -P -m local_runner.image "$@"\n' > /usr/local/bin/drive-upload \
    && chmod 755 /usr/local/bin/drive-upload \
    && mkdir /mnt/home /mnt/drive \
    && chmod 1777 /mnt/drive

COPY --from=build /app /app

# Safe path: a module in the working folder, which may be a mounted volume, is never imported.
# /dev/shm is writable when the root is read-only; what a request's body doesn't leave in memory goes there.
ENV PYTHONPATH=/app \
    PYTHONSAFEPATH=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/dev/shm \
    XDG_RUNTIME_DIR=/dev/shm \
    DRIVE_UPLOAD_PATHS=/mnt/home/paths.json \
    PORT=8080

WORKDIR /mnt/home
USER 65532:65532
ENTRYPOINT ["drive-upload"]


# docker build --target emulator: a Google Drive for tests, its state in the volume /mnt/drive.
FROM command AS emulator
EXPOSE 9099
VOLUME /mnt/drive
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
    CMD ["python", "-ISc", "import http.client, sys; c = http.client.HTTPConnection('127.0.0.1', 9099, timeout=2); c.request('GET', '/'); sys.exit(c.getresponse().status != 200)"]
CMD ["emulator", "--host", "0.0.0.0", "--data", "/mnt/drive"]


FROM command AS function
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s \
    CMD ["python", "-ISc", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/'); sys.exit(c.getresponse().status != 200)"]
CMD ["serve"]
