# syntax=docker/dockerfile:1
# Images of the service: `docker build --target server|worker|worker-gpu .`

FROM python:3.12-slim-bookworm AS wheels
WORKDIR /build
COPY requirements.lock .
# Every wheel is checked against its hash here; the images below install offline, from these files only.
RUN pip wheel --no-deps --require-hashes --wheel-dir /wheels -r requirements.lock

FROM python:3.12-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1 REDRIVE_DATA=/data
RUN useradd --uid 1000 --create-home redrive && install -d -o redrive -g redrive /data
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY suites suites
COPY workers workers
COPY server server
COPY web web
COPY cli cli
COPY migrations migrations
COPY models models
# Editable: the packages stay where their templates, suites and models lie. Only what runs is installed, not the tools.
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels --editable .
USER redrive
VOLUME /data

FROM base AS server
EXPOSE 8700
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-m", "cli.supervision.healthy", "server"]
CMD ["uvicorn", "server.app:app", "--host", "0.0.0.0", "--port", "8700"]

FROM base AS worker
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "cli.supervision.healthy", "worker"]
CMD ["redrive", "worker"]

FROM base AS worker-gpu
USER root
# The same version as in the lock, built for CUDA; it takes the place of the CPU build.
RUN version=$(pip show onnxruntime | sed -n 's/^Version: //p') \
    && pip uninstall --yes onnxruntime \
    && pip install --no-cache-dir "onnxruntime-gpu[cuda,cudnn]==$version"
USER redrive
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["python", "-m", "cli.supervision.healthy", "worker"]
CMD ["redrive", "worker", "--device", "cuda"]
