# One image for every process of the service; docker-compose.yml says which runs what.

FROM python:3.13-slim AS build
RUN python -m venv /opt/venv
COPY requirements/run.txt /tmp/run.txt
# Wheels only, so that nothing is compiled and no package's own code runs here.
RUN /opt/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /tmp/run.txt
COPY followup /app/followup
# Our own code needs no build: an import path and a command, as `dev.py` makes them. The command
# replaces its shell, which would keep SIGTERM to itself.
RUN echo /app > "$(/opt/venv/bin/python -c 'import site; print(*site.getsitepackages())')/app.pth" \
    && printf '#!/bin/sh\nexec /opt/venv/bin/python -P -m followup "$@"\n' > /opt/venv/bin/followup \
    && chmod 755 /opt/venv/bin/followup \
    && /opt/venv/bin/python -m compileall -q /app/followup

FROM python:3.13-slim
# A number that stays, so that a volume's owner does not change with the image.
RUN groupadd --gid 10001 followup \
    && useradd --uid 10001 --gid followup --home-dir /data --no-create-home followup \
    && install --directory --owner followup --group followup /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
COPY templates /app/templates
COPY clinic.toml /app/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    FOLLOWUP_DATA_DIR=/data
WORKDIR /app
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["followup"]
