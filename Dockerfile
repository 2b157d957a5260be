# One image for every job: api, ingest, migrate. Not root, and it runs on a read-only root.
FROM python:3.11-slim AS build
ARG TORCH_ARGS=""
# Extras beside PostgreSQL's, such as s3 or s3,milvus, at the versions that the tests ran with.
ARG EXTRAS=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1
WORKDIR /build
RUN python -m venv /venv && python -m venv /tools && /tools/bin/pip install uv==0.13.9
# torch in a step of its own, so that a CPU or a CUDA build fits: docker build --build-arg TORCH_ARGS="--extra-index-url …"
RUN /venv/bin/pip install torch==2.13.0 ${TORCH_ARGS}
COPY requirements.lock ./
RUN /tools/bin/uv pip install --python /venv/bin/python --no-deps --require-hashes -r requirements.lock
COPY requirements-dev.lock pyproject.toml README.md LICENSE prices.yaml ./
COPY app app
COPY ingest ingest
COPY evals evals
COPY prompts prompts
COPY docs/handbook docs/handbook
# The build backend is used here and not shipped; its version and hashes are those of the dev lock.
RUN /tools/bin/uv build --wheel --python /venv/bin/python --require-hashes --build-constraint requirements-dev.lock --out-dir dist . \
 && /tools/bin/uv pip install --python /venv/bin/python --no-deps dist/*.whl \
 && if [ -n "${EXTRAS}" ]; then \
      /tools/bin/uv pip install --python /venv/bin/python -c requirements-dev.lock "$(ls dist/*.whl)[${EXTRAS}]"; \
    fi
# The embedder is exported once, here: a new `home` volume begins with it.
WORKDIR /
RUN HF_HUB_OFFLINE=1 ORT_DISABLE_TELEMETRY=1 /venv/bin/python -c "from pathlib import Path; from app.core.embed import ensure_onnx, find_embedder; ensure_onnx(find_embedder('minilm'), Path('/export'))"

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --home-dir /srv citewell \
 && install -d -o 10001 -g 10001 /srv/home /srv/indexes
COPY --from=build /venv /venv
COPY --from=build --chown=10001:10001 /export /srv/home/cache
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HF_HUB_OFFLINE=1 ORT_DISABLE_TELEMETRY=1 TOKENIZERS_PARALLELISM=false \
    CITEWELL_HOME=/srv/home CITEWELL_INDEXES_DIR=/srv/indexes
# Not /app: a working folder of that name would look like the package.
WORKDIR /srv
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["citewell"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
