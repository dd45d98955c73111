# The image in which docker/agent/compose.yaml runs `registry agent --docker`. It is not the image of a workload.
ARG BASE_IMAGE=python:3.11-slim-bookworm
FROM ${BASE_IMAGE}

COPY docker/setup/debian.sh docker/agent/packages.txt /setup/
RUN bash /setup/debian.sh /setup/packages.txt

COPY docker/setup/python.sh docker/harness/requirements.lock /setup/
COPY requirements.lock /setup/registry.lock
RUN bash /setup/python.sh /setup/requirements.lock /setup/registry.lock

WORKDIR /workspace
COPY registry registry
COPY src src
COPY configs configs
COPY docker docker
COPY clearml_tasks clearml_tasks
ENV PYTHONPATH=/workspace/src:/workspace PYTHONUNBUFFERED=1
CMD ["python3", "-m", "registry", "agent", "--docker"]
