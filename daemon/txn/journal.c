/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "txn/journal.h"

#include "hash.h"
#include "schema/conffile.h"
#include "schema/edit.h"
#include "schema/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The journal is folded into a new whole configuration when it outgrows it, and this. */
#define JOURNAL_MIN_FOLD (256u << 10)
/* A delta is tried before it is trusted (leads_to), and trying a line costs several times what
 * writing one does: one of this size, and this part of the whole, is written as a whole. */
#define DELTA_MIN_FOLD  (32u << 10)
#define DELTA_FOLD_PART 8

static struct {
	char *running, *journal, *intent;
	int fd;
	/* whole_size 0: no whole configuration that an entry could go on from; the next commit
	 * writes one. */
	size_t size, whole_size;
} j = { .fd = -1 };

char *journal_place(void)
{
	char *boot = NULL, *text;
	struct stat st = { 0 };

	if (rtr_file_read("/proc/sys/kernel/random/boot_id", 128, &boot, NULL))
		boot = xstrdup("unknown");
	boot[strcspn(boot, "\n")] = '\0';
	(void)!stat("/proc/self/ns/net", &st);
	text = xasprintf("boot %s netns %llu", boot, (unsigned long long)st.st_ino);
	free(boot);
	return text;
}

static int write_whole(const struct rec *model, uint64_t revision)
{
	char *p = journal_place(), *comment = xasprintf("%s revision %" PRIu64, p, revision);
	char *text = conffile_text(model, comment);
	int r = rtr_file_swap(j.running, text, strlen(text), 0600);

	/* From here on it is on record. Entries that cannot be cleared away are older than it and
	 * end a replay, so nothing may be appended behind them. */
	if (!r) {
		j.whole_size = ftruncate(j.fd, 0) < 0 ? 0 : strlen(text);
		j.size = 0;
	}
	free(text);
	free(comment);
	free(p);
	return r;
}

static int replay_lines(struct rec **root, char *lines)
{
	struct editor e;
	char *save = NULL;
	int r = 0;

	editor_init(&e, *root);
	for (char *l = strtok_r(lines, "\n", &save); l && !r; l = strtok_r(NULL, "\n", &save)) {
		struct edit_error err;
		bool changed;

		r = editor_line(&e, l, &changed, &err);
		edit_error_fini(&err);
	}
	if (!r) {
		rec_unref(*root);
		*root = rec_ref(e.root);
	}
	editor_fini(&e);
	return r;
}

/* Reads the head of an entry, one line; returns its length, 0 when it is none. Bounded, for sscanf
 * would look for the end of the whole journal each time. */
static size_t read_head(const char *text, uint64_t *ret_rev, size_t *ret_len, uint64_t *ret_sum)
{
	char line[80];
	int n = 0;

	rtr_strlcpy(line, text, sizeof(line));
	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "rev %" SCNu64 " len %zu sum %" SCNx64 "%n", ret_rev, ret_len, ret_sum,
		   &n) != 3 ||
	    line[n] || text[n] != '\n')
		return 0;
	return (size_t)n + 1;
}

/* Entries up to the first that is cut off or damaged; *ret_good is where that one starts. */
static void replay(char *text, size_t size, struct rec **root, uint64_t *revision, size_t *ret_good)
{
	size_t at = 0;

	for (;;) {
		uint64_t rev, sum;
		size_t len, head;
		char *body;

		*ret_good = at;
		head = read_head(text + at, &rev, &len, &sum);
		if (!head || len > size - at - head || rev != *revision + 1)
			return;
		/* As it lies there: a damaged entry may have a NUL, where the copy ends. */
		if (hash_bytes(text + at + head, len, rev) != sum)
			return;
		body = xstrndup(text + at + head, len);
		if (replay_lines(root, body)) {
			free(body);
			return;
		}
		free(body);
		*revision = rev;
		at += head + len;
	}
}

static bool belongs_here(const char *text, uint64_t *ret_revision)
{
	char *p = journal_place();
	const char *at = strstr(text, p), *eol = strchr(text, '\n');
	bool ok = at && eol && at < eol &&
		  sscanf(at + strlen(p), " revision %" SCNu64, ret_revision) == 1;

	free(p);
	return ok;
}

static void note_intent(struct strbuf *notes)
{
	char *text;

	if (rtr_file_read(j.intent, 4096, &text, NULL))
		return;
	text[strcspn(text, "\n")] = '\0';
	strbuf_addf(notes, "a commit was interrupted (%s): going back to the one before it\n",
		    text);
	free(text);
}

