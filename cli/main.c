/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtrctl's command line. */
#include "rtr/version.h"
#include "shell.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
	"usage: rtrctl [-N NAME | -S SOCKET] [--json] [-c COMMAND]...\n"
	"  -N, --name NAME        talk to the instance of this name (main)\n"
	"  -S, --socket SOCKET    talk to the instance behind this socket\n"
	"  -c, --command COMMAND  run it and end; may be given several times, one session runs all\n"
	"  -j, --json             show commands answer in JSON\n"
	"  -V, --version          print the version\n"
	"  -h, --help             print this text\n"
	"Without -c: a terminal gets a prompt; anything else on standard input is read to its end\n"
	"and carried out as one transaction. Exit status: the last status that was not 0.\n";

static const struct option options[] = {
	{ "name", required_argument, NULL, 'N' },
	{ "socket", required_argument, NULL, 'S' },
	{ "command", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

struct args {
	const char *name, *socket;
	struct clp_str *cmds;
	size_t n_cmds;
	bool json;
};

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv, struct args *a)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "N:S:c:jVh", options, NULL)) != -1) {
		switch (opt) {
		case 'N':
			a->name = optarg;
			break;
		case 'S':
			a->socket = optarg;
			break;
		case 'c':
			a->cmds[a->n_cmds++] = (struct clp_str){ optarg, strlen(optarg) };
			break;
		case 'j':
			a->json = true;
			break;
		case 'V':
			puts("rtrctl " RTR_VERSION);
			return 0;
		case 'h':
			fputs(usage_text, stdout);
			return 0;
		default:
			fputs(usage_text, stderr);
			return 2;
		}
	}
	if (optind != argc || !*a->name || strchr(a->name, '/')) {
		fputs(usage_text, stderr);
		return 2;
	}
	return -1;
}

static int cannot_connect(const struct shell *sh, int r)
{
	if (sh->over)
		return 1;
	fprintf(stderr, "rtrctl: cannot reach rtrd at %s: %s%s\n", sh->sock_path, strerror(-r),
		r == -ENOENT || r == -ECONNREFUSED ? " (is rtrd running, and under this name?)"
						   : "");
	return 1;
}

int main(int argc, char **argv)
{
	struct args a = { .name = "main", .cmds = xcalloc((size_t)argc + 1, sizeof(*a.cmds)) };
	struct shell sh = { .client = CLIENT_INIT };
	struct strbuf text = STRBUF_INIT;
	char *path = NULL;
	int status = parse(argc, argv, &a), r;

	if (status >= 0)
		goto out;
	path = a.socket ? xstrdup(a.socket) : xasprintf("/run/rtr/%s/cli.sock", a.name);
	sh.sock_path = path;
	sh.json = a.json;
	sh.interactive = !a.n_cmds && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	/* Before the connection: what produces it may take its time. */
	if (!sh.interactive && !a.n_cmds) {
		r = batch_read(&text);
		if (r) {
			fprintf(stderr, "rtrctl: standard input: %s\n",
				r == -EFBIG ? "longer than 16 MiB" : strerror(-r));
			status = 1;
			goto out;
		}
		a.cmds[a.n_cmds++] = (struct clp_str){ strbuf_str(&text), text.len };
	}
	signal(SIGPIPE, SIG_IGN);
	term_init(&sh.term);
	/* A script's standard input is read as a whole, not as keys. */
	sh.term.eof = !sh.interactive;
	r = shell_connect(&sh);
	if (r)
		status = cannot_connect(&sh, r);
	else
		status = sh.interactive ? shell_interactive(&sh)
					: shell_batch(&sh, a.cmds, a.n_cmds);
	shell_fini(&sh);
out:
	strbuf_fini(&text);
	free(path);
	free(a.cmds);
	return status;
}
