# `make` lists the targets. Everything cargo cannot fetch by itself is looked after by scripts/deps.sh.

CARGO      ?= cargo
# Extra arguments of every cargo command that resolves dependencies, e.g. --locked.
CARGO_ARGS ?=

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

# End-to-end tests that run at once.
E2E_THREADS ?= 4

# How long `make fuzz` takes for each of its targets, s.
FUZZ_SECONDS ?= 60

# Where scripts/deps.sh puts kubectl, and a newer Node.js when the machine's own is too old.
export PATH := $(CURDIR)/.tools/bin:$(PATH)

.PHONY: help run test test-python test-web test-rust test-vm check check-static check-tree check-page check-rust \
	check-deny check-instructions agent bench bench-rivals soak fuzz build web fmt clean deps-run deps-test

# Targets share cargo's and npm's directories, and the order below is meant: also under -j one at a time.
.NOTPARALLEL:

help:
	@echo 'make run      two simulated nodes, two agents and the aggregator on this machine; Ctrl-C ends all'
	@echo '              CAIRN_KUBELET=real reads the kubelet on 127.0.0.1:10250 (see scripts/run.sh)'
	@echo 'make test     every test: Python, page, Rust, end to end, browser'
	@echo 'make test-vm  the tests of cgroups v2, on a kernel that has them: a virtual machine, emulated, under a minute;'
	@echo '              ALLOW_NO_CGROUP2=1 leaves it out'
	@echo 'make check    everything the build server runs: check-static, test-vm, then test'
	@echo 'make bench    every figure that has a goal, some half an hour (release build);'
	@echo '              BENCH="--only PART --agents N --seconds N --mix C" (see BENCHMARKS.md)'
	@echo 'make bench-rivals'
	@echo '              Prometheus, VictoriaMetrics and InfluxDB on the same rows as Cairn, some five minutes;'
	@echo '              RIVALS="--only NAME --nodes N --mix C" (see BENCHMARKS.md)'
	@echo 'make soak     100,000 ticks of pods that come and go: nothing that a process holds grows; and ten minutes of'
	@echo '              hostile agents beside 500 nodes: the kernel kills nobody at the documented memory limit'
	@echo 'make fuzz     feeds the agent'"'"'s parsers, what the aggregator reads and the codec made-up bytes, FUZZ_SECONDS=60'
	@echo '              each (needs cargo-fuzz)'
	@echo 'make build    the page and all binaries, into target/debug'
	@echo 'make agent    the agent as it is shipped, small and with its C library in it: target/agent/cairn-agent'
	@echo 'make web      the page only, into aggregator/web/dist'
	@echo 'make fmt      formats the Rust sources'
	@echo 'make clean    removes everything that was built or installed below this directory'

deps-run:
	@scripts/deps.sh run

deps-test:
	@scripts/deps.sh test

web: deps-run
	@scripts/web.sh

build: web
	$(CARGO) build $(CARGO_ARGS) --workspace --bins

# As it is shipped, into target/agent.
agent:
	@CARGO='$(CARGO)' CARGO_ARGS='$(CARGO_ARGS)' scripts/agent.sh

run: web
	@CARGO='$(CARGO)' CARGO_ARGS='$(CARGO_ARGS)' scripts/run.sh

# Cheapest first; the end-to-end tests come last.
test: deps-test test-python test-web test-rust

test-python: deps-test
	python3 -B -m unittest discover --start-directory tests/expect
	PYTHONPATH=.tools/python python3 -B -m unittest discover --start-directory tests/deploy

test-web: deps-test
	npm --prefix aggregator/web test

# End-to-end tests start the built binaries, so these are built first, and in one graph with the tests: by
# itself each would be made of other features, and most of the workspace of both. The tests of e2e wait more than
# they compute, so more of them run beside each other than there are processors; `?[!2]*` is every other program,
# which a test of contract.rs holds.
test-rust: deps-test web
	$(CARGO) build $(CARGO_ARGS) --workspace --lib --bins --tests
	$(CARGO) test $(CARGO_ARGS) --workspace --no-fail-fast --doc
	@failed=0; set -x; \
	$(CARGO) test $(CARGO_ARGS) --workspace --no-fail-fast --lib --bins --test '?[!2]*' || failed=1; \
	$(CARGO) test $(CARGO_ARGS) --workspace --no-fail-fast --test e2e -- --test-threads $(E2E_THREADS) || failed=1; \
	exit $$failed

# Installs by itself what it needs, when it is not to be left out.
test-vm:
	@CARGO='$(CARGO)' CARGO_ARGS='$(CARGO_ARGS)' scripts/test-vm.sh

check: check-static test-vm test

check-static: deps-test check-tree check-page check-rust check-deny check-instructions

check-tree:
	scripts/check-sizes.sh
	scripts/check-text.sh
	scripts/check-lock.sh
	scripts/check-shell.sh

check-page: deps-test
	npm --prefix aggregator/web run check

