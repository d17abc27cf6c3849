/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "history.h"
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <unistd.h>

#define KEEP     1000          /* lines; what shells keep */
#define FILE_MAX (1024 * 1024) /* of the file; it is cut to KEEP lines above half of it */

struct cli_history {
	History *el;
	char *path; /* NULL: not kept */
};

static void remember(struct cli_history *h, const char *line)
{
	HistEvent ev;

	history(h->el, &ev, H_ENTER, line);
}

/* The last KEEP lines of text. */
static char *tail(char *text)
{
	char *p = text + strlen(text);
	unsigned n = 0;

	while (p > text && n <= KEEP)
		n += *--p == '\n';
	return n > KEEP ? p + 1 : text;
}

static void load(struct cli_history *h)
{
	char *text, *line, *next;
	size_t size;

	if (rtr_file_read(h->path, FILE_MAX, &text, &size)) {
		/* Too long, or not readable: begin again rather than refuse to work. */
		return;
	}
	line = tail(text);
	if (size > FILE_MAX / 2)
		(void)!rtr_file_replace(h->path, line, strlen(line), 0600, NULL);
	for (; *line; line = next) {
		char *nl = strchr(line, '\n');

		next = nl ? nl + 1 : line + strlen(line);
		if (nl)
			*nl = '\0';
		if (*line)
			remember(h, line);
	}
	free(text);
}

struct cli_history *cli_history_new(void)
{
	struct cli_history *h = xcalloc(1, sizeof(*h));
	const char *home = getenv("HOME");
	HistEvent ev;

	h->el = history_init();
	if (!h->el)
		abort();
	history(h->el, &ev, H_SETSIZE, KEEP);
	history(h->el, &ev, H_SETUNIQUE, 1);
	if (home && *home == '/') {
		h->path = xasprintf("%s/.rtrctl_history", home);
		load(h);
	}
	return h;
}

struct cli_history *cli_history_free(struct cli_history *h)
{
	if (!h)
		return NULL;
	history_end(h->el);
	free(h->path);
	free(h);
	return NULL;
}

History *cli_history_el(struct cli_history *h)
{
	return h->el;
}

/* Words that announce a secret. rtrctl knows no grammar, so this errs on the side of forgetting:
 * such a line can be recalled in this session and is not written to disk. */
static bool may_hold_secret(const char *line)
{
	static const char *const words[] = { "password", "secret", "key",       "md5",
					     "auth",     "psk",    "community", "passphrase" };

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (strcasestr(line, words[i]))
			return true;
	return false;
}

void cli_history_add(struct cli_history *h, const char *line)
{
	char *text;
	int fd;

	remember(h, line);
	if (!h->path || may_hold_secret(line))
		return;
	fd = open(h->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return;
	/* One write a line: sessions that append at the same time do not mix lines. */
	text = xasprintf("%s\n", line);
	(void)!write(fd, text, strlen(text));
	free(text);
	close(fd);
}
