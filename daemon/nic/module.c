/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "nic/module.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static double be16s(const uint8_t *p)
{
	return (int16_t)be16(p);
}

enum module_kind module_kind(const struct nic_module *m)
{
	switch (m->lower.b[0]) {
	case 0x03:
		return MODULE_SFP;
	case 0x0c:
	case 0x0d:
	case 0x11:
		return MODULE_QSFP;
	case 0x18:
	case 0x19:
	case 0x1b:
	case 0x1e:
	case 0x1f:
		return MODULE_CMIS;
	default:
		return MODULE_UNKNOWN;
	}
}

static const char *type_name(uint8_t id)
{
	switch (id) {
	case 0x03:
		return "SFP/SFP+/SFP28";
	case 0x0c:
		return "QSFP";
	case 0x0d:
		return "QSFP+";
	case 0x11:
		return "QSFP28";
	case 0x18:
		return "QSFP-DD";
	case 0x19:
		return "OSFP";
	case 0x1b:
		return "DSFP";
	case 0x1e:
		return "QSFP+ with CMIS";
	case 0x1f:
		return "SFP-DD with CMIS";
	default:
		return "unknown";
	}
}

static const char *connector_name(uint8_t id)
{
	switch (id) {
	case 0x01:
		return "SC";
	case 0x07:
		return "LC";
	case 0x0b:
		return "optical pigtail";
	case 0x0c:
	case 0x0d:
		return "MPO";
	case 0x21:
		return "copper pigtail";
	case 0x22:
		return "RJ45";
	case 0x23:
		return "none";
	default:
		return NULL;
	}
}

/* Blank-padded ASCII; what is not printable becomes a dot. */
static void text(json_t *o, const char *key, const uint8_t *b, size_t n)
{
	char t[33];

	while (n && (b[n - 1] == ' ' || !b[n - 1]))
		n--;
	n = MIN(n, sizeof(t) - 1);
	for (size_t i = 0; i < n; i++)
		t[i] = isprint(b[i]) ? (char)b[i] : '.';
	t[n] = '\0';
	if (n)
		json_object_set_new(o, key, json_string(t));
}

static void number(json_t *o, const char *key, double v)
{
	json_object_set_new(o, key, json_real(v));
}

/* In steps of 0.1 microwatt; none at all is -40 dBm, as others show it. */
static double dbm(const uint8_t *p)
{
	uint16_t v = be16(p);

	return v ? 10 * log10((double)v / 10000) : -40;
}

static json_t *lane(const uint8_t *rx, const uint8_t *tx, const uint8_t *bias)
{
	json_t *o = json_object();

	number(o, "rx_dbm", dbm(rx));
	number(o, "tx_dbm", dbm(tx));
	number(o, "bias_ma", be16(bias) * 0.002);
	return o;
}

static void connector(json_t *o, uint8_t id)
{
	if (connector_name(id))
		json_object_set_new(o, "connector", json_string(connector_name(id)));
}

static void sfp(json_t *o, const struct nic_module *m)
{
	const uint8_t *b = m->lower.b, *d = m->diag.b;
	/* Diagnostics that the module itself has calibrated. */
	bool internal = (b[92] & 0x60) == 0x60;

	connector(o, b[2]);
	text(o, "vendor", b + 20, 16);
	text(o, "part", b + 40, 16);
	text(o, "revision", b + 56, 4);
	text(o, "serial", b + 68, 16);
	text(o, "date", b + 84, 8);
	if (b[12])
		json_object_set_new(o, "bitrate_mbps",
				    json_integer(b[12] == 255 ? b[66] * 250 : b[12] * 100));
	/* Of copper these bytes say something else. */
	if (!(b[8] & 0x0c) && be16(b + 60))
		number(o, "wavelength_nm", be16(b + 60));
	if (!m->diag.have || !internal)
		return;
	number(o, "temperature_c", be16s(d + 96) / 256);
	number(o, "voltage_v", be16(d + 98) * 0.0001);
	json_object_set_new(o, "lanes", json_pack("[o]", lane(d + 104, d + 102, d + 100)));
}

static void qsfp(json_t *o, const struct nic_module *m)
{
	const uint8_t *l = m->lower.b, *u = m->upper.b;
	json_t *lanes = json_array();

	number(o, "temperature_c", be16s(l + 22) / 256);
	number(o, "voltage_v", be16(l + 26) * 0.0001);
	for (unsigned i = 0; i < 4; i++)
		json_array_append_new(lanes, lane(l + 34 + 2 * i, l + 50 + 2 * i, l + 42 + 2 * i));
	json_object_set_new(o, "lanes", lanes);
	if (!m->upper.have)
		return;
	connector(o, u[130 - 128]);
	text(o, "vendor", u + 148 - 128, 16);
	text(o, "part", u + 168 - 128, 16);
	text(o, "revision", u + 184 - 128, 2);
	text(o, "serial", u + 196 - 128, 16);
	text(o, "date", u + 212 - 128, 8);
	if (u[140 - 128])
		json_object_set_new(o, "bitrate_mbps", json_integer(u[140 - 128] * 100));
	/* Transmitter technologies from 10 on are copper. */
	if (u[147 - 128] >> 4 < 10)
		number(o, "wavelength_nm", be16(u + 186 - 128) / 20.0);
}

static void cmis(json_t *o, const struct nic_module *m)
{
	const uint8_t *l = m->lower.b, *u = m->upper.b, *n = m->lanes.b;
	json_t *lanes;

	number(o, "temperature_c", be16s(l + 14) / 256);
	number(o, "voltage_v", be16(l + 16) * 0.0001);
	if (m->upper.have) {
		text(o, "vendor", u + 129 - 128, 16);
		text(o, "part", u + 148 - 128, 16);
		text(o, "revision", u + 164 - 128, 2);
		text(o, "serial", u + 166 - 128, 16);
		text(o, "date", u + 182 - 128, 8);
		connector(o, u[203 - 128]);
	}
	/* The highest bit: flat memory, with page 0 alone. */
	if (!m->lanes.have || l[2] & 0x80)
		return;
	lanes = json_array();
	for (unsigned i = 0; i < 8; i++)
		json_array_append_new(lanes, lane(n + 186 - 128 + 2 * i, n + 154 - 128 + 2 * i,
						  n + 170 - 128 + 2 * i));
	json_object_set_new(o, "lanes", lanes);
}

json_t *module_json(const struct nic_module *m)
{
	json_t *o = json_pack("{s:s,s:i}", "type", type_name(m->lower.b[0]), "identifier",
			      m->lower.b[0]);

	switch (module_kind(m)) {
	case MODULE_SFP:
		sfp(o, m);
		break;
	case MODULE_QSFP:
		qsfp(o, m);
		break;
	case MODULE_CMIS:
		cmis(o, m);
		break;
	case MODULE_UNKNOWN:
		break;
	}
	return o;
}
