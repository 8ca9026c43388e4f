#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What `meson install` gives: the files, a library that others can use, manual pages, completion, units."""
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))

import hub  # noqa: E402
import netns  # noqa: E402
import runner  # noqa: E402
import system  # noqa: E402
from netns import Failed, run, wait_for  # noqa: E402


def expect(good, text):
    if not good:
        raise Failed(text)


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            raise runner.Skipped(f"{program} is not installed")


class Installed:
    """An installation below a folder of the test."""

    def __init__(self, folder):
        self.root = os.path.join(folder, "installed")
        run("meson", "install", "-C", hub.BUILD, "--no-rebuild", "--quiet", "--destdir", self.root)
        self.files = sorted(os.path.join(d, f)[len(self.root):] for d, _, files in os.walk(self.root) for f in files)

    def find(self, end):
        found = [f for f in self.files if f.endswith(end)]
        expect(len(found) == 1, f"{end}: {found} of\n" + "\n".join(self.files))
        return found[0]

    def path(self, end):
        return self.root + self.find(end)

    def text(self, end):
        with open(self.path(end)) as f:
            return f.read()


def test_everything_is_where_it_belongs(folder):
    it = Installed(folder)
    for end in ("/sbin/vpnserverd", "/bin/vpnadm", "/include/vpncore.h", "/pkgconfig/vpncore.pc", "/libvpncore.so.1.0.0",
                "/libvpncore.so.1", "/libvpncore.so", "/libvpncore.a", "/systemd/system/vpnserverd@.service",
                "/systemd/system/vpnserverd.service", "/sysusers.d/vpnserverd.conf", "/tmpfiles.d/vpnserverd.conf",
                "/etc/logrotate.d/vpnserverd", "/man8/vpnserverd.8", "/man8/vpnadm.8", "/man5/vpnserverd.conf.5",
                "/examples/server.conf", "/bash-completion/completions/vpnserverd", "/bash-completion/completions/vpnadm",
                "/zsh/site-functions/_vpnserverd", "/zsh/site-functions/_vpnadm"):
        it.find(end)
    expect(os.stat(f"{it.root}/etc/vpnserverd").st_mode & 0o777 == 0o755, "scripts in there could not be executed")
    init = f"{it.root}/etc/init.d/vpnserverd"
    expect(os.access(init, os.X_OK), "the init script cannot be run")
    for text in (it.text("/vpnserverd@.service"), open(init).read()):
        expect(it.find("/sbin/vpnserverd") in text, "a place that is not where the program is")
    for name in it.files:
        if name.endswith((".service", ".conf", ".8", ".5", ".pc")) or "/init.d/" in name:
            with open(it.root + name) as f:
                left = re.findall(r"@[A-Z]+@", f.read())
            expect(not left, f"{name}: {left}")
    run(it.path("/sbin/vpnserverd"), "--version")  # it finds its libraries
    run(it.path("/bin/vpnadm"), "--help")


def test_another_program_can_use_the_library(folder):
    needs("pkg-config", "cc", "nm")
    it = Installed(folder)
    source = hub.write(folder, "user.c", "#include <vpncore.h>\n#include <stdio.h>\n"
                       "int main(void) { puts(vpn_version()); return 0; }\n")
    env = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(it.path("/pkgconfig/vpncore.pc")),
               PKG_CONFIG_SYSROOT_DIR=it.root)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "vpncore"], env=env, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.split()
    run("cc", source, "-o", f"{folder}/user", *flags)
    env["LD_LIBRARY_PATH"] = os.path.dirname(it.path("/libvpncore.so"))
    said = subprocess.run([f"{folder}/user"], env=env, check=True, text=True, stdout=subprocess.PIPE).stdout.strip()
    asked = subprocess.run(["pkg-config", "--modversion", "vpncore"], env=env, check=True, text=True,
                           stdout=subprocess.PIPE).stdout.strip()
    expect(said == asked, f"{said} is not {asked}")
    names = set(re.findall(r" [A-Z] (\w+)", run("nm", "-D", "--defined-only", it.path("/libvpncore.so"))))
    with open(it.path("/include/vpncore.h")) as f:
        public = set(re.findall(r"\b(vpn_\w+)\(", f.read()))
    expect(names and names == names & public, f"exported and not in the header: {sorted(names - public)}")


