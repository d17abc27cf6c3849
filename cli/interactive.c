/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The prompt, and what happens when rtrd is restarted under it. */
#include "edit.h"
#include "shell.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* An upgrade or a reboot of the service is over in this time; after it the person is told. */
#define RECONNECT_MS 60000
/* A socket can become ready without its folder changing: look at least this often. */
#define LOOK_AGAIN_MS 1000

/* Watches the socket's folder and, where that does not exist yet, the one above. */
static int watch_socket(const char *path)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char *dir = xstrdup(path), *slash;

	for (int up = 0; fd >= 0 && up < 2 && (slash = strrchr(dir, '/')) && slash > dir; up++) {
		*slash = '\0';
		inotify_add_watch(fd, dir, IN_CREATE | IN_MOVED_TO | IN_ATTRIB);
	}
	free(dir);
	return fd;
}

static void drain(int fd)
{
	char buf[4096];

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* Waits until something happens at the socket. False: ^C. */
static bool wait_socket(struct shell *sh, int watch)
{
	struct term_signals s;

	if (term_wait(&sh->term, watch, LOOK_AGAIN_MS))
		drain(watch);
	s = term_take_signals();
	return !s.intr && !s.quit && !sh->term.eof && !term_take_ctrl_c(&sh->term);
}

bool shell_reconnect(struct shell *sh)
{
	uint64_t due = rtr_now_ns() + RECONNECT_MS * NSEC_PER_MSEC;
	int watch = watch_socket(sh->sock_path), r;

	term_puts(sh->restarts ? "% rtrd stops. Waiting for it to come back; ^C ends.\n"
			       : "% rtrd has gone. Waiting for it to come back; ^C ends.\n");
	for (;;) {
		r = shell_connect(sh);
		if (!r || sh->over || r == -EINTR)
			break;
		client_close(&sh->client);
		if (rtr_now_ns() >= due || !wait_socket(sh, watch)) {
			r = r ? r : -EINTR;
			break;
		}
	}
	if (watch >= 0)
		close(watch);
	if (!r) {
		term_puts("% Connected again. What this session had not committed is gone, and it "
			  "starts from the top.\n");
		return true;
	}
	if (!sh->over)
		fprintf(stderr, "%% rtrd did not come back: %s\n", strerror(-r));
	sh->over = true;
	sh->status = 1;
	return false;
}

/* False: the end. */
static bool execute(struct shell *sh, const struct strbuf *text)
{
	struct reply reply;
	int r = shell_request(sh, CLP_EXEC, sh->json ? CLP_EXEC_JSON : 0, strbuf_str(text),
			      text->len, &reply);

	reply_fini(&reply);
	if (sh->over)
		return false;
	if (!r)
		return true;
	term_puts("% The connection was lost: whether the command was carried out is not known.\n");
	return r != -EINTR && shell_reconnect(sh);
}

int shell_interactive(struct shell *sh)
{
	struct edit *e = edit_new(sh);
	struct strbuf text = STRBUF_INIT;
	bool go_on = true;

	while (go_on) {
		switch (edit_read(e, &text)) {
		case EDIT_LINE:
			if (text.len)
				go_on = execute(sh, &text);
			break;
		case EDIT_PASTE:
			go_on = execute(sh, &text);
			break;
		case EDIT_CANCEL:
			break;
		case EDIT_END:
			go_on = false;
			if (!sh->over)
				term_puts("\n");
			break;
		}
	}
	strbuf_fini(&text);
	edit_free(e);
	return sh->status;
}
