# shellcheck shell=bash
# What the scripts share: how they speak, and how they get what they need. Sourced, never run.
# shellcheck disable=SC2034 # used by those who source it

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
target_dir=${CARGO_TARGET_DIR:-$root/target}
tools_dir=$target_dir/tools
PATH=$tools_dir:$PATH
export PATH

build_packages=(build-essential ca-certificates clang curl libclang-dev libdpdk-dev libpcap-dev pkg-config)
run_packages=(ethtool iproute2 iputils-ping procps util-linux)
# What packaging/build-deb needs besides.
package_packages=(debhelper dpkg-dev)
# chromium is for the tests of the page; dpdk-dev has testpmd; debootstrap, lintian, podman and crun are for the tests of
# the package and the image; busybox, cpio, kmod, pciutils and QEMU for those in a virtual machine.
test_packages=("${package_packages[@]}" busybox-static chromium chromium-driver cpio crun debootstrap dpdk-dev iperf3
    kmod libcap2-bin lintian openssl pciutils podman python3 python3-pyte python3-pytest python3-scapy python3-selenium python3-venv
    python3-yaml qemu-system-x86 shellcheck systemd tshark valgrind)
# The peers of benches/side-by-side, and what draws its plot.
benchmark_packages=(dpdk-dev openvswitch-switch-dpdk python3-matplotlib)

# Two-MiB pages that we ask the kernel for: what `memory-mib = 512` needs.
hugepages_wanted=256