# The page is embedded by the aggregator's build, so it has to be there first. An agent that is built by itself
# is made of less than one that is built beside the others.
check-rust: web
	$(CARGO) fmt --all --check
	cd agent/fuzz && $(CARGO) fmt --check
	cd aggregator/fuzz && $(CARGO) fmt --check
	cd proto/fuzz && $(CARGO) fmt --check
	$(CARGO) clippy $(CARGO_ARGS) --workspace --all-targets -- -D warnings
	$(CARGO) clippy $(CARGO_ARGS) -p cairn-agent -- -D warnings
	RUSTDOCFLAGS='-D warnings' $(CARGO) doc $(CARGO_ARGS) --workspace --no-deps

# Licences, bans and sources; advisories need a network and are the build server's own matter.
check-deny:
	@if command -v cargo-deny >/dev/null 2>&1; then \
		$(CARGO) deny check bans licenses sources; \
	else \
		echo 'check-deny: cargo-deny is not installed, skipped'; \
	fi

# What the codec costs, against tests/bench/instructions.txt; some seconds once it is built.
check-instructions: deps-test
	@CARGO='$(CARGO)' CARGO_ARGS='$(CARGO_ARGS)' scripts/check-instructions.sh

# Options of bench, for example: make bench BENCH='--only w10 --agents 500'
BENCH ?=

# What is measured is built by itself: what the kit and the tests want of shared crates is not in it. The
# agent has a profile of its own; the bench takes it from beside itself.
bench: web
	@CARGO='$(CARGO)' CARGO_ARGS='$(CARGO_ARGS)' scripts/agent.sh $(TARGET_DIR)/release/cairn-agent
	$(CARGO) build $(CARGO_ARGS) --release -p cairn-aggregator
	$(CARGO) build $(CARGO_ARGS) --release -p cairn-aggregator --example store-append --example pods
	$(CARGO) build $(CARGO_ARGS) --release -p cairn-agent --example cgroup-cost
	$(CARGO) build $(CARGO_ARGS) --release -p cairn-tests --bin fleet-sim --bin kubelet-sim
	$(CARGO) run $(CARGO_ARGS) --release -p cairn-tests --bin bench -- $(BENCH)

# Options of bench-rivals, for example: make bench-rivals RIVALS='--only prometheus --nodes 50'
RIVALS ?=

bench-rivals: web
	scripts/rivals.sh fetch
	@CARGO='$(CARGO)' CARGO_ARGS='$(CARGO_ARGS)' scripts/agent.sh $(TARGET_DIR)/release/cairn-agent
	$(CARGO) build $(CARGO_ARGS) --release -p cairn-aggregator
	$(CARGO) build $(CARGO_ARGS) --release -p cairn-tests --bin bench-rivals
	scripts/rivals.sh run $(RIVALS)

# What `make test` does for 20,000 ticks, for 100,000, and what it does for a minute, for ten.
soak: web
	$(CARGO) build $(CARGO_ARGS) --workspace --bins
	$(CARGO) test $(CARGO_ARGS) -p cairn-tests --features soak --test churn -- 100_000 --nocapture
	$(CARGO) test $(CARGO_ARGS) -p cairn-tests --features soak --test memory_max -- ten_minutes --nocapture

# The sanitizer and the coverage that guides the search are options of a nightly compiler, which the
# pinned one takes as well when it is told so. What is found stays below fuzz/target; the corpus is
# only read. A crash is written to fuzz/artifacts. The codec promises a bound on what it allocates, so
# the engine watches that.
fuzz:
	@command -v cargo-fuzz >/dev/null 2>&1 || { \
		echo 'fuzz: cargo-fuzz is missing: cargo install cargo-fuzz --locked'; exit 1; }
	@command -v c++ >/dev/null 2>&1 || { \
		echo 'fuzz: a C++ compiler is missing: apt-get install g++'; exit 1; }
	for target in summary resource cadvisor; do \
		mkdir -p agent/fuzz/target/found/$$target && \
		(cd agent && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-dict=fuzz/$$target.dict -max_total_time=$(FUZZ_SECONDS)) || exit 1; \
	done
	for target in routes certificates objects quantities; do \
		mkdir -p aggregator/fuzz/target/found/$$target && \
		(cd aggregator && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-dict=fuzz/$$target.dict -max_total_time=$(FUZZ_SECONDS)) || exit 1; \
	done
	for target in row_keyframe row_with_base row_decode_only row_story chunk chunk_story; do \
		mkdir -p proto/fuzz/target/found/$$target && \
		(cd proto && RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run $$target fuzz/target/found/$$target fuzz/corpus/$$target -- \
			-malloc_limit_mb=64 -rss_limit_mb=1024 -max_total_time=$(FUZZ_SECONDS)) || exit 1; \
	done

fmt:
	$(CARGO) fmt --all
	cd agent/fuzz && $(CARGO) fmt
	cd aggregator/fuzz && $(CARGO) fmt
	cd proto/fuzz && $(CARGO) fmt

clean:
	$(CARGO) clean
	rm -rf agent/fuzz/target agent/fuzz/artifacts aggregator/fuzz/target aggregator/fuzz/artifacts proto/fuzz/target proto/fuzz/artifacts
	rm -rf .run .tools aggregator/web/dist aggregator/web/node_modules tests/browser/node_modules tests/browser/shots
