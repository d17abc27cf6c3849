#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A DHCPv4 server for one client: dhcp_server.py IFACE WISH LOG

WISH is a JSON file that is read for every message: {"mode": "ack"|"nak"|"silent", "address", "len",
"server", "lease", "t1", "t2", "router", "routes": [[prefix, gw], ...], "dns": [...], "domain"}.
LOG gets a line for each message: what came, ciaddr, the requested address, unicast or broadcast.
"""
import ipaddress
import json
import socket
import struct
import sys

NAMES = {1: "discover", 3: "request", 4: "decline", 7: "release"}


def ip4(text):
    return socket.inet_aton(text)


def checksum(data):
    data += b"\0" * (len(data) % 2)
    s = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while s >> 16:
        s = (s & 0xffff) + (s >> 16)
    return ~s & 0xffff


def options(data):
    out, i = {}, 0
    while i < len(data) and data[i] != 255:
        if data[i]:
            out[data[i]] = data[i + 2:i + 2 + data[i + 1]]
            i += data[i + 1] + 1
        i += 1
    return out


def classless(routes):
    out = b""
    for prefix, gw in routes:
        net = ipaddress.ip_network(prefix)
        out += bytes([net.prefixlen]) + net.network_address.packed[:(net.prefixlen + 7) // 8] + ip4(gw)
    return out


def answer(kind, wish, boot, mac):
    opt = {53: bytes([kind]), 54: ip4(wish["server"])}
    yiaddr = b"\0" * 4
    if kind != 6:
        yiaddr = ip4(wish["address"])
        net = ipaddress.ip_network(f"0.0.0.0/{wish['len']}")
        opt.update({1: net.netmask.packed, 51: struct.pack("!I", wish["lease"])})
        for code, key in ((58, "t1"), (59, "t2")):
            if key in wish:
                opt[code] = struct.pack("!I", wish[key])
        if "router" in wish:
            opt[3] = ip4(wish["router"])
        if "routes" in wish:
            opt[121] = classless(wish["routes"])
        if "dns" in wish:
            opt[6] = b"".join(map(ip4, wish["dns"]))
        if "domain" in wish:
            opt[15] = wish["domain"].encode()
    body = b"\2\1\6\0" + boot[4:8] + b"\0" * 8 + yiaddr + b"\0" * 8 + boot[28:44] + b"\0" * 192 + b"\x63\x82\x53\x63"
    body += b"".join(bytes([c, len(v)]) + v for c, v in opt.items()) + b"\xff"
    udp = struct.pack("!HHHH", 67, 68, 8 + len(body), 0) + body
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, ip4(wish["server"]), b"\xff" * 4)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return b"\xff" * 6 + mac + b"\x08\x00" + head + udp


def main(iface, wish_file, log_file):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
    s.bind((iface, 0x0800))
    mac = s.getsockname()[4]
    with open(log_file, "w", buffering=1) as log:
        print("ready", file=log)
        while True:
            try:
                frame, where = s.recvfrom(2048)
            except OSError:  # once, when the link goes down
                continue
            if where[2] == socket.PACKET_OUTGOING or frame[23] != 17 or frame[34:38] != b"\0\x44\0\x43":
                continue
            boot = frame[42:]
            opt = options(boot[240:])
            kind = opt[53][0]
            want = socket.inet_ntoa(opt[50]) if 50 in opt else "-"
            name = opt.get(12, b"-").decode()
            cast = "broadcast" if frame[:6] == b"\xff" * 6 else "unicast"
            good = checksum(frame[14:34]) == 0
            print(NAMES.get(kind, kind), socket.inet_ntoa(boot[12:16]), want, cast, name, "ok" if good else "BAD", file=log)
            with open(wish_file) as f:
                wish = json.load(f)
            if kind == 1 and wish["mode"] == "ack":
                s.send(answer(2, wish, boot, mac))
            elif kind == 3 and wish["mode"] != "silent":
                asked = want if want != "-" else socket.inet_ntoa(boot[12:16])
                s.send(answer(5 if wish["mode"] == "ack" and asked == wish["address"] else 6, wish, boot, mac))


main(*sys.argv[1:])