if [[ -t 1 && -z ${NO_COLOR:-} ]]; then
    bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' green=$'\e[32m' plain=$'\e[0m'
else
    bold='' dim='' red='' green='' plain=''
fi

ok()   { printf '  %s✓%s %s\n' "$green" "$plain" "$*"; }
note() { printf '  %s·%s %s\n' "$dim" "$plain" "$*"; }
bad()  { printf '  %s✗%s %s\n' "$red" "$plain" "$*"; }
die()  { printf '%serror:%s %s\n' "$red" "$plain" "$*" >&2; exit 1; }

need_root() {
    [[ $EUID -eq 0 ]] || die "this makes network namespaces and installs packages: run it as root (sudo $0)"
}

# Installs the packages that are missing among those named. Asks the package lists first, so that
# a machine that has everything needs neither network nor time.
need_packages() {
    local package missing=() log
    command -v dpkg-query >/dev/null || die "no dpkg here: this script knows Debian 12. Install by hand: $*"
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    if [[ ${#missing[@]} -eq 0 ]]; then
        ok "packages: nothing is missing"
        return
    fi
    note "installing: ${missing[*]}"
    log=$(mktemp)
    if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
        "${missing[@]}"; } </dev/null >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        rm -f "$log"
        die "apt-get could not install: ${missing[*]}"
    fi
    rm -f "$log"
    ok "packages: installed ${#missing[@]}"
}

# need_packages, but no service is started: Debian starts what it installs, and an Open vSwitch that
# nobody asked for would change this host's network at each boot.
need_packages_unstarted() {
    local policy=/usr/sbin/policy-rc.d had_ovs=false made_policy=false
    dpkg-query -W -f '${db:Status-Status}' openvswitch-switch 2>/dev/null | grep -qx installed && had_ovs=true
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" # 101: not allowed (deb-systemd-invoke, invoke-rc.d)
        chmod +x "$policy"
        made_policy=true
    fi
    # In a subshell: it ends the script when it fails, and the policy must not stay.
    local status=0
    (need_packages "$@") || status=$?
    ! $made_policy || rm -f "$policy"
    if ! $had_ovs && command -v systemctl >/dev/null; then
        systemctl --quiet disable openvswitch-switch.service ovs-record-hostname.service 2>/dev/null || true
    fi
    ((status == 0)) || exit "$status"
}

# prometheus and promtool, for the tests of what is shipped for monitoring. Taken out of Debian's package, whose
# installation would start a server.
need_prometheus() {
    local log
    command -v promtool >/dev/null && command -v prometheus >/dev/null && return
    mkdir -p "$tools_dir"
    log=$(mktemp)
    if ! (cd "$tools_dir" && apt-get download -qq prometheus && dpkg-deb --fsys-tarfile prometheus_*.deb |
        tar -x --strip-components=3 ./usr/bin/prometheus ./usr/bin/promtool && rm prometheus_*.deb) </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "prometheus cannot be had from Debian's package"
    fi
    rm -f "$log"
    ok "prometheus, promtool: taken from Debian's package, no server installed"
}

# The kernel that the tests boot in a virtual machine, and what they use of its modules. Taken out of Debian's package,
# whose installation would make it this machine's.
need_guest_kernel() {
    local log home=$tools_dir/guest
    [[ -d $home ]] && return
    mkdir -p "$tools_dir"
    log=$(mktemp)
    if ! unpack_guest_kernel "$home" </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "the kernel of the tests' virtual machine cannot be had from Debian's package"
    fi
    rm -f "$log"
    ok "$(cd "$home/boot" && echo vmlinuz-*): taken from Debian's package for tests, not installed"
}

unpack_guest_kernel() {
    local home=$1 package version part modules=()
    package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ { print $2; exit }')
    version=${package#linux-image-}
    for part in fs/{9p,fscache,netfs,overlayfs} net/9p net/core/failover.ko virt \
        drivers/{uio,vfio,virtio,char/virtio_console.ko} \
        drivers/net/{net_failover.ko,tun.ko,virtio_net.ko,ethernet/intel/e1000,ethernet/intel/e1000e}; do
        modules+=("./lib/modules/$version/kernel/$part")
    done
    rm -rf "$home.new" && mkdir "$home.new" && (cd "$home.new" && apt-get download -qq "$package" &&
        dpkg-deb --fsys-tarfile ./*.deb | tar -x "./boot/vmlinuz-$version" "${modules[@]}" \
            "./lib/modules/$version/modules."{builtin,builtin.modinfo,order} &&
        rm ./*.deb) && depmod -b "$home.new" "$version" && mv "$home.new" "$home"
}

# The fuzzer of the API's tests. Debian has none, so it comes from PyPI, for this tree only.
schemathesis_version=4.32.5
need_schemathesis() {
    local log home=$tools_dir/schemathesis
    [[ $("$home/bin/schemathesis" --version 2>/dev/null) == *" $schemathesis_version" ]] && return
    log=$(mktemp)
    if ! { /usr/bin/python3 -m venv "$home" &&
        "$home/bin/pip" install --quiet "schemathesis==$schemathesis_version"; } </dev/null >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "schemathesis cannot be had from PyPI"
    fi
    rm -f "$log"
    ok "schemathesis $schemathesis_version: installed in $home"
}

# Debian 12's own Rust is older than this project's `rust-version`, so it comes from rustup.
need_rust() {
    local home
    for home in "${CARGO_HOME:-$HOME/.cargo}" "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)/.cargo"; do
        command -v cargo >/dev/null && break
        [[ -x $home/bin/cargo ]] && PATH=$home/bin:$PATH
    done
    if ! command -v cargo >/dev/null; then
        note "no cargo here: installing Rust with rustup, for this user only"
        if ! curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs 2>/dev/null |
            sh -s -- -y --profile minimal --component clippy,rustfmt --no-modify-path >/dev/null 2>&1; then
            die "cargo is missing and rustup could not be installed. Install Rust as https://rustup.rs says, then run this again"
        fi
        PATH=${CARGO_HOME:-$HOME/.cargo}/bin:$PATH
    fi
    ok "$(rustc --version)"
}

# Reserves hugepages if the kernel gives them. Without them the switch runs on ordinary pages.
try_hugepages() {
    local knob=/proc/sys/vm/nr_hugepages have
    have=$(cat "$knob" 2>/dev/null || echo 0)
    if ((have < hugepages_wanted)); then
        echo "$hugepages_wanted" 2>/dev/null >"$knob" || true
        have=$(cat "$knob" 2>/dev/null || echo 0)
    fi
    if ((have > 0)); then
        ok "hugepages: $have × 2 MiB ($(hugepages_free) free)"
    else
        note "hugepages: none to be had; going on without"
    fi
}

hugepages_free() {
    awk '/^HugePages_Free:/ { print $2; found = 1 } END { if (!found) print 0 }' /proc/meminfo
}