def test_manual_pages_render_without_a_warning(folder):
    needs("man", "groff")
    it = Installed(folder)
    for end in ("/vpnserverd.8", "/vpnadm.8", "/vpnserverd.conf.5"):
        for command in (["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", it.path(end)],
                        ["groff", "-ww", "-man", "-Tutf8", "-Z", it.path(end)]):
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                                  env=dict(os.environ, LC_ALL="C.UTF-8"))
            expect(done.returncode == 0 and not done.stderr, f"{command}: {done.stderr}")


def options_of_help():
    """(name, sentence) as --help has them."""
    text = run(hub.HUB, "--help")
    return re.findall(r"(?m)^([a-z][a-z0-9.-]*)(?: .*)?\n\t(.*)$", text[text.index("\nOptions:"):])


def test_the_manual_has_every_option_as_the_program_knows_it(folder):
    needs("groff")
    page = run("groff", "-man", "-Tascii", "-P-cbou", "-rLL=2000n", Installed(folder).path("/vpnserverd.conf.5"))
    flat = " ".join(page.split())
    options = options_of_help()
    expect(len(options) > 300, f"only {len(options)} options found")
    for name, sentence in options:
        expect(re.search(rf"(?m)^ +{re.escape(name)}( |$)", page), f"{name} is not in the manual")
        words = " ".join(re.sub(r"`([^`]*)`", r"\1", sentence).split())
        expect(words in flat, f"{name}: '{words}' reads otherwise in the manual")


def complete_in_bash(file, command, *words):
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
              '"_$(basename "$1")"; printf "%s\\n" "${COMPREPLY[@]}"')
    return run("bash", "-c", script, "bash", file, command, *words).split()


def test_bash_completes_what_the_programs_take(folder):
    it = Installed(folder)
    file, program = it.path("/completions/vpnserverd"), it.path("/sbin/vpnserverd")
    expect(complete_in_bash(file, program, "--keepal") == ["--keepalive"], "--keepalive")
    expect(set(complete_in_bash(file, program, "--")) >= {f"--{n}" for n, _ in options_of_help()} | {"--test-config"},
           "not all options")
    expect(complete_in_bash(file, program, "--genkey", "auth") == ["auth-token"], "auth-token")
    hub.write(folder, "office.conf", "")
    expect(complete_in_bash(file, program, f"{folder}/off") == [f"{folder}/office.conf"], "a file")
    file, program = it.path("/completions/vpnadm"), it.path("/bin/vpnadm")
    expect(set(complete_in_bash(file, program, "")) >= {"status", "clients", "workers", "fates", "--name", "--json"}, "all")
    expect(complete_in_bash(file, program, "--j") == ["--json"], "--json")
    for command, options in (("top", {"--interval"}), ("watch", {"--all", "--interval", "--json"}),
                             ("prometheus", {"--listen", "--clients"})):
        expect(command in complete_in_bash(file, program, command[:3]), command)
        expect(set(complete_in_bash(file, program, command, "--")) >= options, f"options of {command}")
    hub.write(folder, "plant.stats", "")
    expect(complete_in_bash(file, program, "--dir", folder, "--name", "") == ["plant"], "names of hubs")


def test_zsh_takes_its_completion_and_finds_the_options(folder):
    needs("zsh")
    it = Installed(folder)
    # compadd as it is called, without a terminal
    script = ('compadd() { [[ $1 == -- ]] && shift; print -l -- $@ }; _files() { print FILES }; '
              '_call_program() { shift; eval $@ }; words=("${@[2,-1]}"); CURRENT=$#words; source "$1"')

    def complete(name, program, *words):
        return run("zsh", "-f", "-c", script, "zsh", it.path(f"/site-functions/_{name}"), it.path(program), *words).split()
    expect("--keepalive" in complete("vpnserverd", "/sbin/vpnserverd", "--"), "--keepalive")
    expect(complete("vpnserverd", "/sbin/vpnserverd", "off") == ["FILES"], "files")
    expect("status" in complete("vpnadm", "/bin/vpnadm", ""), "status")
    hub.write(folder, "plant.stats", "")
    expect(complete("vpnadm", "/bin/vpnadm", "--dir", folder, "--name", "") == ["plant"], "names of hubs")
    for name in ("_vpnserverd", "_vpnadm"):
        expect(it.text(f"/{name}").startswith(f"#compdef {name[1:]}\n"), name)


