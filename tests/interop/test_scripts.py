# SPDX-License-Identifier: MIT
"""Scripts and files of single clients: what they may decide, what they are told, and that nobody waits for them."""
import contextlib
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
from hub import CONNECTED, start_client  # noqa: E402
from netns import Failed, wait_for  # noqa: E402


def expect(true, what):
    if not true:
        raise Failed(what)


def script(folder, name, text):
    """A shell script; what it writes goes to the folder `out`, where the account `nobody` may write."""
    path = hub.write(folder, name, f"#!/bin/sh\nout={folder}/out\n{text}\n")
    os.chmod(path, 0o755)
    return path


def said(folder, name):
    path = os.path.join(folder, "out", name)
    if not os.path.exists(path):
        return ""
    with open(path) as f:
        return f.read()


def environment(folder, name):
    """What `env` wrote, without what the shell adds by itself."""
    lines = [line.partition("=") for line in said(folder, name).splitlines()]
    return {n: value for n, _, value in lines if n not in ("PWD", "OLDPWD", "SHLVL", "_")}


@contextlib.contextmanager
def setting(folder, names, *lines, ccd=None, **how):
    """A hub with scripts allowed and a namespace and a certificate for each name: (net, hub)."""
    for name in ("out", "tmp"):
        os.mkdir(f"{folder}/{name}")
        os.chmod(f"{folder}/{name}", 0o777)
    if ccd is not None:
        os.mkdir(f"{folder}/ccd")
        os.chmod(f"{folder}/ccd", 0o755)
        for name, text in ccd.items():
            os.chmod(hub.write(f"{folder}/ccd", name, text), 0o644)
        lines = (*lines, f"client-config-dir {folder}/ccd")
    hub.make_pki(folder, names)
    with netns.Net(len(names), folder) as net:
        yield net, hub.Hub(net, hub.hub_config(folder, "script-security 2", f"tmp-dir {folder}/tmp", *lines, **how))


def test_client_connect_gives_an_address_and_a_route_and_is_told_who_comes(folder):
    connect = script(folder, "connect", """
env > $out/env
echo "$#|$2" > $out/arguments
echo "hello from the script"
cat > "$2" <<EOF
ifconfig-push 10.77.0.99 255.255.255.0
push "route 192.168.77.0 255.255.255.0"
EOF""")
    with setting(folder, ["c0"], f"client-connect '{connect} word'", "setenv COLOUR green", "setenv-safe X y") as (net, it):
        client = start_client(net, 0, "c0", "setenv UV_MOOD good", "push-peer-info")
        hub.wait_connected(client)
        it.wait_text(r"client-connect \(c0\): hello from the script", 5)
        expect(hub.tun_address(net.clients[0]) == "10.77.0.99", hub.tun_address(net.clients[0]))
        expect("192.168.77.0/24" in hub.run("ip", "route", namespace=net.clients[0]), "the route was not pushed")
        expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "pings lost")
        expect(netns.ping(net.hub, "10.77.0.99") == 0, "pings lost the other way")
        told = environment(folder, "env")
        expect(said(folder, "arguments") == f"2|{told['client_connect_config_file']}\n", said(folder, "arguments"))
        expected = {"script_type": "client-connect", "common_name": "c0", "COLOUR": "green", "OPENVPN_X": "y",
                    "trusted_ip": "10.99.0.2", "untrusted_ip": "10.99.0.2", "ifconfig_pool_netmask": "255.255.255.0",
                    "dev": "tun0", "dev_type": "tun", "tun_mtu": "1500", "ifconfig_local": "10.77.0.1",
                    "ifconfig_netmask": "255.255.255.0", "ifconfig_ipv6_local": "fd77::1", "config": it.config,
                    "ifconfig_ipv6_netbits": "64", "ifconfig_pool_local_ip6": "fd77::1", "ifconfig_pool_ip6_netbits": "64",
                    "UV_MOOD": "good", "IV_PLAT": "linux", "proto_1": "udp", "local_port_1": "1194", "daemon": "0",
                    "daemon_pid": str(it.process.pid), "verb": "4", "tls_id_0": "CN=c0"}
        wrong = {n: told.get(n) for n, value in expected.items() if told.get(n) != value}
        expect(not wrong, f"environment: {wrong}")
        for name in ("time_unix", "time_ascii", "trusted_port", "ifconfig_pool_remote_ip", "ifconfig_pool_remote_ip6",
                     "IV_VER", "tls_serial_0", "daemon_start_time", "client_connect_deferred_file"):
            expect(told.get(name), f"no {name}")
        for name in ("PATH", "HOME", "USER", "password"):
            expect(name not in told, f"{name}={told.get(name)}")
        expect(not os.listdir(f"{folder}/tmp"), "files left behind")


