# SPDX-License-Identifier: MIT
"""Super packets: what goes in as a train comes out byte for byte, whichever way, and whoever owns the session."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402

STATION = os.path.join(hub.BUILD, "tests", "load", "station")

# Bytes that nobody repeats, so that a segment in the wrong place is seen.
BYTES = """
import hashlib, socket, struct, sys
def block(n):
    return hashlib.shake_128(struct.pack(">Q", n)).digest(16384)
family = socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET
"""
TCP_TAKE = BYTES + """
s = socket.socket(family, socket.SOCK_STREAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[2], 9100)); s.listen(); print("listening", flush=True)
c = s.accept()[0]; have = b""; n = 0
while True:
    got = c.recv(1 << 18)
    if not got:
        break
    have += got
    while len(have) >= 16384:
        if have[:16384] != block(n):
            print("wrong at", n); sys.exit(1)
        have = have[16384:]; n += 1
print("blocks", n, "rest", len(have), flush=True)
"""
TCP_GIVE = BYTES + """
s = socket.create_connection((sys.argv[2], 9100), 10)
for n in range(int(sys.argv[1])):
    s.sendall(block(n))
s.shutdown(socket.SHUT_WR); s.recv(1)
"""
# UDP_SEGMENT: 20 datagrams of 1200 bytes and one of 77 a call.
UDP_GIVE = BYTES + """
import time
s = socket.socket(family, socket.SOCK_DGRAM); s.setsockopt(17, 103, 1200)
for n in range(int(sys.argv[1])):
    train = b"".join(struct.pack(">II", n, i) + block(n * 32 + i)[:1192] for i in range(20))
    s.sendto(train + struct.pack(">II", n, 20) + block(n * 32 + 20)[:69], (sys.argv[2], 9200)); time.sleep(0.008)
"""
UDP_TAKE = BYTES + """
s = socket.socket(family, socket.SOCK_DGRAM); s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 23)
s.bind((sys.argv[2], 9200)); print("listening", flush=True)
s.settimeout(3); count = 0; last = (-1, 0)
try:
    while True:
        got = s.recv(65536); n, i = struct.unpack(">II", got[:8])
        if got[8:] != block(n * 32 + i)[:1192 if i < 20 else 69] or (n, i) <= last:
            print("wrong at", n, i); sys.exit(1)
        last = (n, i); count += 1
except TimeoutError:
    print("datagrams", count, flush=True)