def test_systemd_finds_no_fault_with_the_units(folder):
    needs("systemd-analyze")
    it = Installed(folder)
    program = it.find("/sbin/vpnserverd")
    units = os.path.join(folder, "units")
    os.makedirs(units)
    hubs, exporter = "vpnserverd@office.service", "vpnserverd-exporter@office.service"
    for name, kept in (("vpnserverd@.service", hubs), ("vpnserverd-exporter@.service", exporter),
                       ("vpnserverd.service",) * 2):
        text = it.text(f"/{name}").replace(program, it.root + program).replace(it.find("/bin/vpnadm"), it.path("/bin/vpnadm"))
        hub.write(units, kept, text)
        if name != kept:
            hub.write(units, name, text)
    said = run("systemd-analyze", "verify", "--man=no", f"{units}/{hubs}", f"{units}/{exporter}", f"{units}/vpnserverd.service")
    said = "\n".join(line for line in said.splitlines() if "vpnserverd" in line)
    expect(not said, said)
    for unit, most in ((hubs, 3.5), (exporter, 2.0)):
        said = run("systemd-analyze", "security", "--offline=yes", f"--threshold={int(most * 10)}", "--no-pager",
                   f"{units}/{unit}", check=False)
        exposure = re.search(r"exposure level.*: ([0-9.]+)", said)
        expect(exposure and float(exposure[1]) <= most, said)
        runner.say(f"{unit}: exposure {exposure[1]}")


def test_accounts_and_places_are_made(folder):
    needs("systemd-sysusers", "systemd-tmpfiles")
    it = Installed(folder)
    root = os.path.join(folder, "root")
    os.makedirs(f"{root}/etc")
    for _ in range(2):  # a second time changes nothing
        run("systemd-sysusers", f"--root={root}", it.path("/sysusers.d/vpnserverd.conf"))
        run("systemd-tmpfiles", "--create", f"--root={root}", it.path("/tmpfiles.d/vpnserverd.conf"))
    with open(f"{root}/etc/passwd") as f:
        expect(re.search(r"(?m)^vpnserverd:.*(/nologin|/false)$", f.read()), "user vpnserverd, who cannot log in")
    with open(f"{root}/etc/group") as f:
        groups = f.read()
    expect(re.search(r"(?m)^vpnserverd:", groups) and re.search(r"(?m)^vpnadm:", groups), groups)
    expect(os.stat(f"{root}/run/vpnserverd").st_mode & 0o777 == 0o755, "/run/vpnserverd")
    expect(os.stat(f"{root}/etc/vpnserverd").st_mode & 0o777 == 0o755, "/etc/vpnserverd")


def test_logrotate_understands_its_file(folder):
    needs("logrotate")
    said = run("logrotate", "-d", "-s", f"{folder}/state", Installed(folder).path("/logrotate.d/vpnserverd"))
    expect("error" not in said, said)


CONFIG = """port {port}
dev tun{index}
topology subnet
server 10.{net}.0.0 255.255.255.0
ca ca.crt
cert server.crt
key server.key
remote-cert-tls client
keepalive 5 30
hub.workers 2
user vpnserverd
group vpnserverd
status /run/vpnserverd/{name}.status 10
log-append /var/log/vpnserverd/{name}.log
script-security 2
client-connect /etc/vpnserverd/hello.sh
"""


def start_system(net, folder):
    why = system.why_not()
    if why:
        raise runner.Skipped(why)
    it = system.System(net, folder, Installed(folder).root)
    try:
        hub.make_pki(folder, ["c0"])
        for file in ("ca.crt", "server.crt", "server.key"):
            with open(os.path.join(folder, file)) as f:
                it.write(f"/etc/vpnserverd/{file}", f.read())
        os.chmod(it.path("/etc/vpnserverd/server.key"), 0o600)
        for index, name in enumerate(("office", "plant")):
            it.write(f"/etc/vpnserverd/{name}.conf", CONFIG.format(port=1194 + index, index=index, net=77 + index, name=name))
        it.write("/etc/vpnserverd/hello.sh", "#!/bin/sh\nprintf 'push \"dhcp-option DOMAIN hello\"\\n' >\"$1\"\n")
        os.chmod(it.path("/etc/vpnserverd/hello.sh"), 0o755)
        # nothing of this machine's own start is wanted in there
        it.write("/etc/systemd/system/vpnserverd@.service.d/test.conf",
                 "[Unit]\nDefaultDependencies=no\n[Service]\nWatchdogSec=2\nRestartSec=100ms\n")
        it.write("/etc/systemd/system/vpnserverd-exporter@.service.d/test.conf", "[Unit]\nDefaultDependencies=no\n")
        it.do("systemctl", "daemon-reload")
    except BaseException:
        it.close()
        raise
    return it


