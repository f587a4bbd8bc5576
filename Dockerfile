FROM debian:bookworm-slim

# tini: a process that is number 1 must reap the others and pass signals on
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv tini \
 && rm -rf /var/lib/apt/lists/*

# The archive is a network disk: its files are readable to this user and group alone.
ARG ARCHIVE_UID=10087
ARG ARCHIVE_GID=10000
RUN groupadd --gid "$ARCHIVE_GID" domainusers \
 && useradd --uid "$ARCHIVE_UID" --gid "$ARCHIVE_GID" --create-home archive \
 && mkdir -p /archive /output /var/cache/nrespipe \
 && chown archive:domainusers /output /var/cache/nrespipe

# The packages change less often than the code: a layer of their own saves minutes at each build.
COPY pyproject.toml setup.py README.rst LICENSE targets.csv /source/
RUN mkdir -p /source/nrespipe/files \
 && touch /source/nrespipe/__init__.py /source/nrespipe/files/__init__.py \
 && python3 -m venv /opt/nrespipe \
 && /opt/nrespipe/bin/pip install --no-cache-dir "/source[container]" \
 && /opt/nrespipe/bin/pip uninstall --yes nrespipe \
 && rm -rf /source/build
COPY nrespipe /source/nrespipe
# The repository of git, which has the version, is not in the image: --build-arg VERSION=$(python -m setuptools_scm)
ARG VERSION
RUN SETUPTOOLS_SCM_PRETEND_VERSION_FOR_NRESPIPE="$VERSION" \
    /opt/nrespipe/bin/pip install --no-cache-dir --no-deps /source && rm -rf /source

COPY supervisord.conf docker/night.conf /etc/nrespipe/
COPY --chmod=755 docker/entrypoint.sh /usr/local/bin/entrypoint
COPY --chmod=755 docker/night-loop.sh /usr/local/bin/night-loop
COPY --chmod=755 docker/self-test.sh /usr/local/bin/self-test

# generic: kernels compiled here then serve every processor, and give the same bytes on all of them
ENV PATH=/opt/nrespipe/bin:$PATH \
    NUMBA_CACHE_DIR=/var/cache/nrespipe \
    NUMBA_CPU_NAME=generic \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    PYTHONUNBUFFERED=1 \
    NRES_RAW_ROOT=/archive/engineering \
    NRES_DATA_ROOT=/output

USER archive
WORKDIR /output
# the kernels, so that a container starts warm; then a small night, which shows that the image works
RUN nrespipe compile && self-test

VOLUME /output
HEALTHCHECK --interval=5m --timeout=60s --start-period=5m --retries=3 CMD ["entrypoint", "healthy"]
ENTRYPOINT ["/usr/bin/tini", "--", "/usr/local/bin/entrypoint"]
CMD ["service"]
