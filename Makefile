# thanosc: one non-recursive make. `make help` lists the targets.

.DEFAULT_GOAL := all
MODE    ?= release
BUILD   ?= build
CC      ?= gcc
CXX     ?= g++
PREFIX  ?= /usr/local
DESTDIR ?=

O := $(BUILD)/$(MODE)
T := build/third_party

VERSION := $(shell cat VERSION)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)

WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wvla \
	-Wformat=2 -Wundef -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wnull-dereference
CWARN := $(WARN) -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
INC  := -Ilib -I$(T)/curl/include -isystem /usr/share/include/llhttp
CPP  := $(INC) -D_GNU_SOURCE -DCURL_STATICLIB -MMD -MP
MODE_release := -O2 -g1 -fno-plt -fno-omit-frame-pointer
MODE_asan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined -DFAULTS
MODE_tsan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=thread -DTST_INPROC -DFAULTS
MODE_fuzz    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined
ifeq ($(MODE),fuzz)
CC := clang
CXX := clang++
WARN := -Wall -Wextra
CWARN := $(WARN)
endif
FLAGS  := $(MODE_$(MODE)) -ffp-contract=off -fno-strict-aliasing -pthread
CFLAGS   := -std=gnu11 $(FLAGS) $(CWARN)
CXXFLAGS := -std=c++17 $(FLAGS) $(filter-out -Wlogical-op -Wduplicated-branches -Wnull-dereference,$(WARN)) -fno-exceptions

# Static libraries of the product; jemalloc first. Sanitized builds link shared ones, without jemalloc.
LIBS := $(T)/curl/lib/libcurl.a -luv -lcares -lnghttp2 -lssl -lcrypto -ljansson -llz4 -lzstd -lz \
	-lsnappy -lyaml -lre2 -lxxhash -lexpat -lcrypt -lstdc++ -lm
LINK_release := -static
STATIC_LIBS := -ljemalloc $(patsubst -luv,-luv_a,$(LIBS))

-include $(BUILD)/layers.mk
$(BUILD)/layers.mk: lib/LAYERS scripts/gen-layers-mk
	@mkdir -p $(@D)
	@scripts/gen-layers-mk > $@

