/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "term.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t got_winch, got_intr, got_quit;
static struct termios saved;
static bool have_saved;
static sigset_t wait_mask; /* while term_wait sleeps */

static void on_signal(int sig)
{
	if (sig == SIGWINCH)
		got_winch = 1;
	else if (sig == SIGINT)
		got_intr = 1;
	else
		got_quit = 1;
}

static void restore(void)
{
	if (have_saved)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
}

void term_init(struct term *t)
{
	static const int sigs[] = { SIGWINCH, SIGINT, SIGTERM, SIGHUP };
	const char *name = getenv("TERM");
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t block;

	*t = (struct term){ 0 };
	t->smart = name && *name && strcmp(name, "dumb");
	if (tcgetattr(STDIN_FILENO, &saved) == 0 && !have_saved) {
		have_saved = true;
		atexit(restore);
	}
	/* Delivered only inside ppoll: no signal falls between a look at the flag and the sleep. */
	sigemptyset(&block);
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++) {
		sigaddset(&block, sigs[i]);
		sigaction(sigs[i], &sa, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, &wait_mask);
	for (size_t i = 0; i < ARRAY_LEN(sigs); i++)
		sigdelset(&wait_mask, sigs[i]);
	term_measure(t);
}

void term_fini(struct term *t)
{
	strbuf_fini(&t->keys);
	t->pos = 0;
}

bool term_measure(struct term *t)
{
	unsigned cols = t->cols, rows = t->rows;
	struct winsize ws;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0)
		ws = (struct winsize){ 0 };
	/* A serial console does not know its size: what terminals had for fifty years. */
	t->cols = ws.ws_col ? ws.ws_col : 80;
	t->rows = ws.ws_row ? ws.ws_row : 24;
	return cols != t->cols || rows != t->rows;
}

struct term_signals term_take_signals(void)
{
	struct term_signals s = { got_winch, got_intr, got_quit };

	got_winch = got_intr = 0;
	return s;
}

static void read_keys(struct term *t)
{
	char buf[4096];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		t->eof = true;
	if (n <= 0)
		return;
	if (t->pos == t->keys.len) {
		strbuf_reset(&t->keys);
		t->pos = 0;
	}
	strbuf_add(&t->keys, buf, (size_t)n);
}

bool term_wait(struct term *t, int fd, int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };
	struct pollfd fds[] = { { .fd = t->eof ? -1 : STDIN_FILENO, .events = POLLIN },
				{ .fd = fd, .events = POLLIN } };

	if (ppoll(fds, ARRAY_LEN(fds), ms < 0 ? NULL : &ts, &wait_mask) <= 0)
		return false;
	if (fds[0].revents)
		read_keys(t);
	return fds[1].revents != 0;
}

int term_byte(struct term *t)
{
	return t->pos < t->keys.len ? (unsigned char)t->keys.s[t->pos++] : -1;
}

void term_unread(struct term *t, const char *s, size_t len)
{
	struct strbuf b = STRBUF_INIT;

	strbuf_add(&b, s, len);
	if (term_pending(t))
		strbuf_add(&b, t->keys.s + t->pos, term_pending(t));
	strbuf_fini(&t->keys);
	t->keys = b;
	t->pos = 0;
}

void term_flush_input(struct term *t)
{
	strbuf_reset(&t->keys);
	t->pos = 0;
}

bool term_take_ctrl_c(struct term *t)
{
	const char *at;

	if (!term_pending(t))
		return false;
	at = memrchr(t->keys.s + t->pos, KEY_CTRL('C'), term_pending(t));
	if (!at)
		return false;
	t->pos = (size_t)(at - t->keys.s) + 1;
	return true;
}

void term_raw(const char *s, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, s, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = STDOUT_FILENO, .events = POLLOUT };

			poll(&p, 1, -1);
			continue;
		}
		if (n < 0)
			return;
		s += n;
		len -= (size_t)n;
	}
}

void term_puts(const char *s)
{
	term_raw(s, strlen(s));
}

void term_text(const char *s, size_t len)
{
	struct strbuf b = STRBUF_INIT;

	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)s[i];

		if ((ch < 0x20 && ch != '\n' && ch != '\t') || ch == 0x7f) {
			/* A name learnt from the network must not steer the operator's terminal. */
			strbuf_addc(&b, '^');
			strbuf_addc(&b, (char)(ch ^ 0x40));
		} else {
			strbuf_addc(&b, s[i]);
		}
	}
	term_raw(strbuf_str(&b), b.len);
	strbuf_fini(&b);
}
