# Everything here sets up its own .venv from the hash-checked lock; a second run is quick.
PYTHON ?= python3
BIN := .venv/bin
export PIP_DISABLE_PIP_VERSION_CHECK = 1
unexport PYTHONDONTWRITEBYTECODE  # tests that stay compiled start three seconds earlier

.PHONY: help demo install test core check lock bench faults rights clean
help:
	@echo "make demo   the main job on a generated world: forecast, plan, apply to a fake cloud, replay, report"
	@echo "make install  the command with the clients of Kubernetes, AWS and Google, and what serves pages"
	@echo "make test   all tests        make core   the quick ones        make check   ruff, mypy, import contracts"
	@echo "make bench  the benchmarks (LOADLINE_DATA names the folder of traces)   make lock   renew the locks"
	@echo "make faults the matrix of faults and their tests"
	@echo "make rights deploy/iam anew, from the permissions that the code declares"

.venv/runtime: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements-build.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	$(BIN)/python -m compileall -q autoscaler dashboards forecasts policies
	@touch $@

install: .venv/runtime requirements-real.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-real.lock

.venv/dev: .venv/runtime requirements-dev.lock
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

demo: .venv/runtime
	$(BIN)/loadline demo

test: .venv/dev
	LOADLINE_LAWS=$${LOADLINE_LAWS:-full} $(BIN)/pytest -n auto

core: .venv/dev
	$(BIN)/pytest -n auto -m "not slow and not data"

check: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev
	$(BIN)/python -m benchmarks

faults: .venv/dev
	$(BIN)/python -m tests.faults.matrix

rights: .venv/dev
	$(BIN)/python -m autoscaler.rights deploy/iam

lock:
	$(PYTHON) -m venv .venv/uv && .venv/uv/bin/pip install --quiet uv
	.venv/uv/bin/uv pip compile --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --all-extras pyproject.toml -o requirements-dev.lock
	.venv/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements-dev.lock pyproject.toml -o requirements.lock
	.venv/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra aws --extra google --extra kubernetes --extra web -c requirements-dev.lock pyproject.toml -o requirements-real.lock
	echo setuptools | .venv/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements-dev.lock - -o requirements-build.lock
	sed -i 's|(/.*/pyproject.toml)|(pyproject.toml)|' requirements*.lock

clean:
	rm -rf .venv build *.egg-info
