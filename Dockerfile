# syntax=docker/dockerfile:1
# The serving image. Two targets: cpu (the default) and gpu. docs/containers.md explains every choice.
#
#   docker build --tag ear-teacher:cpu .
#   docker build --tag ear-teacher:gpu --target gpu .
#
# Neither holds torch, training or export. Versions are those of constraints.txt; for a build that is the same to the
# byte, give the base by digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- libraries, installed from pyproject.toml and constraints.txt alone: source changes do not install them anew -------
FROM ${PYTHON_IMAGE} AS libraries
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ONLY_BINARY=:all:
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY pyproject.toml constraints.txt deploy/requirements.py ./

# pyvips is Python alone, published as a source archive; its library is the wheel pyvips-binary.
# --build-arg STORES=stores adds the clients of PostgreSQL and Milvus, for several containers on one gallery.
FROM libraries AS libraries-cpu
ARG STORES
RUN python requirements.py serve cpu ${STORES} > requirements.txt \
    && pip install --no-binary=pyvips --constraint constraints.txt --requirement requirements.txt

# CUDA comes in the wheels (onnxruntime-gpu: CUDA 13, faiss-gpu: CUDA 12, side by side), so no CUDA base is needed: the
# host brings the driver (>= 580) and the NVIDIA container toolkit. TensorRT's own wheels are on NVIDIA's index only;
# --build-arg TENSORRT=tensorrt-rtx takes PyPI's instead, --build-arg TENSORRT= leaves TensorRT out.
FROM libraries AS libraries-gpu
ARG TENSORRT=tensorrt
ARG STORES
ARG NVIDIA_INDEX=https://pypi.nvidia.com
COPY deploy/constraints-gpu.txt ./
RUN python requirements.py serve gpu ${STORES} > requirements.txt \
    && pip install --no-binary=pyvips --constraint constraints.txt --constraint constraints-gpu.txt --requirement requirements.txt
RUN python requirements.py ${TENSORRT} > tensorrt.txt \
    && pip install --only-binary=:none: --extra-index-url "${NVIDIA_INDEX}" \
        --constraint constraints.txt --constraint constraints-gpu.txt --requirement tensorrt.txt

# --- the application: the rooms that serve, compiled here because the root is read-only later ---------------------------
FROM ${PYTHON_IMAGE} AS application
ARG BUNDLE=deploy/no-bundle
WORKDIR /app
COPY ear_teacher.py pyproject.toml LICENSE deploy/healthcheck.py ./
COPY common/ common/
COPY bundle/ bundle/
COPY measure/ measure/
COPY index/ index/
COPY serve/ serve/
COPY client/ client/
RUN python -m compileall -q --invalidation-mode unchecked-hash .
COPY ${BUNDLE}/ /bundle/

# --- what both targets share ---------------------------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS service
ARG COMMIT=unknown
LABEL org.opencontainers.image.title="ear-teacher" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${COMMIT}"
RUN groupadd --gid 10001 ear \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin ear \
    && install --directory --owner=ear --group=ear --mode=0700 /gallery /cache \
    && printf '#!/bin/sh\nexec /opt/venv/bin/python /app/ear_teacher.py "$@"\n' > /usr/local/bin/ear-teacher \
    && chmod 0755 /usr/local/bin/ear-teacher
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_CACHE_HOME=/cache \
    EAR_TEACHER_COMMIT=${COMMIT} \
    EAR_TEACHER_BUNDLE=/bundle \
    EAR_TEACHER_GALLERY=/gallery \
    EAR_TEACHER_HOST=0.0.0.0 \
    EAR_TEACHER_PORT=8350
WORKDIR /app
USER 10001:10001
EXPOSE 8350
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["/opt/venv/bin/python", "/app/healthcheck.py"]
ENTRYPOINT ["ear-teacher"]
CMD ["serve"]

FROM service AS gpu
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=libraries-gpu /opt/venv/ /opt/venv/
COPY --from=application /app/ /app/
COPY --from=application /bundle/ /bundle/

# Last, so that a build without --target makes it.
FROM service AS cpu
COPY --from=libraries-cpu /opt/venv/ /opt/venv/
COPY --from=application /app/ /app/
COPY --from=application /bundle/ /bundle/
