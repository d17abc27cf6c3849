# Check programs: TESTS lists them for `make check`; tools/test runs each and counts its cases.
# A fragment per subject, so that two subjects never edit the same lines.
include tests/unit/lib.mk
include tests/unit/daemon.mk
include tests/unit/capture.mk
include tests/unit/fastpath.mk
include tests/replay/local.mk
include tests/fuzz/local.mk