us = $(subst /,_,$1)
srcs_of = $(wildcard lib/$1/*.c lib/$1/*.cc)
objs_of = $(patsubst %,$(O)/%.o,$(call srcs_of,$1))
archive = $(O)/lib$(call us,$1).a
LLHTTP := $(patsubst /usr/share/llhttp/%.c,$(O)/llhttp/%.o,$(wildcard /usr/share/llhttp/*.c))

.PHONY: all
all: $(BUILD)/thanosc

define module_rules
$(call archive,$1): $(call objs_of,$1) $(if $(filter http,$1),$(LLHTTP))
	@mkdir -p $$(@D)
	@rm -f $$@
	@ar rcs $$@ $$^
endef
$(foreach m,$(MODULES),$(eval $(call module_rules,$m)))

# taken in as they are
$(O)/lib/ui/query_box.c.o: lib/ui/query.html lib/ui/query.js

# headers of libcurl come with its build
$(O)/%.c.o: %.c | $(T)/curl/lib/libcurl.a
	@mkdir -p $(@D)
	@echo "  CC  $<"
	@$(CC) $(CPP) $(CFLAGS) -c -o $@ $<
$(O)/%.cc.o: %.cc
	@mkdir -p $(@D)
	@echo "  CXX $<"
	@$(CXX) $(CPP) $(CXXFLAGS) -c -o $@ $<
$(O)/llhttp/%.o: /usr/share/llhttp/%.c
	@mkdir -p $(@D)
	@$(CC) -O2 $(MODE_$(MODE)) -I/usr/share/include/llhttp -w -c -o $@ $<

# the commit in --version is that of the checkout, also when nothing else changed
$(shell mkdir -p $(BUILD); echo '$(COMMIT)' | cmp -s - $(BUILD)/commit || echo '$(COMMIT)' >$(BUILD)/commit)
$(O)/cmd/thanosc/version.c.o: $(BUILD)/commit
$(O)/cmd/thanosc/version.c.o: CPP += -DTHANOSC_VERSION='"$(VERSION)"' -DTHANOSC_COMMIT='"$(COMMIT)"'

link_mods = -Wl,--start-group $(foreach m,$1,$(call archive,$m)) -Wl,--end-group

# ---- the program ----
CMD_OBJS := $(patsubst %,$(O)/%.o,$(wildcard cmd/thanosc/*.c))
$(BUILD)/thanosc: $(BUILD)/release/thanosc
	@cp -f $< $@.tmp && strip $@.tmp && mv -f $@.tmp $@
$(O)/thanosc: $(CMD_OBJS) $(foreach m,$(MODULES),$(call archive,$m)) $(T)/curl/lib/libcurl.a
	@scripts/check-symbols $(foreach m,$(MODULES),$(call archive,$m))
	@echo "  LD  $@"
	@# what glibc says of static programs is left out; ld's own way of being quiet passes over missing and doubled names, too
	@$(CXX) $(LINK_$(MODE)) $(FLAGS) -o $@ $(CMD_OBJS) \
	  $(call link_mods,$(MODULES)) $(if $(filter release,$(MODE)),$(STATIC_LIBS),$(LIBS)) 2>$@.log; rc=$$?; \
	  grep -v 'in statically linked applications\|: in function ' $@.log >&2; rm -f $@.log; exit $$rc

$(T)/curl/lib/libcurl.a: third_party/build-curl
	third_party/build-curl $(T)

# ---- unit tests: test/unit/<module with _>/test_*.c, one program a module ----
SUPPORT := $(patsubst %,$(O)/%.o,$(wildcard test/support/*.c))
unit_dirs := $(notdir $(wildcard test/unit/*))
mod_of = $(firstword $(foreach m,$(MODULES),$(if $(filter $1,$(call us,$m)),$m)))
define unit_rules
$(O)/test/unit_$1: $(patsubst %,$(O)/%.o,$(wildcard test/unit/$1/*.c)) $(SUPPORT) \
  $(foreach m,$(CLOSURE_$(call mod_of,$1)),$(call archive,$m)) $(T)/curl/lib/libcurl.a
	@mkdir -p $$(@D)
	@echo "  LD  $$@"
	@$(CXX) $(FLAGS) -o $$@ $$(filter %.o,$$^) $(call link_mods,$(CLOSURE_$(call mod_of,$1))) $(LIBS) \
	  $(if $(filter tsan,$(MODE)),,-lcriterion)
endef
$(foreach d,$(unit_dirs),$(eval $(call unit_rules,$d)))
$(O)/test/%.c.o: CPP += -Itest -Wno-unused-parameter

# ---- fuzz targets: test/fuzz/fuzz_*.c; a plain driver replays the corpora in `make test` ----
FUZZ := $(patsubst test/fuzz/%.c,%,$(wildcard test/fuzz/fuzz_*.c))
ALL_ARCHIVES = $(foreach m,$(MODULES),$(call archive,$m))
$(O)/test/replay_%: $(O)/test/fuzz/%.c.o $(O)/test/fuzz/replay.c.o $(ALL_ARCHIVES) $(T)/curl/lib/libcurl.a
	@$(CXX) $(FLAGS) -o $@ $(filter %.o,$^) $(call link_mods,$(MODULES)) $(LIBS)
$(O)/fuzz_%: $(O)/test/fuzz/fuzz_%.c.o $(ALL_ARCHIVES) $(T)/curl/lib/libcurl.a
	@$(CXX) $(FLAGS) -fsanitize=fuzzer -o $@ $(filter %.o,$^) $(call link_mods,$(MODULES)) $(LIBS)

# ---- programs that tests drive: test/tools; they link the engine, blocks and rendering, no servers ----
TOOLS := $(patsubst test/tools/%.c,%,$(wildcard test/tools/*.c))
TOOL_MODULES := $(sort $(CLOSURE_promql/exec) $(CLOSURE_compact) fs tsdb/index tsdb/block tsdb/write proto)
tools: $(patsubst %,$(O)/test/tool_%,$(TOOLS))
$(O)/test/tool_%: $(O)/test/tools/%.c.o $(O)/lib/api/render.c.o $(foreach m,$(TOOL_MODULES),$(call archive,$m))
	@mkdir -p $(@D)
	@$(CXX) $(FLAGS) -o $@ $(filter %.o,$^) $(call link_mods,$(TOOL_MODULES)) $(filter-out %.a,$(LIBS))

# ---- the runner of PromQL test scripts ----
PROMQLTEST := $(patsubst %,$(O)/%.o,$(wildcard test/promqltest/*.c))
$(O)/test/run_promqltest: $(PROMQLTEST) $(foreach m,$(TOOL_MODULES),$(call archive,$m))
	@mkdir -p $(@D)
	@$(CXX) $(FLAGS) -o $@ $(filter %.o,$^) $(call link_mods,$(TOOL_MODULES)) $(filter-out %.a,$(LIBS))
## build/test/promqltest: the runner of PromQL test scripts: build/test/promqltest FILE...
build/test/promqltest: $(O)/test/run_promqltest
	@mkdir -p $(@D)
	@cp $< $@

# ---- benchmarks and other programs of test/bench ----
$(O)/test/bench_%: $(O)/test/bench/bench_%.c.o $(ALL_ARCHIVES) $(T)/curl/lib/libcurl.a
	@mkdir -p $(@D)
	@$(CXX) $(FLAGS) -o $@ $(filter %.o,$^) $(call link_mods,$(MODULES)) $(LIBS)

## all: build build/thanosc, the static binary (the default)
## help: list the targets
.PHONY: help deps demo test test-unit test-golden test-e2e torture lint bench bench-network interop fuzz install uninstall clean
help:
	@sed -n 's/^## //p' $(firstword $(MAKEFILE_LIST))

## deps: install the Debian packages that building and testing need (apt), build the minimal libcurl
deps:
	third_party/install build test demo
	third_party/build-curl $(T)

## demo: three real Prometheus, sidecars, a bucket, store and query; shows answers, waits for Ctrl-C (DEMO=once: ends)
DEMO ?=
demo:
	@third_party/install build demo
	@$(MAKE) --no-print-directory -j$$(nproc) all
	@scripts/demo $(DEMO)

## test: everything CI runs: unit (asan, tsan), fuzz corpora, golden answers, end to end; ends with a count
test:
	@third_party/install build test demo
	@scripts/test-all

## test-unit: unit tests under ASan+UBSan, thread-heavy ones under TSan, fuzz corpora replayed
test-unit:
	@scripts/test-all unit
## test-golden: recorded answers and frames of real peers against the built binary
test-golden:
	@scripts/test-all golden
## test-e2e: real processes of Debian beside ours
test-e2e:
	@scripts/test-all e2e

## unit-MODULE: build and run the unit tests of one module (slashes as _), e.g. make MODE=asan unit-tsdb_chunk
unit-%: $(O)/test/unit_%
	$<
.PHONY: unit-programs replay-programs
unit-programs: $(foreach d,$(unit_dirs),$(O)/test/unit_$d)
TSAN_MODULES := base task metrics loop net http rpc discovery store compact compactor
tsan-programs: $(foreach d,$(filter $(TSAN_MODULES),$(unit_dirs)),$(O)/test/unit_$d)
replay-programs: $(patsubst %,$(O)/test/replay_%,$(FUZZ))
print-unit-programs:
	@echo $(foreach d,$(unit_dirs),$(O)/test/unit_$d)
print-tsan-programs:
	@echo $(foreach d,$(filter $(TSAN_MODULES),$(unit_dirs)),$(O)/test/unit_$d)
print-replay-programs:
	@echo $(patsubst %,$(O)/test/replay_%,$(FUZZ))

## torture: every fault point (base/fault.h) failing and killing once, 200 kills of a shipping sidecar, 300 of a compactor on each kind of bucket; `make test` runs a part of it
TORTURE := $(patsubst test/unit/%/test_torture.c,%,$(wildcard test/unit/*/test_torture.c))
torture:
	@$(MAKE) --no-print-directory MODE=asan $(TORTURE:%=$(BUILD)/asan/test/unit_%) $(BUILD)/asan/thanosc
	@for d in $(TORTURE); do TORTURE=all $(BUILD)/asan/test/unit_$$d --filter 'torture*/*' || exit 1; done
	@$(MAKE) --no-print-directory MODE=asan $(BUILD)/asan/test/unit_compactor
	@TORTURE=all $(BUILD)/asan/test/unit_compactor --filter 'crash/*'
	@test/torture/kill_sidecar
	@third_party/install s3
	@$(MAKE) --no-print-directory all
	@test/torture/kill_compact fs rgw

