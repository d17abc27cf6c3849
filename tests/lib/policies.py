# SPDX-License-Identifier: GPL-2.0-or-later
"""What: random configurations for the side-by-side test of both planes: access lists, groups, zones,
reverse path, segment sizes, translations and routes for a router with three links.

    inside 10.0.0.0/24, 2001:db8:10::/64 -- eth0 r eth2 -- 198.51.100.0/24, 2001:db8:100::/64 outside
       dmz 10.1.0.0/24, 2001:db8:11::/64 -- eth1          (behind .2: 203.0.113.0/24, 2001:db8:203::/64;
                                                           behind .3 and .6: 192.0.2.0/24, 2001:db8:192::/64)

The router is .1, hosts are .2 to .7; packets to the dmz may have 1,300 bytes. What depends on the clock (rates that are
exceeded, hours that begin) is not in it.
"""
NETS = {4: ["10.0.0", "10.1.0", "198.51.100", "203.0.113", "192.0.2"],
        6: ["2001:db8:10:", "2001:db8:11:", "2001:db8:100:", "2001:db8:203:", "2001:db8:192:"]}
HOSTS = range(2, 8)
DMZ, OUTSIDE, FAR, SHARED = range(1, 5)
HOPS = {3: 1, 6: 4}  # of the shared network, with their weights
DMZ_MTU = 1300
PROHIBITED = (2, 4)  # hosts behind routes of that type, by a line or in the table
TABLE = 77  # of the kernel, with a route of each type
PORTS = (80, 443, 500, 2000)


def table_routes():
    """The routes of the table: family, words of `ip route add`."""
    for v, bits, net in ((4, 32, "/24"), (6, 128, "")):
        for h, kind in ((2, "unreachable"), (4, "prohibit"), (5, "blackhole"), (6, "throw")):
            yield v, [kind, f"{at(v, FAR, h)}/{bits}", "table", TABLE]
        yield v, [prefix(v, FAR) + net, "table", TABLE, "via", at(v, 1, 4)]
        yield v, [prefix(v, SHARED) + net, "table", TABLE, *(w for h in (2, 5) for w in ("nexthop", "via", at(v, OUTSIDE, h)))]


def at(v, net, host):
    return f"{NETS[v][net]}.{host}" if v == 4 else f"{NETS[v][net]}:{host}"


def prefix(v, net):
    return f"{NETS[v][net]}.0" if v == 4 else f"{NETS[v][net]}:/64"


