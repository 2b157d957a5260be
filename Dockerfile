# One image for every job: api, ingest, migrate. Not root, and it runs on a read-only root.
FROM python:3.11-slim AS build
ARG TORCH_ARGS=""
ENV PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
WORKDIR /build
RUN python -m venv /venv && /venv/bin/pip install uv==0.13.9
# torch in a step of its own, so that a CPU or a CUDA build fits: docker build --build-arg TORCH_ARGS="--extra-index-url …"
RUN /venv/bin/pip install torch==2.13.0 ${TORCH_ARGS}
COPY requirements.lock ./
RUN /venv/bin/uv pip install --python /venv/bin/python --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE prices.yaml ./
COPY app app
COPY ingest ingest
COPY evals evals
COPY prompts prompts
COPY docs/handbook docs/handbook
RUN /venv/bin/uv pip install --python /venv/bin/python hatchling==1.32.0 \
 && /venv/bin/uv pip install --python /venv/bin/python --no-deps --no-build-isolation . \
 && HF_HUB_OFFLINE=1 CITEWELL_HOME=/tmp/home /venv/bin/python -c "from app.core.config import load_settings; from app.core.embed import ensure_onnx, find_embedder; from pathlib import Path; ensure_onnx(find_embedder('minilm'), Path('/export'))"

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home --home-dir /srv citewell \
 && mkdir -p /srv/home/cache /srv/indexes && chown -R citewell /srv
COPY --from=build /venv /venv
COPY --from=build --chown=citewell /export /srv/home/cache
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false \
    CITEWELL_HOME=/srv/home CITEWELL_INDEXES_DIR=/srv/indexes
WORKDIR /srv
USER 10001
EXPOSE 8000
ENTRYPOINT ["citewell"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