int journal_open(const char *rundir, struct rec **ret_running, uint64_t *ret_revision,
		 struct strbuf *notes)
{
	struct strbuf errs = STRBUF_INIT;
	struct rec *root = NULL;
	char *text = NULL;
	size_t size, good = 0;
	int r = 0;

	j.running = xasprintf("%s/running", rundir);
	j.journal = xasprintf("%s/journal", rundir);
	j.intent = xasprintf("%s/intent", rundir);
	j.fd = open(j.journal, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (j.fd < 0)
		return -errno;
	*ret_revision = 0;
	*ret_running = NULL;
	if (rtr_file_read(j.running, CONFFILE_MAX, &text, &size))
		return 0;
	if (!belongs_here(text, ret_revision))
		*ret_revision = 0;
	else if (strlen(text) != size || conffile_hand_edited(text))
		strbuf_adds(notes, "the running journal is damaged; it is dropped\n");
	else if (conffile_parse(j.running, text, &root, &errs))
		strbuf_addf(notes, "the running journal cannot be read: %s", strbuf_str(&errs));
	if (root)
		j.whole_size = size;
	free(text);
	strbuf_fini(&errs);
	if (root) {
		note_intent(notes);
		r = rtr_file_read(j.journal, CONFFILE_MAX, &text, &size);
	}
	if (root && !r) {
		replay(text, size, &root, ret_revision, &good);
		if (good < size)
			strbuf_addf(
				notes,
				"the running journal ends in the middle of an entry; it is dropped\n");
		free(text);
		/* What follows is appended behind the last good entry. */
		if (ftruncate(j.fd, (off_t)good) < 0)
			r = -errno;
		j.size = good;
	}
	*ret_running = root;
	journal_intent_clear();
	return r;
}

void journal_close(void)
{
	if (j.fd >= 0)
		close(j.fd);
	free(j.running);
	free(j.journal);
	free(j.intent);
	memset(&j, 0, sizeof(j));
	j.fd = -1;
}

int journal_intent(uint64_t revision, const char *user, const char *source)
{
	char *text = xasprintf("revision %" PRIu64 " by %s from %s\n", revision, user, source);
	int fd = open(j.intent, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), r = 0;

	/* No fsync: it has to survive the process, not the machine; /run does not. */
	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(text);
	return r;
}

void journal_intent_clear(void)
{
	unlink(j.intent);
}

static int append(const char *lines, size_t len, uint64_t revision)
{
	struct strbuf b = STRBUF_INIT;
	ssize_t n;
	int r = 0;

	strbuf_addf(&b, "rev %" PRIu64 " len %zu sum %" PRIx64 "\n", revision, len,
		    hash_bytes(lines, len, revision));
	strbuf_add(&b, lines, len);
	n = write(j.fd, b.s, b.len);
	if (n != (ssize_t)b.len) {
		r = n < 0 ? -errno : -ENOSPC;
		if (ftruncate(j.fd, (off_t)j.size) < 0)
			j.whole_size = 0; /* what stands there now ends a replay */
	} else {
		j.size += b.len;
	}
	strbuf_fini(&b);
	return r;
}

/* True when the lines, typed at old, give new: a delta is only trusted when it was tried. */
static bool leads_to(const struct rec *old, const struct rec *new, const char *lines)
{
	struct rec *root = rec_ref(old);
	char *copy = xstrdup(lines);
	bool ok = !replay_lines(&root, copy) && model_equal(root, new);

	free(copy);
	rec_unref(root);
	return ok;
}

/* A longer delta is not worth one. */
static size_t largest_delta(void)
{
	size_t fold = MAX(j.whole_size, (size_t)JOURNAL_MIN_FOLD);

	if (j.size >= fold)
		return 0;
	return MIN(fold - j.size, MAX(j.whole_size / DELTA_FOLD_PART, (size_t)DELTA_MIN_FOLD));
}

int journal_publish(const struct rec *old, const struct rec *new, uint64_t revision)
{
	struct strbuf delta = STRBUF_INIT;
	int r;

	if (!j.whole_size)
		return write_whole(new, revision);
	if (!text_delta_within(old, new, largest_delta(), &delta) ||
	    !leads_to(old, new, strbuf_str(&delta)))
		r = write_whole(new, revision);
	else
		r = append(strbuf_str(&delta), delta.len, revision);
	strbuf_fini(&delta);
	return r;
}
