# Everything in one image: Envoy, the processor, the packs.
#
#   docker run -p 8443:8443 -e OPENAI_API_KEY llm-extproc
#
# Configuration: mount a folder with extproc.yaml (and policies/) at /etc/extproc. Certificates are made and kept in
# /var/lib/extproc. The root file system may be read-only.

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/build && python -m venv --without-pip /opt/extproc
COPY .ci/requirements.txt .ci/requirements-build.txt .ci/
# only files with hashes, only wheels; the names of places for telephone numbers (40 MB) are not used
RUN /opt/build/bin/pip --python /opt/extproc/bin/python install --require-hashes --only-binary :all: -r .ci/requirements.txt \
 && /opt/build/bin/pip install --require-hashes -r .ci/requirements-build.txt \
 && rm -r /opt/extproc/lib/python3.*/site-packages/phonenumbers/geodata
COPY pyproject.toml README.md CHANGELOG.md LICENSE ./
COPY policies policies
COPY extproc extproc
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /src/dist . \
 && /opt/build/bin/pip --python /opt/extproc/bin/python install --no-deps --no-index /src/dist/*.whl

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="llm-extproc" \
      org.opencontainers.image.description="An LLM firewall and gateway that lives inside Envoy" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN install -d -o 101 -g 101 /var/lib/extproc /run/extproc && install -d /etc/extproc
COPY --from=build /opt/extproc /opt/extproc
COPY .ci/healthcheck.py /opt/extproc/healthcheck.py
ENV PATH=/opt/extproc/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    TMPDIR=/run/extproc \
    EXTPROC_STATE=/var/lib/extproc \
    EXTPROC_POLICIES=/etc/extproc/policies
WORKDIR /etc/extproc
VOLUME ["/var/lib/extproc", "/run/extproc"]
USER 101:101
EXPOSE 8443
HEALTHCHECK --interval=15s --timeout=8s --start-period=20s CMD ["python", "/opt/extproc/healthcheck.py"]
ENTRYPOINT ["extproc"]
CMD ["up", "--host", "0.0.0.0"]
