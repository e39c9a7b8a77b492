# A thin front for Meson. `make help` lists what there is.
#   make demo   install what is missing, build, show a running pair
#   make test   everything that must pass before a change lands
BUILD := build
JOBS  ?= $(shell nproc)
PY    := /usr/bin/python3
MESON := meson setup --wipe -Dwerror=true
SAN   := -Db_sanitize=address,undefined -Db_lundef=false

.PHONY: all build demo test lint format bench fuzz sim sim-mutations sim-built soak debug asan tsan clang fuzzers docs install clean help

all: build

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

packages-%:
	@tools/install-packages.sh $(subst -, ,$*)

## make build    the release binary, left at build/tandem
build: packages-build $(BUILD)/release/build.ninja
	@ninja -C $(BUILD)/release -j$(JOBS) --quiet src/tandem/tandem
	@ln -sf release/src/tandem/tandem $(BUILD)/tandem
	@ln -sf $(BUILD)/release/compile_commands.json compile_commands.json

$(BUILD)/release/build.ninja:
	@mkdir -p $(BUILD) && meson setup $(BUILD)/release --buildtype=release -Dwerror=true -Dtests=false -Db_lto=false >$(BUILD)/release.log || (cat $(BUILD)/release.log; exit 1)
$(BUILD)/debug/build.ninja:
	@mkdir -p $(BUILD) && meson setup $(BUILD)/debug --buildtype=debug -Dwerror=true >$(BUILD)/debug.log || (cat $(BUILD)/debug.log; exit 1)
$(BUILD)/asan/build.ninja:
	@mkdir -p $(BUILD) && meson setup $(BUILD)/asan --buildtype=debugoptimized -Dwerror=true $(SAN) >$(BUILD)/asan.log || (cat $(BUILD)/asan.log; exit 1)
$(BUILD)/tsan/build.ninja:
	@mkdir -p $(BUILD) && meson setup $(BUILD)/tsan --buildtype=debugoptimized -Dwerror=true -Db_sanitize=thread -Db_lundef=false >$(BUILD)/tsan.log || (cat $(BUILD)/tsan.log; exit 1)
$(BUILD)/clang/build.ninja:
	@mkdir -p $(BUILD) && CC=clang-14 meson setup $(BUILD)/clang --buildtype=debug -Dwerror=true >$(BUILD)/clang.log || (cat $(BUILD)/clang.log; exit 1)
$(BUILD)/mutants/build.ninja:
	@mkdir -p $(BUILD) && meson setup $(BUILD)/mutants --buildtype=release -Dwerror=true -Dtests=false -Dmutations=true >$(BUILD)/mutants.log || (cat $(BUILD)/mutants.log; exit 1)
$(BUILD)/fuzz/build.ninja:
	@mkdir -p $(BUILD) && CC=clang-14 meson setup $(BUILD)/fuzz --buildtype=debugoptimized -Dfuzzing=true $(SAN) >$(BUILD)/fuzz.log || (cat $(BUILD)/fuzz.log; exit 1)

## make debug | asan | tsan | clang | fuzzers    the other presets, each in build/NAME
debug asan tsan clang: %: packages-build packages-test
	@$(MAKE) --no-print-directory $(BUILD)/$*/build.ninja && ninja -C $(BUILD)/$* -j$(JOBS) --quiet
fuzzers: packages-build packages-test
	@$(MAKE) --no-print-directory $(BUILD)/fuzz/build.ninja && ninja -C $(BUILD)/fuzz -j$(JOBS) --quiet

## make demo     a hidden primary and two secondaries on this machine; own zone: make demo ZONE=file ORIGIN=name ARGS=--keep
demo: packages-build-demo build
	@$(BUILD)/tandem demo $(if $(ZONE),--zone $(ZONE) --origin $(ORIGIN)) $(ARGS)

## make test     units, corpora, end-to-end with the peers, bounded fuzzing; ends with "N passed, N failed"
test: packages-build-demo-test
	@$(PY) tests/run.py

## make lint     format, layers, banned calls, sizes
lint: packages-test
	@$(PY) tests/lint/lint.py

## make format   rewrites every C file in the project's format
format:
	@git ls-files -co --exclude-standard 'src/*.[ch]' 'tests/*.[ch]' 'bench/*.[ch]' | xargs clang-format-14 -i

## make docs     writes the pages that are made from tables
docs: packages-build packages-test $(BUILD)/debug/build.ninja
	@cd $(BUILD)/debug && ninja --quiet tests/unit/config/test_config_doc tests/unit/wire/test_rr_doc tests/unit/control/test_checks_doc tests/unit/api/test_metrics_doc tests/unit/tandem/test_manual
	@$(BUILD)/debug/tests/unit/config/test_config_doc --write docs/configuration.md
	@$(BUILD)/debug/tests/unit/wire/test_rr_doc --write docs/record-types.md
	@$(BUILD)/debug/tests/unit/control/test_checks_doc --write docs/checks.md
	@$(BUILD)/debug/tests/unit/api/test_metrics_doc --write docs/metrics.md
	@$(BUILD)/debug/tests/unit/tandem/test_manual --write docs/tandem.1

## make fuzz     each fuzz target for SECONDS (default 60) seconds
fuzz: fuzzers
	@$(PY) tests/fuzz/run.py --seconds $(or $(SECONDS),60)

## make sim      whole servers under a virtual clock: SEED=1 SEEDS=100, or SECONDS=60; one seed again: make sim SEED=7 ARGS=--verbose
sim: build
	@ninja -C $(BUILD)/release -j$(JOBS) --quiet tests/sim/tandem_sim
	@$(BUILD)/release/tests/sim/tandem_sim --jobs $(JOBS) --seed $(or $(SEED),1) $(if $(SECONDS),--seconds $(SECONDS),--seeds $(or $(SEEDS),1)) $(ARGS)

## make sim-mutations   each fault of src/base/mutations.def must be caught by the simulator, which says by what seed
sim-mutations: sim-built
	@$(PY) tests/sim/run.py --jobs $(JOBS) --only mutations $(ARGS)
sim-built: build $(BUILD)/mutants/build.ninja
	@ninja -C $(BUILD)/release -j$(JOBS) --quiet tests/sim/tandem_sim
	@ninja -C $(BUILD)/mutants -j$(JOBS) --quiet tests/sim/tandem_sim

## make bench    Tandem beside Knot, NSD, BIND and PowerDNS in one interleaved run; ARGS="--quick" or what bench/bench.py --help says
bench: packages-build-test-bench build
	@ninja -C $(BUILD)/release -j$(JOBS) --quiet bench/bench_load bench/bench_update bench/bench_udp_floor
	@$(PY) bench/bench.py $(ARGS)

## make soak     what is too long for make test
soak: packages-build-demo-test-soak build
	@$(PY) tests/run.py --soak

install: build
	@meson install -C $(BUILD)/release

clean:
	@rm -rf $(BUILD) compile_commands.json
