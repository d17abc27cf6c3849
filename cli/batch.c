/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtrctl -c, and rtrctl < file. */
#include "shell.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An EXEC with its header fits CLP_MAX_SIZE. */
#define TEXT_MAX (CLP_MAX_SIZE - 64)

static int lost(const struct shell *sh, int r)
{
	if (!sh->over)
		fprintf(stderr, "rtrctl: %s\n",
			r == -EINTR                       ? "interrupted"
			: r == -ECONNRESET || r == -EPIPE ? "rtrd ended before the command was done"
							  : strerror(-r));
	return r == -EINTR ? 130 : 1;
}

/* False: the session is over. */
static bool run_one(struct shell *sh, const char *text, size_t len)
{
	struct reply reply;
	int r = shell_request(sh, CLP_EXEC, sh->json ? CLP_EXEC_JSON : 0, text, len, &reply);

	if (!r && reply.status)
		sh->status = reply.status;
	reply_fini(&reply);
	/* BYE without a reason is what `exit` asked for. */
	if (r && !(sh->over && !sh->status))
		sh->status = lost(sh, r);
	return !r && !sh->over;
}

int batch_read(struct strbuf *text)
{
	char buf[65536];
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf, sizeof(buf))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		strbuf_add(text, buf, (size_t)n);
		if (text->len > TEXT_MAX)
			return -EFBIG;
	}
	return 0;
}

int shell_batch(struct shell *sh, const struct clp_str *texts, size_t n)
{
	for (size_t i = 0; i < n && run_one(sh, texts[i].s, texts[i].len); i++)
		;
	return sh->status;
}