class Policy:
    """lines: what is typed beside what all configurations have. targets[v]: addresses worth asking for, which nobody
    has but by a translation; pools[v]: those of the pool."""

    def __init__(self, rng):
        self.rng, self.lines = rng, []
        self.targets = {4: [], 6: []}
        self.pools = {v: [at(v, OUTSIDE, h) for h in range(100, 104)] for v in (4, 6)}
        self.strict = {4: set(), 6: set()}  # interfaces that take only sources which are routed there
        self.clamps = self.mapped = False
        self.zoned, self.nat = rng.random() < 0.6, rng.random() < 0.7
        self.groups()
        for n in range(4):
            for v in (4, 6):
                self.acl(v, n)
        if self.zoned:
            self.zones()
        self.interfaces()
        self.routes()
        if self.nat:
            for v in (4, 6):
                self.translations(v)

    def undo(self):
        """The lines that take all of it away."""
        blocks = []
        for line in self.lines:
            if line.startswith("interface "):
                blocks.append([line, "exit"])
            elif line[0] == " " and blocks and blocks[-1][0].startswith("interface "):
                blocks[-1].insert(1, f"no{line}")
            elif line[0] != " " and line != "exit":
                words = line.split()
                blocks.append(["no " + " ".join(words[:3] if words[0] == "zone-pair" else words)])
        return [line for block in reversed(blocks) for line in block]

    def change(self):
        """Some lines of lists go, or say the contrary: what lives is judged again."""
        out, in_list = [], False
        for line in self.lines:
            word = line.split()[0]
            in_list = "access-list" in line if line[0] != " " else in_list
            if in_list and word in ("permit", "deny") and self.one(5):
                other = line.replace(word, "deny" if word == "permit" else "permit", 1)
                if self.one(2) or "limit-" in line or other in self.lines:
                    continue
                line = other
            out.append(line)
        self.lines = out

    def add(self, *lines):
        self.lines += lines

    def one(self, n):
        """Once in n times."""
        return self.rng.randrange(n) == 0

    def groups(self):
        rng = self.rng
        for n in range(2):
            self.add(f"object-group network G{n}")
            for _ in range(rng.randrange(4)):
                net, h = rng.randrange(4), rng.choice(HOSTS)
                self.add(f" host {at(4, net, h)}", f" host {at(6, net, h)}")
                if self.one(2):
                    self.add(f" range {at(4, net, h)} {at(4, net, h + 2)}", f" {prefix(6, net)}")
            self.add("exit")
        self.add("object-group service S0", " tcp eq 80", " udp source gt 1000", " icmp echo", "exit")

    def address(self, v):
        rng, net, h = self.rng, self.rng.randrange(4), self.rng.choice(HOSTS)
        kind = rng.randrange(8)
        if kind < 3:
            return "any"
        if kind == 3:
            return f"host {at(v, net, h)}"
        if kind == 4:
            return f"object-group G{rng.randrange(2)}"
        if kind == 5:
            return f"address-range {at(v, net, h)} {at(v, net, h + 2)}"
        return f"{prefix(v, net)} 0.0.0.255" if v == 4 else prefix(v, net)

    def entry(self, v):
        rng = self.rng
        proto = rng.choice(["tcp", "tcp", "udp", "udp", "ip" if v == 4 else "ipv6", "ip" if v == 4 else "ipv6", "icmp",
                            "object-group S0", "50"])
        words = [rng.choice(["permit", "permit", "permit", "permit", "deny", "reject"]), proto]
        for end in range(2):
            words.append(self.address(v))
            if proto in ("tcp", "udp"):
                words.append(rng.choice(["", "", "", f"eq {rng.choice(PORTS)}", "range 1 600", "gt 600", "neq 80"]
                                        if end else ["", "", "", "gt 1100", "lt 1100"]))
        if proto == "tcp" and self.one(6):
            words.append(rng.choice(["established", "match-all +syn -ack", "match-any +ack +fin"]))
        if self.one(12):
            words.append(rng.choice(["dscp ef", "dscp default"]))
        if self.one(12):
            words.append(rng.choice(["ttl lt 32", "ttl eq 64"]))
        if self.one(12):
            words.append(rng.choice(["length gt 100", "length lt 100"]))
        if self.one(16):
            words.append("state new")
        if words[0] == "permit" and self.one(16):
            words.append(rng.choice(["limit-rate 100000 burst 100000", "limit-connections 2", "limit-connections 1000"]))
            words.append(rng.choice(["", "per-source"]))
        if self.one(12):
            words.append("log")
        return " " + " ".join(w for w in words if w)

    def acl(self, v, n):
        self.add(f"ip access-list extended A{n}" if v == 4 else f"ipv6 access-list A{n}")
        long = self.one(4)  # long ones become tables
        seen = dict.fromkeys(self.entry(v) for _ in range(self.rng.randrange(12, 30) if long else self.rng.randrange(6)))
        self.add(*seen, *(["  permit ip any any" if v == 4 else " permit ipv6 any any"] if self.one(2) else []), "exit")

    def zones(self):
        rng, names = self.rng, ("Z0", "Z1", "self")
        self.add("zone security Z0", *([" management"] if self.one(3) else []), "exit", "zone security Z1", "exit")
        for n in range(3):
            self.add(f"class-map type inspect {rng.choice(['match-any', 'match-all'])} C{n}",
                     f" match access-group name A{rng.randrange(4)}")
            if self.one(3):
                self.add(f" match protocol {rng.choice(['tcp', 'icmp', 'http', 'udp'])}")
            self.add("exit")
        for n in range(3):
            self.add(f"policy-map type inspect P{n}")
            for c in range(3):
                if not self.one(3):
                    self.add(f" class type inspect C{c}", f"  {rng.choice(['inspect'] * 4 + ['pass', 'drop', 'reject'])}",
                             " exit")
            if not self.one(3):
                self.add(" class type inspect class-default",
                         f"  {rng.choice(['inspect', 'inspect', 'inspect', 'pass', 'drop', 'reject'])}", " exit")
            self.add("exit")
        for s in range(2):
            for d in range(3):
                if s != d and not self.one(5):
                    self.add(f"zone-pair security Z{s}-{names[d]} source Z{s} destination {names[d]}",
                             f" service-policy type inspect P{rng.randrange(3)}", "exit")

    def interfaces(self):
        rng = self.rng
        for i in range(3):
            self.add(f"interface eth{i}")
            if self.zoned and not self.one(6):
                self.add(f" zone-member security Z{rng.choice((0, 0, 1) if i < OUTSIDE else (1, 1, 0))}")
            for way in ("in", "out"):
                if self.one(4):
                    self.add(f" ip access-group A{rng.randrange(4)} {way}", f" ipv6 traffic-filter A{rng.randrange(4)} {way}")
            for v, fam in ((4, "ip"), (6, "ipv6")):
                if self.one(8):
                    kind = rng.choice(["rx", "any", "feasible"])
                    self.add(f" {fam} verify unicast source reachable-via {kind}")
                    self.strict[v] |= {i} if kind != "any" else set()
                if self.one(8):
                    self.add(f" {fam} tcp adjust-mss {rng.choice(['auto', '1200'])}")
                    self.clamps = True
            if self.nat:
                side = "outside" if i == OUTSIDE else "inside"
                if i != 1 or not self.one(3):
                    self.add(f" ip nat {side}", f" ipv6 nat {side}")
            self.add("exit")

    def routes(self):
        rng = self.rng
        if self.one(3):
            self.add("ip route 203.0.113.4 255.255.255.254 Null0", "ipv6 route 2001:db8:203::4/127 Null0")
        if self.one(3):
            self.route(6)
        if self.one(4):
            self.add(f"ip route 203.0.113.2 255.255.255.255 {rng.choice(['unreachable', 'prohibit'])}")
        if self.one(4):
            self.add(f"ipv6 route 2001:db8:203::2/128 {rng.choice(['unreachable', 'prohibit'])}")
        # What fits the way back, the kernel asks without the rules of the interface that the answers come by.
        if self.one(4) and not self.clamps:
            self.mapped = True
            self.route_map()
        if self.one(6):
            self.add(f"firewall host-sessions {rng.choice((1000, 10000))}")

    def route(self, host):
        hop = self.rng.choice(HOSTS)
        self.add(f"ip route {at(4, FAR, host)} 255.255.255.255 {at(4, 1, hop)}",
                 f"ipv6 route {at(6, FAR, host)}/128 {at(6, 1, hop)}")

    def route_map(self):
        """Sequences with rules and tables of their own, on one or two interfaces."""
        rng, names = self.rng, []
        for seq in sorted(rng.sample(range(10, 40), rng.randrange(1, 4))):
            name = f"route-map M {rng.choice(['permit', 'permit', 'permit', 'deny'])} {seq}"
            names.append(name)
            lines = [f" match ip source {prefix(4, rng.randrange(3))}/24"] if self.one(3) else []
            lines += [f" match protocol {rng.choice(['tcp', 'udp', 'icmp'])}"] if self.one(3) else []
            lines += [f" match dscp {rng.choice((46, 10))}"] if self.one(6) else []
            if lines and lines[-1] in (" match protocol tcp", " match protocol udp") and self.one(2):
                lines.append(f" match destination-port {rng.choice(PORTS)} 10000")
            if lines and lines[-1] in (" match protocol tcp", " match protocol udp") and self.one(3):
                # No answers are among these.
                self.add(name, *lines, f" match destination-port {PORTS[0]} {PORTS[1]}", " set interface Null0", "exit")
                continue
            hop = rng.choice(HOSTS)
            lines += [] if " deny " in name else rng.choice([[f" set ip next-hop {at(4, 1, hop)}", f" set ipv6 next-hop {at(6, 1, hop)}"],
                                 [f" set ip default next-hop {at(4, 1, hop)}"], [f" set table {TABLE}"],
                                 [f" set table {TABLE}"]])
            self.add(name, *lines, "exit")
        for i in rng.sample(range(3), rng.randrange(1, 3)):
            self.add(f"interface eth{i}", " ip policy route-map M", *([] if self.one(3) else [" ipv6 policy route-map M"]),
                     "exit")

    def translations(self, v):
        rng = self.rng
        fam = "ip" if v == 4 else "ipv6"
        size, most = ("24", "permit ip any any") if v == 4 else ("64", "permit ipv6 any any")
        for n in range(2):
            self.add(f"ip access-list extended L{n}" if v == 4 else f"ipv6 access-list L{n}")
            for _ in range(rng.randrange(3)):
                h = rng.choice(HOSTS)
                self.add(f" {rng.choice(['permit', 'deny'])} {'ip' if v == 4 else 'ipv6'} "
                         f"address-range {at(v, rng.randrange(2), h)} {at(v, 1, h + 3)} any")
            self.add(*([f" {most}"] if n == 0 or self.one(2) else []), "exit")
        self.add(f"{fam} nat pool A {self.pools[v][0]} {self.pools[v][-1]} prefix-length {size}")
        self.targets[v] += [at(v, OUTSIDE, 1), at(v, OUTSIDE, 101)]
        order = ["interface eth2 overload", "pool A overload", "exempt"]
        rng.shuffle(order)
        self.add(f"{fam} nat inside source policy 1 list L1 {order[0]}",
                 f"{fam} nat inside source list L0 {rng.choice(['interface eth2 overload', 'pool A via eth2 overload'])}")
        for h, kind in zip(rng.sample(HOSTS, 3), ("host", "port", "port")):
            net, out = rng.randrange(2), at(v, OUTSIDE, 20 + h)
            if self.one(3):
                continue
            if kind == "host":
                self.add(f"{fam} nat inside source static {at(v, net, h)} {out}")
            else:
                proto, port = rng.choice(["tcp", "udp"]), rng.choice(PORTS)
                out = rng.choice([f"interface eth2 {8000 + h}", f"{out} {port}"])
                self.add(f"{fam} nat inside source static {proto} {at(v, net, h)} {port} {out}")
                out = at(v, OUTSIDE, 1) if "eth2" in out else out.split()[0]
            self.targets[v].append(out)
        if self.one(4):
            self.add(f"{fam} nat outside source static {at(v, OUTSIDE, 5)} {at(v, 3, 77)}")
            self.targets[v].append(at(v, 3, 77))
