# Every target makes ready what it needs first (tools/bootstrap), so each works in a fresh clone.
# `make` alone lists them by group.

STACK ?= local
BASE ?= main
USER_ID ?= u1
SCOPES ?= payments:read payments:write
# Two test processes: more than one core's worth of waiting, little enough for a laptop's memory.
WORKERS ?= 2
# The stage of the image.
TARGET ?= production
# By groups: the tests of a server that is expensive to start share one process.
SPREAD := -n $(WORKERS) --dist loadgroup

PYTHON := .venv/bin/python
BOOTSTRAP := @tools/bootstrap
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export HOME := $(shell root="$(CURDIR)"; . scripts/writable_home.sh; echo "$$HOME")
.DEFAULT_GOAL := help

# --- run it ----------------------------------------------------------------------------------

.PHONY: demo
demo: ## one order, payment, grant and refund on embedded defaults, then `pulumi up` in render mode
	$(BOOTSTRAP) venv pulumi
	@$(PYTHON) -m scripts.platform.demo

.PHONY: dev
dev: ## the service in the foreground: API on PORT (8080), metrics on OPS_PORT (9464), simulator on SIMULATOR_PORT (8090)
	$(BOOTSTRAP) venv
	@exec $(PYTHON) -m scripts.platform.dev

.PHONY: token
token: ## a token that `make dev` accepts: USER_ID=u1 SCOPES="payments:read payments:write"
	$(BOOTSTRAP) venv
	@$(PYTHON) -m scripts.platform.token --user "$(USER_ID)" --scopes "$(SCOPES)"

# --- check it --------------------------------------------------------------------------------

.PHONY: check
check: lint fresh test ## what CI runs: format, lint, types, import rules, prose, generated files, tests