## lint: layers, formatting, static analysis, shell scripts
lint:
	@scripts/lint

## bench: XOR decoding, one query and ten queries beside Prometheus (Debian's and PROMETHEUS=), a sidecar's blocks beside remote read, what bench-network measures, compaction and downsampling beside THANOS= (without: ours only); writes test/bench/RESULTS.md
BENCHES := $(patsubst test/bench/%.c,%,$(wildcard test/bench/bench_*.c))
BENCH_PROGRAMS := $(patsubst %,$(BUILD)/release/test/%,$(BENCHES))
BENCH_TEXTS := $(BUILD)/release/test/series_text $(BUILD)/release/test/promql_text
$(BENCH_TEXTS): $(BUILD)/release/test/%: $(BUILD)/release/test/bench/%.c.o
	@$(CC) $(FLAGS) -o $@ $^
bench: $(BUILD)/thanosc $(BENCH_PROGRAMS) $(BENCH_TEXTS) tools
	@third_party/install s3 test
	@test/bench/bench_query $(filter-out %/bench_rpc %/bench_s3,$(BENCH_PROGRAMS)) # those are bench_network's
	@PROMETHEUS="$(PROMETHEUS)" test/bench/bench_promql
	@test/bench/bench_sidecar
	@test/bench/bench_network
	@THANOS="$(THANOS)" test/bench/bench_compact
	@THANOS="$(THANOS)" test/bench/bench_downsample

