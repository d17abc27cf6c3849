# Benchmarks: one program a subject, run through bench/run, which builds it with `make benches`.
bench_progs =
EXTRA_PROGRAMS += $(bench_progs)
noinst_HEADERS += bench/lib/bench.h