.PHONY: lint
lint: ## format, lint, types, import rules, dead code, Dockerfiles and prose
	$(BOOTSTRAP) venv
	$(PYTHON) -m ruff format --check --quiet .
	$(PYTHON) -m ruff check --quiet .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(PYTHON) -m vulture
	.venv/bin/hadolint --failure-threshold style Dockerfile scripts/cluster/images/*/Dockerfile
	@$(PYTHON) -m scripts.prose

.PHONY: fresh
fresh: ## fail when `make render` would change a committed file
	$(BOOTSTRAP) venv pulumi
	@$(PYTHON) -m scripts.render --check

.PHONY: policy
policy: ## check the rendered manifests: our rules, kube-score, kubeconform, Pod Security; STACK=local|staging|prod|all
	$(BOOTSTRAP) venv kubeconform kube-score pod-security
	@$(PYTHON) -m scripts.policy $(if $(filter command line,$(origin STACK)),$(STACK),all)

.PHONY: migrations
migrations: ## refuse what the release before can't live with, or what locks a table for long
	$(BOOTSTRAP) venv
	@$(PYTHON) -m scripts.migrations

.PHONY: parity
parity: ## every difference between staging and prod; one without a declared reason fails
	$(BOOTSTRAP) venv
	@$(PYTHON) -m scripts.parity

.PHONY: test
test: ## every test that needs no cluster
	$(BOOTSTRAP) venv pulumi kubernetes-provider promtool prometheus amtool stripe-mock kubeconform kube-score pod-security actionlint control-plane wrk
	$(PYTHON) -m pytest $(SPREAD) --ignore=tests/cluster --ignore=tests/stacks

.PHONY: live
live: ## cause each alert's fault under a real Prometheus and see it fire, panels with data: ARGS="--json"
	$(BOOTSTRAP) venv prometheus
	@$(PYTHON) -m tests.live $(ARGS)

.PHONY: cluster-test
cluster-test: ## what `up` makes, under load, on the cluster of `make cluster`, 40 minutes: FORM=short|long
	$(BOOTSTRAP) venv pulumi kubernetes-provider kubectl image
	$(PYTHON) -m pytest tests/cluster --form=$(or $(FORM),long) $(if $(filter short,$(FORM)),,--report=docs/resilience.md)

.PHONY: stacks-test
stacks-test: ## releases on a real API server with simulated nodes (kwok), and the life of staging and prod: some minutes
	$(BOOTSTRAP) venv pulumi kubernetes-provider control-plane
	$(PYTHON) -m pytest -n $(WORKERS) tests/stacks

.PHONY: coverage
coverage: ## the tests again, measured: how much of service/ they run, processes of their own included
	$(BOOTSTRAP) venv pulumi kubernetes-provider promtool prometheus amtool stripe-mock kubeconform kube-score pod-security actionlint wrk
	@mkdir -p .state/coverage
	$(PYTHON) -m coverage erase
	$(PYTHON) -m coverage run -m pytest $(SPREAD) --ignore=tests/cluster --ignore=tests/stacks --ignore=tests/live $(TESTS)
	$(PYTHON) -m coverage combine --quiet
	$(PYTHON) -m coverage html --quiet --directory .state/coverage/html
	$(PYTHON) -m coverage report

.PHONY: audit
audit: ## what the image carries: advisories, hashes, licenses, a bill of materials, the image's files
	$(BOOTSTRAP) venv image
	@$(PYTHON) -m scripts.audit $(if $(IMAGE),--image $(IMAGE))

.PHONY: fmt
fmt: ## format, and fix what the linter can fix
	$(BOOTSTRAP) venv
	$(PYTHON) -m ruff format --quiet .
	$(PYTHON) -m ruff check --fix --quiet .

# --- generate and deploy it ------------------------------------------------------------------

.PHONY: render
render: ## regenerate alerts/generated, dashboards/generated, docs/reference, infra/rendered
	$(BOOTSTRAP) venv pulumi
	@$(PYTHON) -m scripts.render

.PHONY: pictures
pictures: ## draw the dashboards into docs/pictures: ARGS="--prometheus URL --minutes 30"
	$(BOOTSTRAP) venv prometheus
	@$(PYTHON) -m tests.live.pictures $(ARGS)

.PHONY: schemas
schemas: ## renew infra/schemas from the Kubernetes versions that tools/kubernetes-openapi-* name; needs Go
	$(BOOTSTRAP) venv schemas
	@$(PYTHON) -m scripts.schemas

# A cluster is touched by the official provider only; rendering needs no download.
CLUSTER := $(if $(shell grep -s 'coinslot:target.*: *.\{0,1\}cluster' "$(or $(SETTINGS),Pulumi.$(STACK).yaml)"),kubernetes-provider kubectl)

.PHONY: preview up destroy refresh drift releases rollback unlock
preview: ## what `make up` would change: STACK=local|staging|prod
up: ## make it so, and record the release: STACK=local|staging|prod, or SETTINGS=file for other settings
destroy: ## remove it: STACK=local|staging|prod
refresh: ## take over what is really there: STACK=local|staging|prod
drift: ## what is no longer as it was applied; exit code 3 if anything: STACK=local|staging|prod
releases: ## what was released: STACK=local|staging|prod
unlock: ## free it from what an engine that was killed has left: STACK=local|staging|prod
rollback: ## apply an earlier release again: STACK=… TO=<number or commit>
# By exec: a shell in between would not pass on the SIGTERM that make does.
preview up destroy refresh drift releases rollback unlock:
	$(BOOTSTRAP) venv pulumi $(CLUSTER)
	@exec $(PYTHON) -m scripts.deploy.stack $@ $(STACK) $(if $(TO),--to "$(TO)") $(if $(SETTINGS),--settings "$(SETTINGS)") $(ARGS)

.PHONY: cluster cluster-down
cluster: ## a real local Kubernetes with the stack local on it: ON=kind|nodes|context:NAME, or what there is
	$(BOOTSTRAP) venv
	@tools/bootstrap $$($(PYTHON) -m scripts.cluster needs $(if $(ON),--on $(ON)))
	@exec $(PYTHON) -m scripts.cluster up $(if $(ON),--on $(ON))

cluster-down: ## remove it: processes, links, rules, mounts, cgroups, files
	$(BOOTSTRAP) venv
	@exec $(PYTHON) -m scripts.cluster down $(if $(ON),--on $(ON))

.PHONY: diff
diff: ## what a change does to the cluster, with its risks: STACK=staging|…|all BASE=main ARGS="--json"
	$(BOOTSTRAP) venv pulumi pod-security
	@$(PYTHON) -m scripts.deploy.diff $(STACK) --base $(BASE) $(ARGS)

.PHONY: pr-comment
pr-comment: ## put FILE=diff.md of `make diff` on the pull request PR=123, as the one comment; needs gh
	@gh pr comment "$(PR)" --edit-last --create-if-none --body-file "$(FILE)"

.PHONY: image
image: ## build the container image and let a container of it pay a payment: TARGET=production|development
	$(BOOTSTRAP) venv image $(if $(filter development,$(TARGET)),promtool amtool)
	@$(PYTHON) -m scripts.image --target $(TARGET)

.PHONY: base-digest
base-digest: ## pin the image's base by the digest that its registry has today
	$(BOOTSTRAP) venv
	@$(PYTHON) -m scripts.base_digest

.PHONY: push
push: ## push IMAGE=registry/name:tag and name it by digest
	$(BOOTSTRAP) venv
	@$(PYTHON) -m scripts.push $(IMAGE)

# --- load it ---------------------------------------------------------------------------------

.PHONY: load
load: ## a locust run with report and verdict: PROFILE=smoke|short|full|double LOAD_WORKERS=2 ARGS="--url …"
	$(BOOTSTRAP) venv
	@$(PYTHON) -m loadtest $(if $(PROFILE),--profile $(PROFILE)) $(if $(LOAD_WORKERS),--workers $(LOAD_WORKERS)) $(ARGS)

.PHONY: stress
stress: ## find the knee of the load curve, and what happens past it, five minutes: ARGS="--smoke"
	$(BOOTSTRAP) venv
	@exec $(PYTHON) -m loadtest.stress $(ARGS)

.PHONY: soak
soak: ## load evenly at 70 % of the knee and find what rises: MINUTES=30 ARGS="--rate 50"
	$(BOOTSTRAP) venv
	@exec $(PYTHON) -m loadtest.soak $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

.PHONY: bench
bench: ## payments a second against pgbench and peers in Go and FastAPI, 40 minutes; ARGS="--smoke" for 6; needs Go
	$(BOOTSTRAP) venv wrk
	@exec $(PYTHON) -m bench $(ARGS)

.PHONY: help
help: ## this list
	@awk '/^# ---/ { gsub(/^# -* | -*$$/, ""); print "\n" $$0 } \
		/^[a-z-]+:.*## / { printf "  make %-13s %s\n", \
			substr($$0, 1, index($$0, ":") - 1), substr($$0, index($$0, "## ") + 3) }' $(MAKEFILE_LIST)