def test_a_client_that_the_script_refuses_is_told_so_and_others_come(folder):
    connect = script(folder, "connect", '[ "$common_name" != bad ]')
    with setting(folder, ["good", "bad"], f"client-connect {connect}") as (net, it):
        bad = start_client(net, 1, "bad")
        good = start_client(net, 0, "good")
        hub.wait_connected(good)
        bad.wait_text("AUTH_FAILED", 15)
        it.wait_text("bad: client-connect says no", 5)
        expect(CONNECTED not in bad.text(), "it was let in")
        expect(netns.ping(net.clients[0], "10.77.0.1") == 0, "pings lost")


def test_nobody_waits_for_the_script_of_another(folder):
    connect = script(folder, "connect", '[ "$common_name" != slow ] || sleep 6')
    with setting(folder, ["first", "slow", "second"], f"client-connect {connect}", workers=1) as (net, it):
        first = start_client(net, 0, "first", "explicit-exit-notify 1")
        hub.wait_connected(first)
        finish = hub.stream(net, net.clients[0], net.hub, "10.77.0.1", 100, 8)
        slow = start_client(net, 1, "slow")
        it.wait_text("10.99.1.2:\\d+ is 'slow'|'slow'", 10)
        began = time.monotonic()
        second = start_client(net, 2, "second")
        hub.wait_connected(second)
        took = time.monotonic() - began
        expect(CONNECTED not in slow.text(), "the slow one was not slow")
        expect(took < 5, f"a handshake beside it took {took:.1f} s")
        hub.wait_connected(slow)
        figures = finish()
        expect(figures["lost"] == 0, f"packets lost: {figures}")


def test_a_script_that_hangs_is_killed_with_its_children_and_its_client_refused(folder):
    connect = script(folder, "connect", """
[ "$common_name" = hanging ] || exit 0
sleep 600 &
echo $! > $out/child
sleep 600""")
    with setting(folder, ["hanging", "good"], f"client-connect {connect}", "hand-window 8") as (net, it):
        start_client(net, 0, "hanging", "hand-window 30", "connect-retry 60")
        wait_for("the script", lambda: said(folder, "child"))
        child = int(said(folder, "child"))
        it.wait_text("hanging: client-connect is still not done after \\d+ ms: killed", 20)
        wait_for("the end of its child", lambda: not os.path.exists(f"/proc/{child}"))
        good = start_client(net, 1, "good")
        hub.wait_connected(good)
        expect(not it.row("hanging"), "it was let in")


def test_a_script_may_decide_later(folder):
    connect = script(folder, "connect", """
echo 2 > "$client_connect_deferred_file"
( sleep 2
echo 'push "route 192.168.88.0 255.255.255.0"' > "$client_connect_config_file"
[ "$common_name" = no ] && echo 0 > "$client_connect_deferred_file" || echo 1 > "$client_connect_deferred_file" ) &""")
    with setting(folder, ["yes", "no"], f"client-connect {connect}") as (net, it):
        yes, no = start_client(net, 0, "yes"), start_client(net, 1, "no")
        hub.wait_connected(yes)
        no.wait_text("AUTH_FAILED", 15)
        expect("192.168.88.0/24" in hub.run("ip", "route", namespace=net.clients[0]), "the route was not pushed")


