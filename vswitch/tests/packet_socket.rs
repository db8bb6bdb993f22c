//! `net_af_packet` against the kernel: frames that overflow its rings are counted, each once.
//!
//! The test's thread is in a network namespace of its own, which the kernel removes with the
//! thread, whatever the outcome. EAL starts once per process, so this is one test. It runs without
//! hugepages, or with them where `VSWITCH_TEST_HUGEPAGES` is set.
//!
//! Needs root. Without it the test fails and says so.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, reason = "in a test, a step that fails is a failure")]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::mem;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, unshare};
use vswitch::dpdk::eal::{self, Eal, EalArgs};
use vswitch::dpdk::mbuf::{Mbuf, free_burst};
use vswitch::dpdk::pool::Pool;
use vswitch::dpdk::port::{Losses, Port, PortConfig, Queues};

const DEVICE: &str = "net_af_packet0,iface=vswl0,qpairs=2";

/// What the rings of both queues hold at most: the driver's default is 512 each. The kernel gives
/// frames of one flow to one ring, and when that is full, the first 384 to the other.
const RING_FRAMES: u64 = 2 * 512;

#[test]
fn frames_that_overflow_a_ring_are_counted() {
    assert!(nix::unistd::geteuid().is_root(), "this test makes a network namespace: run as root");
    unshare(CloneFlags::CLONE_NEWNET).expect("a new network namespace");
    // Nothing but the test is to send. A kernel without IPv6 has no such file.
    let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
    ip("link add vswl0 type veth peer name vswl1");
    ip("link set vswl0 up");
    ip("link set vswl1 up");

    let args = EalArgs {
        main_core: 0,
        worker_cores: vec![1],
        memory_mib: Some(64),
        hugepages: std::env::var_os("VSWITCH_TEST_HUGEPAGES").is_some(),
        ..EalArgs::default()
    };
    let eal = eal::init(&args).unwrap();
    let pool = Pool::new(&eal, "test", 4095, 256, 2048, -1).unwrap();
    let mut peer = packet_socket("vswl1", 0);
    // Another socket on the device's interface, which overflows as well and is not the port's.
    let bystander = packet_socket("vswl0", libc::ETH_P_ALL);
    let sockets = packet_sockets();

    let (mut port, mut queues) = start(&eal, &pool);
    assert_eq!(port.losses(), Some(Losses::default()));
    assert_eq!(packet_sockets(), sockets + 2);

    send(&mut peer, 3000);
    let (received, losses) = drain(&mut port, &mut queues, 3000);
    assert_eq!(received + losses.rx_missed, 3000, "{received} received, {losses:?}");
    assert!((1..=RING_FRAMES).contains(&received), "{received} received");
    assert_eq!(losses, Losses { rx_missed: losses.rx_missed, ..Losses::default() });

    // What fits is not lost, and what was lost before is neither forgotten nor counted again.
    send(&mut peer, 100);
    assert_eq!(drain(&mut port, &mut queues, 100 + losses.rx_missed), (100, losses));

    send(&mut peer, 3000);
    let (received, more) = drain(&mut port, &mut queues, 3000 + losses.rx_missed);
    assert_eq!(received + more.rx_missed - losses.rx_missed, 3000, "{received}, {more:?}");

    // Nothing of the port is left, and a port of the same device starts from nothing.
    drop(port);
    drop(queues);
    assert_eq!(packet_sockets(), sockets);
    assert!(!ip("link show vswl0").contains("PROMISC"));
    let (mut port, queues) = start(&eal, &pool);
    assert_eq!(port.losses(), Some(Losses::default()));
    // In the other order.
    drop(queues);
    drop(port);
    assert_eq!(packet_sockets(), sockets);
    assert!(!ip("link show vswl0").contains("PROMISC"));
    drop(bystander);
}

fn start(eal: &Eal, pool: &Pool) -> (Port, Queues) {
    let mut port = Port::probe(eal, DEVICE).unwrap();
    let config = PortConfig { rx_queues: 2, tx_queues: 2, ..PortConfig::new(pool.clone()) };
    port.configure(&config).unwrap();
    let queues = port.start().unwrap();
    assert_eq!(queues.rx.len(), 2);
    assert!(ip("link show vswl0").contains("PROMISC"));
    (port, queues)
}

/// Receives until received and missed frames are as many as `expected`, and a little longer for
/// any that are too many; or gives up.
fn drain(port: &mut Port, queues: &mut Queues, expected: u64) -> (u64, Losses) {
    let deadline = Instant::now() + Duration::from_secs(5);
    let mut end = deadline;
    let mut received = 0;
    loop {
        for queue in &mut queues.rx {
            let mut burst = ArrayVec::<Mbuf, 32>::new();
            queue.receive(&mut burst);
            received += burst.len() as u64;
            free_burst(&mut burst);
        }
        let losses = port.losses().unwrap();
        let now = Instant::now();
        if received + losses.rx_missed >= expected && end == deadline {
            end = now + Duration::from_millis(50);
        }
        if now >= end {
            return (received, losses);
        }
    }
}

/// Sends small frames of an experimental EtherType (IEEE 802), with pauses: the kernel's own queue
/// of received frames (`net.core.netdev_max_backlog`, 1000) is not to overflow.
fn send(peer: &mut File, count: u32) {
    for number in 0..count {
        let mut frame = [0; 60];
        frame[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
        frame[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 2]);
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        frame[14..18].copy_from_slice(&number.to_be_bytes());
        peer.write_all(&frame).unwrap();
        if number % 128 == 127 {
            sleep(Duration::from_millis(1));
        }
    }
}

/// A socket bound to an interface; protocol 0 receives nothing.
fn packet_socket(interface: &str, protocol: i32) -> File {
    // SAFETY: no pointers.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    assert!(socket >= 0, "{}", io::Error::last_os_error());
    // SAFETY: just opened, and nobody else's.
    let file = File::from(unsafe { OwnedFd::from_raw_fd(socket) });
    // SAFETY: all zero is a valid sockaddr_ll.
    let mut address: libc::sockaddr_ll = unsafe { mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET).unwrap();
    address.sll_protocol = u16::try_from(protocol).unwrap().to_be();
    address.sll_ifindex = i32::try_from(if_nametoindex(interface).unwrap()).unwrap();
    let len = libc::socklen_t::try_from(mem::size_of_val(&address)).unwrap();
    // SAFETY: an address of that length.
    let bound = unsafe { libc::bind(socket, (&raw const address).cast(), len) };
    assert_eq!(bound, 0, "{}", io::Error::last_os_error());
    file
}

/// How many packet sockets the namespace has.
fn packet_sockets() -> usize {
    // Not /proc/net, which is the namespace of the process's first thread.
    fs::read_to_string("/proc/thread-self/net/packet").unwrap().lines().skip(1).count()
}

/// Runs `ip` in the thread's namespace.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().expect("ip runs");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
