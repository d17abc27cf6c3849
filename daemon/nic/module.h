/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What: what the memory of a pluggable module (SFP, QSFP, CMIS) tells: who made it, what it is for,
 * and how it is doing. SFF-8472, SFF-8636, CMIS 5.
 * Owns: nothing. Threads: any. Failure: memory that is of none of these is told by its number.
 */
#ifndef RTR_NIC_MODULE_H
#define RTR_NIC_MODULE_H

#include "util.h"

#include <jansson.h>

#define MODULE_PAGE 128

/* The half pages that a decoder needs; what could not be read is not `have`. */
struct nic_module {
	struct module_page {
		bool have;
		uint8_t b[MODULE_PAGE];
	} lower, upper, /* bytes 0-127 and 128-255 of page 0 */
		diag,   /* SFP: bytes 0-127 at address 0x51 */
		lanes;  /* CMIS: bytes 128-255 of page 0x11 */
};

enum module_kind { MODULE_UNKNOWN, MODULE_SFP, MODULE_QSFP, MODULE_CMIS };
/* By the first byte. */
enum module_kind module_kind(const struct nic_module *m);
json_t *module_json(const struct nic_module *m);

#endif
