# The build stage needs only this folder; its steps install the hash-checked lock into one prefix.
FROM python:3.11-slim-bookworm AS build
ARG PREFIX=/opt/loadline
WORKDIR /src
COPY pyproject.toml README.md requirements-real.lock requirements-build.lock ./
COPY autoscaler ./autoscaler
COPY dashboards ./dashboards
COPY forecasts ./forecasts
COPY policies ./policies
RUN python3 -m venv "$PREFIX"
RUN "$PREFIX/bin/pip" install --no-cache-dir --no-compile --require-hashes -r requirements-real.lock
RUN "$PREFIX/bin/pip" install --no-cache-dir --no-compile --require-hashes --no-deps -r requirements-build.lock
RUN "$PREFIX/bin/pip" install --no-cache-dir --no-compile --no-deps --no-build-isolation .
RUN "$PREFIX/bin/pip" uninstall --yes --quiet setuptools
RUN "$PREFIX/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$PREFIX/lib"

FROM python:3.11-slim-bookworm
ARG PREFIX=/opt/loadline
RUN groupadd --gid 10001 loadline && useradd --uid 10001 --gid 10001 --home-dir /var/lib/loadline --create-home loadline
COPY --from=build $PREFIX $PREFIX
ENV PATH="$PREFIX/bin:$PATH" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/loadline
ENTRYPOINT ["loadline"]
CMD ["--help"]