def test_client_disconnect_is_told_bytes_and_time_exactly_once(folder):
    leave = script(folder, "leave", """
echo "$common_name $bytes_received $bytes_sent $time_duration $script_type $trusted_ip $IV_PLAT" >> $out/left""")
    connect = script(folder, "connect", '[ "$common_name" != refused ]')
    with setting(folder, ["c0", "stays", "refused"], f"client-connect {connect}", f"client-disconnect {leave}") as (net, it):
        leaving, stays, refused = [
            start_client(net, i, n, "explicit-exit-notify 1") for i, n in enumerate(("c0", "stays", "refused"))]
        hub.wait_connected(leaving, stays)
        refused.wait_text("AUTH_FAILED", 15)
        expect(netns.ping(net.clients[0], "10.77.0.1", count=10) == 0, "pings lost")
        time.sleep(1)
        leaving.stop()
        line = wait_for("client-disconnect", lambda: said(folder, "left"), 20)
        match = re.fullmatch(r"c0 (\d+) (\d+) (\d+) client-disconnect 10.99.0.2 linux\n", line)
        expect(match, line)
        expect(int(match[1]) >= 840 and int(match[2]) >= 840 and 1 <= int(match[3]) < 60, line)
        it.stop()
        lines = said(folder, "left").splitlines()
        expect(sorted(line.split()[0] for line in lines) == ["c0", "stays"], f"at the end: {lines}")


def test_client_disconnect_is_run_though_the_worker_died(folder):
    leave = script(folder, "leave", 'echo "$common_name $time_duration" >> $out/left')
    with setting(folder, ["c0"], f"client-disconnect {leave}", workers=1) as (net, it):
        client = start_client(net, 0, "c0", "explicit-exit-notify 1")
        hub.wait_connected(client)
        os.kill(it.worker_pids()[0], signal.SIGKILL)
        it.wait_text("adopted 1 of 1 sessions", 10)
        expect(netns.ping(net.clients[0], "10.77.0.1", count=5) == 0, "pings lost after the adoption")
        expect(not said(folder, "left"), "it has not left")
        client.stop()
        wait_for("client-disconnect", lambda: said(folder, "left"), 20)
        it.stop()
        expect(said(folder, "left").count("c0") == 1, said(folder, "left"))


def test_a_helper_that_dies_is_replaced_and_its_clients_are_not_let_in_unasked(folder):
    connect = script(folder, "connect", '[ "$common_name" != slow ] || sleep 20')
    leave = script(folder, "leave", 'echo "$common_name" >> $out/left')
    with setting(folder, ["first", "slow", "second"], f"client-connect {connect}",
                 f"client-disconnect {leave}") as (net, it):
        first = start_client(net, 0, "first", "explicit-exit-notify 1")
        hub.wait_connected(first)
        slow = start_client(net, 1, "slow", "connect-retry 60")
        it.wait_text("'slow'", 10)
        time.sleep(6)  # a helper that dies young is not replaced at once
        helper = [pid for pid in it.pids() if open(f"/proc/{pid}/comm").read().strip() == "vpn-helper"]
        expect(len(helper) == 1, f"helpers: {helper}")
        os.kill(helper[0], signal.SIGKILL)
        it.wait_text("refused: the helper is gone", 10)
        slow.wait_text("AUTH_FAILED", 10)
        second = start_client(net, 2, "second")
        hub.wait_connected(second)
        first.stop()
        wait_for("client-disconnect by the new helper", lambda: "first" in said(folder, "left"), 20)


def test_files_of_clients_give_addresses_and_networks(folder):
    ccd = {"fixed": "ifconfig-push 10.77.0.50 255.255.255.0\nifconfig-ipv6-push fd77::50/64\n"
                    "iroute 192.168.50.0 255.255.255.0\nno-such-line\npush \"route 192.168.60.0 255.255.255.0\"\n",
           "disabled": "disable\n", "DEFAULT": "push-reset\npush \"topology subnet\"\n"}
    with setting(folder, ["fixed", "disabled", "other"], "route 192.168.50.0 255.255.255.0",
                 "push \"route 192.168.50.0 255.255.255.0\"", ccd=ccd) as (net, it):
        fixed, disabled, other = [start_client(net, i, n) for i, n in enumerate(("fixed", "disabled", "other"))]
        hub.wait_connected(fixed, other)
        disabled.wait_text("AUTH_FAILED", 15)
        expect(hub.tun_address(net.clients[0]) == "10.77.0.50", hub.tun_address(net.clients[0]))
        expect(hub.tun_address(net.clients[0], family=6) == "fd77::50", hub.tun_address(net.clients[0], family=6))
        routes = hub.run("ip", "route", namespace=net.clients[0])
        expect("192.168.60.0/24" in routes and "192.168.50.0/24" not in routes, routes)
        it.wait_text(f"fixed: {folder}/ccd/fixed:4: no-such-line: Unrecognized option", 5)
        hub.run("ip", "addr", "add", "192.168.50.1/24", "dev", "lo", namespace=net.clients[0])
        expect(netns.ping(net.hub, "192.168.50.1") == 0, "the network behind it is not reached")
        expect(netns.ping(net.hub, "fd77::50") == 0, "its IPv6 address is not reached")
        expect("ping 5" not in other.text().split("PUSH_REPLY")[1].splitlines()[0], "push-reset had no effect")


