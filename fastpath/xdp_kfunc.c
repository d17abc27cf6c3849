/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "xdp_kfunc.h"

#include "rtr/ct_types.h"
#include "rtr/express.h"
#include "util.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

/* A call names its module by the place of its types in here; the first one stands for the kernel.
 */
#define MODULE 1
static int types_of[MODULE + 1];

static int hand_over(struct bpf_program *p, struct bpf_prog_load_opts *opts, long cookie)
{
	(void)p;
	(void)cookie;
	opts->fd_array = types_of;
	return 0;
}

static bool find_in(const struct btf *b, struct fp_kfuncs *ret)
{
	ret->lookup = btf__find_by_name_kind(b, "bpf_xdp_ct_lookup", BTF_KIND_FUNC);
	ret->release = btf__find_by_name_kind(b, "bpf_ct_release", BTF_KIND_FUNC);
	return ret->lookup > 0 && ret->release > 0;
}

static bool find_in_module(struct btf *kernel, int types, struct fp_kfuncs *ret)
{
	LIBBPF_OPTS(libbpf_prog_handler_opts, opts, .prog_prepare_load_fn = hand_over);
	struct btf *b = btf__parse_split(CT_TYPES_FILE, kernel);

	ret->module = b && find_in(b, ret);
	btf__free(b);
	if (!ret->module)
		return false;
	/* Its own handler of this section does not know of modules. */
	if (!types_of[MODULE] &&
	    libbpf_register_prog_handler("xdp", BPF_PROG_TYPE_XDP, BPF_XDP, &opts) < 0)
		return false;
	types_of[MODULE] = types;
	return true;
}

bool fp_kfuncs_find(int types, struct fp_kfuncs *ret)
{
	struct btf *kernel = btf__load_vmlinux_btf();
	bool found;

	*ret = (struct fp_kfuncs){ 0 };
	found = kernel && (find_in(kernel, ret) || (types && find_in_module(kernel, types, ret)));
	btf__free(kernel);
	return found;
}

static void replace(struct bpf_insn *i, const struct fp_kfuncs *k)
{
	if (i->code != (BPF_JMP | BPF_CALL) || i->src_reg)
		return;
	if (i->imm != EXPRESS_CALL_CT_LOOKUP && i->imm != EXPRESS_CALL_CT_RELEASE)
		return;
	i->imm = i->imm == EXPRESS_CALL_CT_LOOKUP ? k->lookup : k->release;
	i->src_reg = BPF_PSEUDO_KFUNC_CALL;
	i->off = k->module ? MODULE : 0;
}

int fp_kfuncs_set(struct bpf_object *o, const struct fp_kfuncs *k)
{
	struct bpf_program *p;

	bpf_object__for_each_program(p, o)
	{
		size_t n = bpf_program__insn_cnt(p);
		struct bpf_insn *v = xcalloc(n, sizeof(*v));
		int err;

		memcpy(v, bpf_program__insns(p), n * sizeof(*v));
		for (size_t i = 0; i < n; i++)
			replace(&v[i], k);
		err = bpf_program__set_insns(p, v, n);
		free(v);
		if (err)
			return err;
	}
	return 0;
}
