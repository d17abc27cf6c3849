# docs/: user guide, generated CLI reference, man pages, design notes.
dist_man_MANS += docs/man/rtrd.8 docs/man/rtrctl.1 docs/man/rtrd.conf.5
dist_man_MANS += docs/man/rtr-arpd.8
dist_man_MANS += docs/man/rtr-vrrpd.8 docs/man/rtr-autod.8
dist_man_MANS += docs/man/rtr-inspectd.8
dist_man_MANS += docs/man/rtr-fastpath.8
dist_doc_DATA += README.md docs/user-guide.md docs/contributing.md
dist_doc_DATA += docs/tracking.md
dist_doc_DATA += docs/conntrack.md
dist_doc_DATA += docs/policy-routing.md
dist_doc_DATA += docs/nat.md
dist_doc_DATA += docs/vrrp.md
dist_doc_DATA += docs/virtual-links.md
dist_doc_DATA += docs/neighbours.md
dist_doc_DATA += docs/autoconfiguration.md
dist_doc_DATA += docs/nic.md
dist_doc_DATA += docs/fastplane.md
dist_doc_DATA += docs/operations.md docs/coexistence.md docs/performance.md

# From the tables of the parser, by the program itself: never in git, made where it runs.
doc_DATA = docs/cli-reference.md
CLEANFILES += docs/cli-reference.md
docs/cli-reference.md: rtrd$(EXEEXT)
	$(AM_V_GEN)$(MKDIR_P) docs && ./rtrd$(EXEEXT) --print-manual >$@.new && mv $@.new $@

# The examples lie beside each other by the name of their topology.
install-data-local:
	for f in `cd $(srcdir)/etc/examples && find . -name '*.conf'`; do \
		$(MKDIR_P) "$(DESTDIR)$(docdir)/examples/`dirname $$f`" && \
		$(INSTALL_DATA) "$(srcdir)/etc/examples/$$f" "$(DESTDIR)$(docdir)/examples/$$f" || exit 1; \
	done
	$(MKDIR_P) "$(DESTDIR)$(docdir)/plots"
	$(INSTALL_DATA) $(srcdir)/docs/plots/*.svg "$(DESTDIR)$(docdir)/plots"
uninstall-local:
	rm -rf "$(DESTDIR)$(docdir)/examples" "$(DESTDIR)$(docdir)/plots"
dist_doc_DATA += docs/firewall.md
dist_doc_DATA += docs/packet-tracer.md
dist_doc_DATA += docs/monitoring.md docs/metrics.md docs/diagnose.md
dist_doc_DATA += docs/captures.md
dist_man_MANS += docs/man/rtr-captured.8
dist_doc_DATA += docs/drops.md
dist_man_MANS += docs/man/rtr-dropd.8
dist_man_MANS += docs/man/rtr-logd.8