## bench-network: gRPC streams, Series through the sidecar, S3 objects; writes its part of test/bench/RESULTS.md
bench-network: $(BUILD)/thanosc $(BENCH_PROGRAMS) $(BENCH_TEXTS) tools
	@third_party/install s3 test
	@test/bench/bench_network

## interop: ours and a real Thanos together: make interop THANOS=/path [PROMETHEUS=/path of a 3.x]; see test/interop/README.md
THANOS ?=
PROMETHEUS ?=
interop: all
	@THANOS="$(THANOS)" PROMETHEUS="$(PROMETHEUS)" test/interop/run

## fuzz: build the libFuzzer targets with clang and run each for FUZZ_SECONDS (60)
FUZZ_SECONDS ?= 60
fuzz:
	@third_party/install fuzz
	@$(MAKE) --no-print-directory MODE=fuzz $(patsubst %,$(BUILD)/fuzz/%,$(FUZZ))
	@for f in $(FUZZ); do c=test/fuzz/corpus/$${f#fuzz_}; mkdir -p $(BUILD)/corpus/$$f; echo "== $$f"; \
	  $(BUILD)/fuzz/$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -print_final_stats=0 \
	    $(BUILD)/corpus/$$f $$( [ -d $$c ] && echo $$c ) 2>&1 | tail -n 3 || exit 1; done

## man: manual pages in build/man, their options from the flag tables
.PHONY: man package
man: all
	@scripts/gen-man
## install: binary, manual pages, shell completion, systemd units under DESTDIR and PREFIX (FHS)
install: man
	scripts/install-files "$(DESTDIR)" "$(PREFIX)"
## uninstall: remove what install put there
uninstall:
	scripts/install-files --remove "$(DESTDIR)" "$(PREFIX)"
## package: build/thanosc_VERSION_amd64.deb
package: man
	scripts/build-deb
## clean: remove build/ but for the libcurl that was built
clean:
	rm -rf $(filter-out $(T),$(wildcard $(BUILD)/*))

-include $(shell find $(O) -name '*.d' 2>/dev/null)
.SECONDARY:
