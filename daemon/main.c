/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtrd's command line. */
#include "system/parent.h"
#include "rtr/version.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage_text[] =
	"usage: rtrd [-N NAME] [-f CONFIG] [options]\n"
	"       rtrd -t FILE\n"
	"  -N, --name NAME        instance name (main): paths, tables and locks carry it\n"
	"  -f, --config CONFIG    startup configuration (" RTR_SYSCONFDIR
	"/rtrd.conf; NAME.conf for\n"
	"                         an instance with another name)\n"
	"  -t, --check FILE       check a configuration, change nothing; needs no root\n"
	"      --no-parent        run the worker in this process, as this user (debugging)\n"
	"      --run-dir DIR      instead of /run/rtr\n"
	"      --state-dir DIR    instead of /var/lib/rtr\n"
	"      --print-manual     print the CLI reference (Markdown)\n"
	"  -V, --version          print the version\n"
	"  -h, --help             print this text\n"
	"Exit status: 0 stopped or checked well, 1 failed, 2 usage, 3 wrong configuration, 4 an\n"
	"instance of this name is running. rtrd stays in the foreground; SIGHUP loads the startup\n"
	"configuration again, SIGTERM stops rtrd and leaves the kernel's configuration as it is.\n"
	"SIGUSR2 starts the program on disk in its place (upgrade); virtual routers stay.\n";

enum { OPT_NO_PARENT = 256, OPT_RUN_DIR, OPT_STATE_DIR, OPT_MANUAL };

static const struct option options[] = {
	{ "name", required_argument, NULL, 'N' },
	{ "config", required_argument, NULL, 'f' },
	{ "check", required_argument, NULL, 't' },
	{ "no-parent", no_argument, NULL, OPT_NO_PARENT },
	{ "run-dir", required_argument, NULL, OPT_RUN_DIR },
	{ "state-dir", required_argument, NULL, OPT_STATE_DIR },
	{ "print-manual", no_argument, NULL, OPT_MANUAL },
	{ "version", no_argument, NULL, 'V' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int usage_error(void)
{
	fputs(usage_text, stderr);
	return RTRD_USAGE;
}

int main(int argc, char **argv)
{
	struct parent_opts o = {
		.name = "main", .run_base = "/run/rtr", .state_base = "/var/lib/rtr", .argv = argv
	};
	char *config = NULL;
	int opt, status;

	while ((opt = getopt_long(argc, argv, "N:f:t:Vh", options, NULL)) != -1) {
		switch (opt) {
		case 'N':
			o.name = optarg;
			break;
		case 'f':
			o.config = optarg;
			break;
		case 't':
			return rtrd_check(optarg, stderr);
		case OPT_NO_PARENT:
			o.no_parent = true;
			break;
		case OPT_RUN_DIR:
			o.run_base = optarg;
			break;
		case OPT_STATE_DIR:
			o.state_base = optarg;
			break;
		case OPT_MANUAL:
			return rtrd_manual(stdout);
		case 'V':
			puts("rtrd " RTR_VERSION);
			return RTRD_OK;
		case 'h':
			fputs(usage_text, stdout);
			return RTRD_OK;
		default:
			return usage_error();
		}
	}
	if (optind != argc)
		return usage_error();
	if (!parent_name_ok(o.name)) {
		fprintf(stderr, "rtrd: an instance name is 1 to 32 letters, digits, '-' or '_'\n");
		return RTRD_USAGE;
	}
	if (!o.config) {
		o.config_dir = RTR_SYSCONFDIR;
		o.config = config = strcmp(o.name, "main")
					    ? xasprintf("%s/%s.conf", RTR_SYSCONFDIR, o.name)
					    : xstrdup(RTR_SYSCONFDIR "/rtrd.conf");
	}
	status = parent_main(&o);
	free(config);
	return status;
}