@runner.limit(180)
def test_the_unit_runs_hubs_within_its_confines(folder):
    """What the unit takes away nobody misses: no refusal, no warning, through start, client, reload, deaths and end."""
    with netns.Net(1, folder) as net, start_system(net, folder) as it:
        office, plant = "vpnserverd@office", "vpnserverd@plant"
        it.do("systemctl", "start", office, plant)
        log = "/var/log/vpnserverd/office.log"
        expect(it.show(office, "StatusText") == "Running", it.show(office, "StatusText"))
        expect("Completed" in it.read(log), it.read(log))
        first = it.show(office, "MainPID")
        status = it.read(f"/proc/{first}/status")
        expect(re.search(r"NoNewPrivs:\s1", status), status)

        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        expect(not netns.ping(net.clients[0], "10.77.0.1"), "no way through")
        expect("dhcp-option DOMAIN hello" in client.text(), "what its script said did not reach it")

        # the group may read what happens, others may not
        said = it.do("setpriv", "--reuid=65534", "--regid=65534", "--groups=" + it.do("getent", "group", "vpnadm").split(":")[2],
                     "vpnadm", "--name", "office", "status")
        expect("office" in said, said)
        said = it.do("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "vpnadm", "--name", "office", "status",
                     check=False)
        expect("denied" in said, said)

        it.do("systemctl", "reload", office)
        wait_for("the reload", lambda: "Reload done" in it.read(log))
        it.expect(office, "StatusText", "Running")
        config = it.read("/etc/vpnserverd/office.conf")
        it.write("/etc/vpnserverd/office.conf", config + "nonsense 17\n")
        it.do("systemctl", "reload", office)
        it.expect(office, "StatusText", "Running; the last reload failed, the log says why")
        it.write("/etc/vpnserverd/office.conf", config)
        it.do("systemctl", "reload", office)
        it.expect(office, "StatusText", "Running")

        # a worker that dies or does not hear is the master's own business: it must be able to end and replace it
        workers = it.do("cat", f"/proc/{first}/task/{first}/children").split()
        it.do("kill", "-SEGV", workers[-1])
        wait_for("its successor", lambda: "adopted by its successor" in it.read(log))
        workers = it.do("cat", f"/proc/{first}/task/{first}/children").split()
        it.do("kill", "-STOP", workers[-1])
        it.do("systemctl", "reload", office)
        wait_for("its end", lambda: "does not end: killed" in it.read(log))
        it.expect(office, "StatusText", "Running")
        expect(it.show(office, "MainPID") == first, "restarted for the death of a worker")
        expect(not netns.ping(net.clients[0], "10.77.0.1"), "no way through")
        expect(client.text().count(hub.CONNECTED) == 1, "the client connected anew")

        it.do("systemctl", "kill", "--kill-whom=main", "-s", "URG", office)
        wait_for("the upgrade", lambda: "Upgrade done" in it.read(log))
        it.expect(office, "StatusText", "Running")
        expect(it.show(office, "MainPID") == first, "an upgrade is no restart")
        expect(int(it.show(office, "NFileDescriptorStore")) > 10, "nothing is kept")

        # the client notices none of these
        it.do("kill", "-KILL", first)
        it.expect(office, "NRestarts", "1")
        it.expect(office, "ActiveState", "active")
        wait_for("its successor", lambda: it.read(log).count("Taking over done") == 1)
        second = it.show(office, "MainPID")
        it.do("kill", "-STOP", second)  # signs of life end
        it.expect(office, "NRestarts", "2")
        it.expect(office, "ActiveState", "active")
        expect(it.show(office, "MainPID") not in (first, second), "the same process")
        wait_for("its successor", lambda: it.read(log).count("Taking over done") == 2)
        expect(not netns.ping(net.clients[0], "10.77.0.1"), "no way through")
        expect(client.text().count(hub.CONNECTED) == 1 and "Restart" not in client.text(), "the client connected anew")

        it.do("systemctl", "stop", office)
        expect(it.show(office, "Result") == "success", it.show(office, "Result"))
        expect("office.stats" not in os.listdir(it.path("/run/vpnserverd")), "left in the runtime directory")
        expect(it.show(office, "NFileDescriptorStore") == "0", "descriptors are still kept")
        expect("vpn-" not in it.do("systemctl", "status", office, check=False), "processes are left")
        expect(it.show(plant, "NRestarts") == "0" and it.show(plant, "ActiveState") == "active", "the other one suffered")
        expect("plant.stats" in os.listdir(it.path("/run/vpnserverd")), "the other one's directory is gone")
        for name in ("office", "plant"):
            for line in it.read(f"/var/log/vpnserverd/{name}.log").splitlines():
                expect(not re.search("WARNING|not permitted|denied|does not let|hangs", line), line)


