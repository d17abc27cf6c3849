# Headers that two programs share.
noinst_HEADERS += include/rtr/version.h
noinst_HEADERS += include/rtr/drop.h
noinst_HEADERS += include/rtr/cliproto.h include/rtr/version.h
noinst_HEADERS += include/rtr/adj.h include/rtr/express.h include/rtr/flow.h include/rtr/fastpol.h
noinst_HEADERS += include/rtr/vrrp.h
noinst_HEADERS += include/rtr/fastpath.h include/rtr/ctnl.h
noinst_HEADERS += include/rtr/xt_names.h
noinst_HEADERS += include/rtr/ct_types.h