"""


def program(text, *args):
    return [sys.executable, "-c", text, *map(str, args)]


def tcp(net, sender, receiver, address, blocks, name):
    take = net.start(program(TCP_TAKE, 0, address), f"{name}.log", receiver)
    take.wait_text("listening", 5)
    run(*program(TCP_GIVE, blocks, address), namespace=sender, timeout=60)
    take.wait_text(f"blocks {blocks} rest 0", 10)


def udp(net, sender, receiver, address, trains, name):
    take = net.start(program(UDP_TAKE, 0, address), f"{name}.log", receiver)
    take.wait_text("listening", 5)
    run(*program(UDP_GIVE, trains, address), namespace=sender, timeout=60)
    got = int(take.wait_text(r"datagrams (\d+)", 20).group(1))
    if got < 21 * trains * 0.5: # a client that has no CPU for a moment loses what its socket cannot hold
        raise Failed(f"{name}: {got} of {21 * trains} datagrams")


def station(net, folder, index):
    client = net.start([STATION, "--remote", f"10.99.{index}.1:1194", "--ca", f"{folder}/ca.crt", "--cert",
                        f"{folder}/c{index}.crt", "--key", f"{folder}/c{index}.key"], f"station{index}.log",
                       net.clients[index])
    client.wait_text("open", 10)
    return client


def difference(it, before, *names):
    """The counters are published once a second, some of them."""
    after = it.counters()
    return [after[n] - before[n] for n in names]


def both_ways(net, it, blocks, trains, addresses, families=(4,), again=""):
    for family in families:
        mine, hubs = addresses(family)
        tcp(net, net.clients[0], net.hub, hubs, blocks, f"tcp-up-{family}{again}")
        tcp(net, net.hub, net.clients[0], mine, blocks, f"tcp-down-{family}{again}")
        udp(net, net.clients[0], net.hub, hubs, trains, f"udp-up-{family}{again}")
        udp(net, net.hub, net.clients[0], mine, trains, f"udp-down-{family}{again}")
    counters = it.counters()
    bad = {n: counters[n] for n in ("BAD_PACKET", "TOO_LONG", "TUNNEL_ERROR", "LINK_ERROR", "FORGED") if counters[n]}
    if bad:
        raise Failed(f"{bad}")


def addresses_of(net):
    return lambda family: (hub.tun_address(net.clients[0], family=family), "10.77.0.1" if family == 4 else "fd77::1")


def test_a_stock_client_gets_and_gives_every_byte(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        hub.wait_connected(hub.start_client(net, 0, "c0"))
        before = it.counters()
        both_ways(net, it, 1500, 200, addresses_of(net), (4, 6))
        packets, calls = difference(it, before, "PACKETS_TUN_OUT", "TUN_CALLS_OUT")
        runner.say(f"{packets} packets out of the tunnel by {calls} reads")
        if calls * 2 > packets:
            raise Failed("no super packets")


def test_without_offload_it_is_the_same_one_packet_at_a_time(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "hub.offload off"))
        hub.wait_connected(hub.start_client(net, 0, "c0"))
        before = it.counters()
        both_ways(net, it, 500, 50, addresses_of(net), (4, 6))
        packets, calls, written, writes = difference(it, before, "PACKETS_TUN_OUT", "TUN_CALLS_OUT", "PACKETS_TUN_IN",
                                                     "TUN_CALLS_IN")
        if packets != calls or written != writes:
            raise Failed(f"{packets} packets by {calls} reads, {written} by {writes} writes")


def test_trains_from_a_fast_client_are_joined_again(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        station(net, folder, 0)
        before = it.counters()
        both_ways(net, it, 3000, 300, addresses_of(net))
        packets, calls, written, writes = difference(it, before, "PACKETS_TUN_OUT", "TUN_CALLS_OUT", "PACKETS_TUN_IN",
                                                     "TUN_CALLS_IN")
        runner.say(f"{packets} packets out of the tunnel by {calls} reads, {written} into it by {writes} writes")
        if calls * 2 > packets or writes * 2 > written:
            raise Failed("no super packets")


def outer_mtu(net, mtu):
    run("ip", "link", "set", "h0", "mtu", mtu, namespace=net.hub)
    run("ip", "link", "set", "eth0", "mtu", mtu, namespace=net.clients[0])


def test_segments_wider_than_the_path_go_alone_and_in_fragments(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder))
        station(net, folder, 0)
        both_ways(net, it, 300, 30, addresses_of(net))
        outer_mtu(net, 1280)
        both_ways(net, it, 300, 30, addresses_of(net), again="-narrow")


def test_jumbo_packets_in_trains_on_a_wide_path_and_on_a_usual_one(folder):
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        outer_mtu(net, 9300)
        it = hub.Hub(net, hub.hub_config(folder, "tun-mtu 9000", "mssfix 0"))
        hub.wait_connected(hub.start_client(net, 0, "c0", "tun-mtu 9000", "mssfix 0"))
        before = it.counters()
        both_ways(net, it, 1000, 50, addresses_of(net), (4, 6))
        packets, calls, bytes_out = difference(it, before, "PACKETS_TUN_OUT", "TUN_CALLS_OUT", "LINK_BYTES_OUT")
        runner.say(f"{packets} packets out of the tunnel by {calls} reads, {bytes_out} bytes")
        outer_mtu(net, 1500)
        both_ways(net, it, 200, 20, addresses_of(net), (4, 6), again="-usual")


def test_trains_are_handed_over_and_go_from_client_to_client(folder):
    hub.make_pki(folder, ["c0", "c1"])
    with netns.Net(2, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "hub.steering off", "client-to-client"))
        station(net, folder, 0)
        station(net, folder, 1)
        before = it.counters()
        first, second = (hub.tun_address(c) for c in net.clients)
        for n in range(40): # a flow that nobody answers begins at the wrong worker as often as at the right one
            udp(net, net.hub, net.clients[n % 2], (first, second)[n % 2], 40, f"udp-{n}")
            over, records = difference(it, before, "PACKETS_TUN_OUT", "HANDED_OVER_OUT")
            if n >= 3 and records:
                break
        runner.say(f"of {over} packets out of the tunnel {records} records were handed over")
        if not records:
            raise Failed("nothing was handed over")
        for n in range(2):
            tcp(net, net.hub, net.clients[n], (first, second)[n], 1000, f"tcp-{n}")
        for n in range(2):
            udp(net, net.clients[0], net.clients[1], second, 100, f"udp-across-{n}")
            tcp(net, net.clients[0], net.clients[1], second, 1000, f"tcp-across-{n}")
        wait_for("the counters", lambda: it.counters()["PEER_TO_PEER"] > before["PEER_TO_PEER"], 3)
        runner.say(f"{difference(it, before, 'PEER_TO_PEER')[0]} from client to client")


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
