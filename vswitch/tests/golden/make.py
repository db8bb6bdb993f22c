#!/usr/bin/python3
"""Makes the golden captures beside this file, with scapy (Debian: python3-scapy, 2.5.0).

    encap-in.pcap   frames of a tenant of network green
    encap-out.pcap  what is to leave by the uplink for each, but for the UDP source port, which is
                    the flow hash's and here 49152
    decap-in.pcap   frames from the underlay for network blue
    decap-out.pcap  what tenants are to get of each

`tests/pipeline_bytes.rs` replays them. Running this again gives the same bytes.
"""

import os

from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from scapy.utils import PcapWriter

conf.ipv6_enabled = False
HERE = os.path.dirname(os.path.abspath(__file__))

UPLINK, NEXT_HOP = "02:ff:00:00:00:00", "02:ee:00:00:00:01"
LOCAL, REMOTE = "198.51.100.1", "198.51.100.2"
A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"
ETHER = Ether(src=A, dst=B)
INET = ETHER / IP(src="203.0.113.1", dst="203.0.113.2", id=7)


def data(count):
    return Raw(bytes(i % 251 for i in range(count)))


INNER = [
    ETHER / ARP(op=1, hwsrc=A, psrc="203.0.113.1", pdst="203.0.113.2"),
    Ether(src=A, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, hwsrc=A, psrc="203.0.113.1"),
    INET / ICMP(id=1, seq=1) / data(56),
    INET / TCP(sport=40000, dport=80, flags="S", seq=1),
    INET / UDP(sport=40000, dport=53) / data(31),
    ETHER / IP(src="203.0.113.1", dst="203.0.113.2", flags="MF", proto=17) / data(24),
    ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / ICMPv6EchoRequest(data=b"x" * 40),
    ETHER / IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1, dport=2) / data(3),
    INET / UDP(sport=50000, dport=4789, chksum=0) / VXLAN(vni=5, flags=8) / ETHER / data(10),
    Ether(src=A, dst=B, type=0x88B5),
    Ether(src=A, dst=B, type=0x88B5) / data(46),
    Ether(src=A, dst=B, type=0x88B5) / data(47),
    Ether(src=A, dst=B, type=0x88B5) / data(1464 - 14),
]


def encapsulated(inner):
    return (
        Ether(src=UPLINK, dst=NEXT_HOP)
        / IP(src=LOCAL, dst=REMOTE, flags="DF", ttl=64, id=0)
        / UDP(sport=49152, dport=4789, chksum=0)
        / VXLAN(flags=0x08, vni=200)
        / inner
    )


def received(inner, n):
    """As others may send it: options, TOS, identification, TTL, checksum, padding all vary."""
    options = [[], [0x01] * 4, [0x94, 0x04, 0, 0], [0x01] * 40][n % 4]
    frame = (
        Ether(src=NEXT_HOP, dst=UPLINK)
        / IP(
            src=REMOTE,
            dst=LOCAL,
            ihl=5 + len(options) // 4,
            options=bytes(options) and [Raw(bytes(options))],
            tos=[0, 0xB8, 0x03][n % 3],
            flags=["DF", 0][n % 2],
            ttl=[64, 1, 255][n % 3],
            id=n * 1000,
        )
        / UDP(sport=[49152, 1, 65535][n % 3], dport=4789, **({"chksum": 0} if n % 2 else {}))
        / VXLAN(flags=0x08, vni=100)
        / inner
    )
    return Raw(bytes(frame) + bytes([0, 3][n % 2]))


def write(name, frames):
    writer = PcapWriter(os.path.join(HERE, name), linktype=1, endianness="<")
    writer.write_header(None)
    for second, frame in enumerate(frames):
        writer.write_packet(bytes(frame), sec=second, usec=0)
    writer.close()


write("encap-in.pcap", INNER)
write("encap-out.pcap", [encapsulated(inner) for inner in INNER])
write("decap-in.pcap", [received(inner, n) for n, inner in enumerate(INNER)])
write("decap-out.pcap", INNER)
