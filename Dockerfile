# The image of every task of the compiled pipeline, and of local runs in a container.
# Which TFX, as for `make run`: 1.16 or 1.21.
ARG LANE=1.16
# The base is an argument, so that a mirror or a base with drivers can take its place. It needs Python 3.10 for TFX 1.16;
# Python 3.11 to 3.13 and glibc 2.39 for TFX 1.21.
ARG BASE=lane-${LANE}
FROM python:3.10.13-slim-bookworm AS lane-1.16
FROM python:3.13.7-slim-trixie AS lane-1.21

# The environment is built in a stage of its own: nothing of pip stays behind in the image.
FROM ${BASE} AS environment
# A few of the pinned packages come as source only.
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
RUN python -m venv /opt/venv
# The same lock as for local runs. It changes seldom, so that its layer mostly comes from the cache.
COPY requirements.txt requirements-tfx121.txt /tmp/
ARG LANE
RUN case ${LANE} in 1.16) ;; 1.21) mv /tmp/requirements-tfx121.txt /tmp/requirements.txt ;; *) exit 1 ;; esac
# The same release of TensorFlow without its kernels for GPUs, which are 0.8 GB; `tensorflow` for an image that has some.
ARG TENSORFLOW=tensorflow-cpu
RUN sed --in-place "s/^tensorflow==/${TENSORFLOW}==/" /tmp/requirements.txt && grep "^${TENSORFLOW}==" /tmp/requirements.txt
# pip compiles what it installs: without that, every task would compile TensorFlow and TFX when it starts.
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --requirement /tmp/requirements.txt

FROM ${BASE}
# Kubeflow starts containers with a user of its own choosing at times: everything is readable by all.
RUN groupadd --gid 1000 pipeline && useradd --uid 1000 --gid 1000 --no-create-home --home-dir /tmp pipeline
COPY --from=environment /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin
ENV PYTHONPATH=/app
ENV PYTHONUNBUFFERED=1
ENV PYTHONDONTWRITEBYTECODE=1
ENV TF_USE_LEGACY_KERAS=1
ENV HOME=/tmp
WORKDIR /app
# Most seldom changed first.
COPY LICENSE pyproject.toml ./
COPY configs ./configs
COPY data ./data
COPY serving ./serving
COPY trainer_module ./trainer_module
COPY components ./components
COPY pipeline ./pipeline
COPY *.py ./
# Which commit this is, for the record of a run: there is no git here. Last, as it changes most often.
ARG NEXT_MOVIE_COMMIT=unknown
ENV NEXT_MOVIE_COMMIT=${NEXT_MOVIE_COMMIT}
USER 1000:1000
# Compiled tasks name their own command.
CMD ["python", "-m", "pipeline.kubeflow.entrypoint", "--help"]
