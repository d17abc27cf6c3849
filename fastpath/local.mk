# fastpath/: the packet plane's own code; libfp.a is what its program, tests and benches link.
