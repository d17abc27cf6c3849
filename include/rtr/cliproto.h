/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: the messages between rtrctl and rtrd on the instance's UNIX socket.
 *
 *	 0       4      5       6        8
 *	+-------+------+-------+--------+---------------------+----------------------------------+
 *	| size  | type | n_num | n_str  | n_num numbers, u32  | n_str strings: u32 length, bytes,|
 *	| u32   | u8   | u8    | u16    |                     | NUL (not counted)                |
 *	+-------+------+-------+--------+---------------------+----------------------------------+
 *
 * `size` counts everything after itself. Integers are little-endian. A message may carry more
 * numbers or strings than its reader knows: a later release adds at the end, the reader skips
 * them. It may not carry fewer. Both sides open with HELLO; the version changes only when that
 * rule cannot hold, features are used when both sides name them.
 */
#ifndef RTR_CLIPROTO_H
#define RTR_CLIPROTO_H

#define CLP_VERSION  1
#define CLP_FEATURES 0u

/* The largest message. An EXEC holds a pasted or piped configuration: 100,000 lines at 80
 * characters are 8 MB, doubled for long ACL lines. */
#define CLP_MAX_SIZE (16u << 20)
/* The largest message of any other kind; rtrd cuts longer output into several messages. */
#define CLP_MAX_SMALL (64u << 10)
/* The most text in one OUTPUT: leaves room for header, number and NUL under CLP_MAX_SMALL. */
#define CLP_OUTPUT_MAX (60u << 10)
/* Numbers of one message; the widest today (HELLO) has 5. */
#define CLP_MAX_NUM 16

/*       type         value numbers strings */
#define CLP_TYPES(X)                                                                               \
	/* both ways: version, features, flags, columns, rows; "rtrctl 0.1.0" or the first prompt  \
	 */                                                                                        \
	X(HELLO, 1, 5, 1)                                                                          \
	/* to rtrd */                                                                              \
	X(EXEC, 2, 1, 1)      /* flags; text */                                                    \
	X(COMPLETE, 3, 1, 1)  /* cursor; line */                                                   \
	X(HELP, 4, 0, 1)      /* line up to the cursor */                                          \
	X(INTERRUPT, 5, 0, 0) /* ^C */                                                             \
	X(ANSWER, 6, 0, 1)    /* to a QUESTION */                                                  \
	X(TERM, 7, 2, 0)      /* columns, rows */                                                  \
	/* to rtrctl */                                                                            \
	X(OUTPUT, 16, 1, 1)      /* stream; text */                                                \
	X(DONE, 17, 1, 1)        /* exit status; next prompt */                                    \
	X(QUESTION, 18, 1, 1)    /* echo; text */                                                  \
	X(LOG, 19, 0, 1)         /* a line for `terminal monitor` */                               \
	X(REDIRECT, 20, 1, 1)    /* enum clp_redirect; path */                                     \
	X(COMPLETIONS, 21, 1, 0) /* start; words */                                                \
	X(LENGTH, 22, 1, 0) /* lines a page: 0 = no pager, CLP_LENGTH_AUTO = the terminal's */     \
	X(BYE, 23, 1, 1)    /* enum clp_bye; reason; the connection is closed after it */          \
	X(PROMPT, 24, 0, 1) /* another one, while a line is typed */

enum clp_type {
#define X(name, value, n_num, n_str) CLP_##name = value,
	CLP_TYPES(X)
#undef X
};

enum clp_hello_flag { CLP_HELLO_INTERACTIVE = 1 };
enum clp_exec_flag { CLP_EXEC_JSON = 1 };
enum clp_stream { CLP_STREAM_OUT, CLP_STREAM_ERR };
enum clp_redirect { CLP_REDIRECT_TRUNCATE, CLP_REDIRECT_APPEND, CLP_REDIRECT_TEE };
enum clp_bye { CLP_BYE_END, CLP_BYE_RESTART }; /* RESTART: rtrd goes; another may come */
#define CLP_LENGTH_AUTO 0xffffffffu

#endif