def test_ccd_exclusive_lets_nobody_in_without_a_file(folder):
    with setting(folder, ["known", "unknown"], "ccd-exclusive", ccd={"known": "", "DEFAULT": ""}) as (net, it):
        known, unknown = [start_client(net, i, n) for i, n in enumerate(("known", "unknown"))]
        hub.wait_connected(known)
        unknown.wait_text("AUTH_FAILED", 15)
        it.wait_text("unknown: ccd-exclusive", 5)


def test_up_and_down_run_around_the_hub_with_their_arguments(folder):
    os.mkdir(f"{folder}/out")
    up = script(folder, "up", 'echo "up $@ $script_type $(id -u)" >> $out/order; ip -o link show "$dev" > $out/link')
    down = script(folder, "down", 'echo "down $@ $signal" >> $out/order')
    routes = script(folder, "routes", 'echo "$script_type $#" >> $out/order; ip route show > $out/routes')
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        it = hub.Hub(net, hub.hub_config(folder, "script-security 2", f"up '{up} word'", f"down {down}", "down-pre",
                                         f"route-up {routes}", f"route-pre-down {routes}",
                                         "route 192.168.50.0 255.255.255.0"))
        told = "tun0 1500 0 10.77.0.1 255.255.255.0 init"
        expect(said(folder, "order") == f"up word {told} up 0\nroute-up 0\n", said(folder, "order"))
        expect(",UP," in said(folder, "link"), "the device was not up")
        expect("192.168.50.0/24" in said(folder, "routes"), "the routes were not there")
        os.remove(f"{folder}/out/routes")
        expect(it.stop() == 0, "exit status")
        expect(said(folder, "order").splitlines()[2:] == ["route-pre-down 0", f"down {told} sigterm"],
               said(folder, "order"))
        expect("192.168.50.0/24" in said(folder, "routes"), "the routes were gone already")


def test_an_up_script_that_fails_ends_the_start(folder):
    up = script(folder, "up", "echo no; exit 3")
    hub.make_pki(folder, ["c0"])
    with netns.Net(1, folder) as net:
        process = net.start([hub.HUB, hub.hub_config(folder, "script-security 2", f"up {up}")], "hub.log", net.hub)
        wait_for("its end", lambda: not process.alive())
        expect(process.popen.returncode == 1, process.popen.returncode)
        expect("ended with status 3" in process.text() and "up: no" in process.text(), process.text())


def test_without_script_security_nobody_is_let_in(folder):
    connect = script(folder, "connect", "exit 0")
    with setting(folder, ["c0"], f"client-connect {connect}", "script-security 1") as (net, it):
        client = start_client(net, 0, "c0", "explicit-exit-notify 1")
        client.wait_text("AUTH_FAILED", 15)
        expect("script-security does not allow it to run" in it.text(), "no warning")


def test_a_reload_changes_what_runs_and_forgets_nobody(folder):
    before = script(folder, "before", 'echo "before $common_name $IV_PLAT" >> $out/left')
    after = script(folder, "after", 'echo "after $common_name $IV_PLAT" >> $out/left')
    with setting(folder, ["c0"], f"client-disconnect {before}") as (net, it):
        client = start_client(net, 0, "c0", "explicit-exit-notify 1")
        hub.wait_connected(client)
        with open(it.config) as f:
            text = f.read()
        with open(it.config, "w") as f:
            f.write(text.replace(f"client-disconnect {before}", f"client-disconnect {after}"))
        it.signal(signal.SIGHUP)
        it.wait_text("Reload done", 10)
        it.wait_text("renegotiated, key id", 10)  # before, its new worker cannot hear it say that it leaves
        client.stop()
        line = wait_for("client-disconnect", lambda: said(folder, "left"), 20)
        expect(line == "after c0 linux\n", line)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
