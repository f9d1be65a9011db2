# make help lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
ASSETS := build/assets/manifest.json
# Tools that have nothing to do with the portal's own packages, each in a folder named by its version.
LIGHTHOUSE := build/npm/lighthouse@12.8.2
VNU := build/npm/vnu-jar@26.9.27
REDOCLY := build/npm/@redocly/cli@2.77.0
SPECTRAL := build/npm/@stoplight/spectral-cli@6.16.3
WAPITI := build/pip/wapiti3@3.2.3
CYCLONEDX := build/pip/cyclonedx-bom@7.5.0
# MongoDB's tests for drivers come in PyMongo's source distribution.
PYMONGO := pymongo-$(shell sed -n 's/^pymongo==\([0-9.]*\).*/\1/p' requirements.txt)

COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes

# Debian's packages, where they can be installed.
APT_INSTALL := test "$$(id -u)" = 0 && command -v apt-get >/dev/null && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq

# What is missing on the machine, and where it comes from: $(call need,program,Debian's package)
need = @command -v $(1) >/dev/null || { echo "$(1) is missing. Install it: apt-get install $(2)" >&2; exit 1; }

.DEFAULT_GOAL := help
.PHONY: help run test test-fast faults faults-alone faults-moves faults-rest check format sync-tenants wheel settings lock sbom bench lighthouse screenshots html openapi standards scan clean

help:  ## lists the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/installed $(VENV)/libraries $(ASSETS)  ## serves the portal, with a MongoDB of its own unless MONGO_URI is set
	@$(BIN)/python -m portal.serving.supervisor

test: $(VENV)/installed-test $(VENV)/libraries $(VENV)/browser $(VENV)/nginx $(ASSETS)  ## runs the tests, or those of a file or folder: make test T=tests/api
	$(BIN)/pytest $(T)

test-fast: $(VENV)/installed-test $(VENV)/libraries $(ASSETS)  ## runs the tests that need no browser and no process and take no time, one case of each
	$(BIN)/pytest -n logical -m "not full and not (browser or processes or slow or further)" $(T)

faults: faults-alone faults-moves faults-rest  ## runs the long rest: kills and stops processes and servers wherever it can, and tells figures

# Each part is run by itself too, and by make -k also when another failed.
LONG = $(BIN)/pytest --timeout 900

faults-alone: $(VENV)/installed-test $(VENV)/libraries $(ASSETS)
	$(LONG) -n 0 -m "full or not full" --ignore tests/faults/test_moves.py tests/faults

faults-moves: $(VENV)/installed-test $(VENV)/libraries $(ASSETS)
	$(LONG) -m "full or not full" tests/faults/test_moves.py

faults-rest: $(VENV)/installed-test $(VENV)/libraries $(VENV)/browser $(VENV)/nginx $(ASSETS)
	$(LONG) -m full --ignore tests/faults

check: $(VENV)/installed-test  ## format, lint, types, templates, dependencies, packaging
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/deptry .
	$(BIN)/python -m tests.sync_tenants --check
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec compose.yaml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml

format: $(VENV)/installed-test  ## formats the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sync-tenants: $(VENV)/installed-test  ## writes portal/tenants/_sync again, after a change of portal/tenants/_async
	$(BIN)/python -m tests.sync_tenants

wheel: $(VENV)/installed-test  ## builds what applications install, portal-tenants, into build/wheels/
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir build/wheels portal/tenants

settings: $(VENV)/installed  ## writes the table in docs/settings.md, .env.example, and the role in compose and docs/operating.md
	$(BIN)/python -m portal.serving.settings_docs

lock: $(VENV)/installed  ## locks requirements.in and requirements-test.in with what they need, for every platform, with hashes
	$(COMPILE) requirements.in --output-file requirements.txt
	$(COMPILE) requirements-test.in --output-file requirements-test.txt

sbom: $(VENV)/installed $(CYCLONEDX)/installed  ## writes a list of all that the portal is made of to build/sbom.json (CycloneDX)
	$(CYCLONEDX)/bin/cyclonedx-py requirements requirements.txt --output-file build/sbom.json

bench: $(VENV)/installed-test $(ASSETS)  ## measures start, sign-up, rename, pages and more, or PART="rename store"; wants a quiet machine
	@$(BIN)/python -m bench $(PART)

