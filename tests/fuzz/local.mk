# libFuzzer targets: built with --enable-fuzz, one program and one folder of seeds a parser:
# tests/fuzz/fuzz_NAME.c and tests/fuzz/corpus/NAME/. tools/test replays each corpus; `tools/test
# long` explores. Add the program to fuzz_progs.
fuzz_progs =
EXTRA_PROGRAMS = $(fuzz_progs)
if FUZZ
noinst_PROGRAMS += $(fuzz_progs)
endif
fuzz_progs += tests/fuzz/fuzz_cliproto
tests_fuzz_fuzz_cliproto_SOURCES = tests/fuzz/fuzz_cliproto.c
tests_fuzz_fuzz_cliproto_LDADD = librtr.a
tests_fuzz_fuzz_cliproto_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
fuzz_progs += tests/fuzz/fuzz_classify
tests_fuzz_fuzz_classify_SOURCES = tests/fuzz/fuzz_classify.c tests/lib/classify_oracle.h
tests_fuzz_fuzz_classify_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/fastpath
tests_fuzz_fuzz_classify_LDADD = libfp.a librtr.a
tests_fuzz_fuzz_classify_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