@runner.limit(180)
def test_the_exporter_runs_within_its_confines(folder):
    """Nobody in particular, in the group that may read: Prometheus gets the figures of a hub that runs as root."""
    ask = "import urllib.request as u; print(u.urlopen('http://127.0.0.1:9176/metrics').read().decode())"
    with netns.Net(1, folder) as net, start_system(net, folder) as it:
        office, exporter = "vpnserverd@office", "vpnserverd-exporter@office"
        it.do("systemctl", "start", office, exporter)

        def page():
            return it.do("python3", "-c", ask, check=False)
        wait_for("the exporter", lambda: "\nvpnserverd_up 1\n" in page())
        client = hub.start_client(net, 0, "c0")
        hub.wait_connected(client)
        wait_for("the client", lambda: '\nvpnserverd_sessions{state="active"} 1\n' in page())
        expect('name="office"' in page(), page())
        status = it.read(f"/proc/{it.show(exporter, 'MainPID')}/status")
        expect(re.search(r"NoNewPrivs:\s1", status) and re.search(r"CapEff:\s0+\n", status) and
               not re.search(r"Uid:\s0\s", status), status)
        it.do("systemctl", "stop", office)
        wait_for("that the hub is gone", lambda: "\nvpnserverd_up 0\n" in page())
        it.do("systemctl", "stop", exporter)
        expect(it.show(exporter, "Result") == "success", it.show(exporter, "Result"))
        expect(it.show(exporter, "NRestarts") == "0", "it was started again")


@runner.limit(180)
def test_all_hubs_follow_the_unit_of_them_all(folder):
    with netns.Net(0, folder) as net, start_system(net, folder) as it:
        it.write("/etc/systemd/system/vpnserverd.service.d/test.conf", "[Unit]\nDefaultDependencies=no\n")
        it.do("systemctl", "daemon-reload")
        it.do("systemctl", "start", "vpnserverd", "vpnserverd@office", "vpnserverd@plant")
        pids = [it.show(f"vpnserverd@{n}", "MainPID") for n in ("office", "plant")]
        it.do("systemctl", "reload", "vpnserverd")
        for name in ("office", "plant"):
            wait_for(f"{name}'s reload", lambda: "Reload done" in it.read(f"/var/log/vpnserverd/{name}.log"))
        it.do("systemctl", "restart", "vpnserverd")
        for name, pid in zip(("office", "plant"), pids):
            it.expect(f"vpnserverd@{name}", "ActiveState", "active")
            expect(it.show(f"vpnserverd@{name}", "MainPID") != pid, f"{name} was not restarted")
        it.do("systemctl", "stop", "vpnserverd")
        for name in ("office", "plant"):
            it.expect(f"vpnserverd@{name}", "ActiveState", "inactive")
        it.write("/etc/vpnserverd/plant.conf", "nonsense 17\n")
        it.do("systemctl", "start", "vpnserverd@plant", check=False)
        it.expect("vpnserverd@plant", "Result", "exit-code")
        said = it.do("systemctl", "start", "vpnserverd@nobody", check=False)
        expect("ssertion failed" in said, said)


if __name__ == "__main__":
    sys.exit(runner.main(globals()))