lighthouse: $(VENV)/browser $(LIGHTHOUSE)/installed $(ASSETS)  ## has Lighthouse judge the main pages as on a phone; about ten minutes
	$(BIN)/python -m tests.lighthouse $(LIGHTHOUSE)

screenshots: $(VENV)/browser $(ASSETS)  ## takes the README's pictures of pages again
	$(BIN)/python -m tests.screenshots

html: $(VENV)/installed-test $(VNU)/installed $(ASSETS)  ## has the W3C's validator check every page that a test sees
	$(call need,java,default-jre-headless)
	rm -rf build/pages
	$(BIN)/pytest --ignore tests/browser --save-pages=build/pages
	$(BIN)/python -m tests.pages $(VNU) build/pages

openapi: $(VENV)/installed-test $(REDOCLY)/installed $(SPECTRAL)/installed $(ASSETS)  ## has two linters check the OpenAPI document
	$(BIN)/python -m tests.openapi $(REDOCLY) $(SPECTRAL)

standards: $(VENV)/installed-test $(VENV)/libraries $(ASSETS) build/$(PYMONGO).tar.gz  ## runs MongoDB's own tests for drivers over the data API and the library
	$(BIN)/python -m tests.standards build/$(PYMONGO).tar.gz

scan: $(VENV)/installed-test $(WAPITI)/installed $(ASSETS)  ## has the scanner Wapiti attack the portal, as a stranger and as a member
	$(call need,openssl,openssl)
	$(BIN)/python -m tests.scan $(WAPITI)

clean:  ## removes what set-up made; the portal's data in instance/ stays
	rm -rf $(VENV) build

$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing. Install it: apt-get install python3 python3-venv" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed. Name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv is missing. Install it: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The packages of a lock file, each with one of its hashes, from pip's index: by uv, or where that can't be had by pip.
define install
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > $(VENV)/uv.txt
	@$(PIP) -r $(VENV)/uv.txt && UV_DEFAULT_INDEX=$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null)}} \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r $(1) \
		|| { echo "Installing by pip instead, about half a minute ..."; $(PIP) -r $(1); }
endef

$(VENV)/installed: requirements.txt | $(BIN)/python
	@echo "Installing what the portal needs ..."
	$(call install,requirements.txt)
	@touch $@

$(VENV)/installed-test: requirements.txt requirements-test.txt | $(BIN)/python
	@echo "Installing what checks and tests need ..."
	$(call install,requirements-test.txt)
	@touch $@ $(VENV)/installed

# What the embedded mongod links to. Where it can't be installed here the portal says what to install.
$(VENV)/libraries: $(VENV)/installed
	@missing=$$($(BIN)/python -m portal.serving.mongod) && { test -z "$$missing" || { $(APT_INSTALL) $$missing >/dev/null; } || true; }
	@touch $@

build/npm/%/installed:
	$(call need,node,nodejs)
	$(call need,npm,npm)
	@echo "Installing $* ..."
	PUPPETEER_SKIP_DOWNLOAD=1 npm install --prefix $(@D) --ignore-scripts --no-audit --no-fund --silent $*
	@touch $@

build/pip/%/installed: | $(BIN)/python
	@echo "Installing $* ..."
	$(BIN)/python -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check $(subst @,==,$*)
	@touch $@

build/pymongo-%.tar.gz: | $(BIN)/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --dest $(@D) pymongo==$*

$(ASSETS): $(VENV)/installed portal/serving/build.py $(wildcard static/*/*)
	$(BIN)/python -m portal.serving.build

$(VENV)/nginx: $(VENV)/installed-test
	@{ command -v nginx && command -v openssl && command -v systemd-analyze; } >/dev/null || { $(APT_INSTALL) nginx openssl systemd >/dev/null; } || true
	$(call need,nginx,nginx)
	$(call need,openssl,openssl)
	$(call need,systemd-analyze,systemd)
	@touch $@

$(VENV)/browser: $(VENV)/installed-test
	@command -v chromium-headless-shell >/dev/null || { $(APT_INSTALL) chromium-headless-shell >/dev/null; } \
		|| $(BIN)/python -m tests.browser.chromium 2>/dev/null || $(BIN)/playwright install chromium || true
	@$(BIN)/python -m tests.browser.chromium
	@touch $@
