//! The safe wrappers against a real DPDK, with virtual devices only: no NIC, no interface.
//!
//! EAL starts once per process and wants its main lcore to stay the same thread, so this is one
//! test. It runs without hugepages, or with them where `VSWITCH_TEST_HUGEPAGES` is set.
#![cfg(feature = "dpdk")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use arrayvec::ArrayVec;
use vswitch::datapath::packet::Packet;
use vswitch::doctor::dpdk_errors;
use vswitch::doctor::host::Host;
use vswitch::dpdk::eal::{self, Eal, EalArgs};
use vswitch::dpdk::error::{DeviceError, Error};
use vswitch::dpdk::lcore::{self, LaunchError};
use vswitch::dpdk::mbuf::{HEADROOM, Mbuf, free_burst};
use vswitch::dpdk::pool::Pool;
use vswitch::dpdk::port::{Port, PortConfig};

const BUFFERS: u32 = 4095;

#[test]
fn wrappers_against_dpdk() {
    let args = EalArgs {
        main_core: 0,
        worker_cores: vec![1],
        memory_mib: Some(64),
        hugepages: std::env::var_os("VSWITCH_TEST_HUGEPAGES").is_some(),
        ..EalArgs::default()
    };
    let eal = eal::init(&args).unwrap();
    let runtime = format!("/var/run/dpdk/vswitch-{}", std::process::id());
    assert!(!std::path::Path::new(&runtime).exists(), "{runtime} is left");
    let again = eal::init(&args).err().expect("EAL starts once");
    assert!(again.to_string().starts_with("DPDK was started before"), "{again}");

    let pool = Pool::new(&eal, "test", BUFFERS, 256, 2048, -1).unwrap();
    an_empty_pool_gives_none(&pool);
    a_frame_grows_and_shrinks(&pool);
    a_copy_is_a_buffer_of_its_own(&pool);
    replicas_share_the_bytes_and_keep_them_alive(&pool);
    a_replica_may_own_its_first_bytes(&pool);
    a_pool_too_large_is_refused(&eal);
    unknown_devices_are_named(&eal);
    frames_pass_a_ring_and_the_tail_stays(&eal, &pool);
    a_device_has_one_port_at_a_time(&eal);
    an_mtu_beyond_the_buffers_is_refused(&eal, &pool);
    a_worker_runs_a_closure(&eal);
    a_worker_owns_a_port_of_the_null_device(&eal, &pool);
    assert_eq!(pool.in_use(), 0);
    // In the wrong order: the pool keeps EAL alive.
    drop(eal);
    assert_eq!(pool.in_use(), 0);
    drop(pool);
}

fn an_empty_pool_gives_none(pool: &Pool) {
    assert_eq!(pool.capacity(), BUFFERS as usize);
    assert_eq!(pool.in_use(), 0);
    let mut all: ArrayVec<Mbuf, 5000> = std::iter::from_fn(|| pool.alloc()).collect();
    let got = all.len();
    assert_eq!(got, BUFFERS as usize);
    assert_eq!(pool.in_use(), got);
    assert!(pool.alloc().is_none());
    all.truncate(got - 1);
    assert_eq!(pool.in_use(), got - 1);
    free_burst(&mut all);
    assert!(all.is_empty());
    assert_eq!(pool.in_use(), 0);
    free_burst(&mut all);
}

fn a_frame_grows_and_shrinks(pool: &Pool) {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.is_empty());
    assert!(!mbuf.fill(&[0; 3000]), "must not fit");
    assert!(mbuf.fill(b"frame"));
    assert_eq!(mbuf.bytes(), b"frame");
    let received = mbuf.accept();
    assert!(received.is_contiguous && !received.has_stripped_vlan);
    assert_eq!(received.len, 5);
    mbuf.prefetch();

    mbuf.grow_front(6).unwrap().copy_from_slice(b"outer ");
    assert_eq!(mbuf.bytes(), b"outer frame");
    let headroom = usize::from(HEADROOM);
    assert!(mbuf.grow_front(headroom - 5).is_none(), "beyond the headroom");
    assert_eq!(mbuf.bytes(), b"outer frame");
    assert_eq!(mbuf.grow_front(headroom - 6).unwrap().len(), headroom - 6);
    mbuf.narrow(headroom, 5);
    for (start, len) in [(6, 0), (0, 6), (3, 3), (usize::MAX, 2)] {
        mbuf.narrow(start, len);
        assert_eq!(mbuf.bytes(), b"frame", "more than there is: nothing happens");
    }
    mbuf.narrow(0, 3);
    assert_eq!(mbuf.bytes(), b"fra");
    mbuf.narrow(3, 0);
    assert!(mbuf.is_empty());
    assert!(mbuf.fill(&[7; 2048]));
    assert_eq!(mbuf.len(), 2048);
}

fn a_copy_is_a_buffer_of_its_own(pool: &Pool) {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.fill(b"one"));
    mbuf.grow_front(usize::from(HEADROOM)).unwrap().fill(b'x');
    let mut copy = pool.copy(&mbuf).unwrap();
    assert_eq!(copy.bytes(), mbuf.bytes());
    assert_ne!(copy.bytes().as_ptr(), mbuf.bytes().as_ptr());
    drop(mbuf);
    assert!(copy.grow_front(usize::from(HEADROOM)).is_some(), "the copy has its own headroom");
    assert_eq!(pool.in_use(), 1);
}

fn replicas_share_the_bytes_and_keep_them_alive(pool: &Pool) {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.fill(b"payload"));
    let mut shared = pool.share(&mbuf).unwrap();
    assert_eq!(shared.bytes().as_ptr(), mbuf.bytes().as_ptr());
    assert!(shared.grow_front(1).is_none(), "the headroom is not its own");
    let mut behind = pool.share_behind(&mbuf, 0).unwrap();
    assert_eq!((behind.len(), behind.bytes().len()), (7, 0));
    behind.grow_front(5).unwrap().copy_from_slice(b"outer");
    assert_eq!((behind.len(), behind.bytes()), (12, &b"outer"[..]));
    assert_eq!(pool.in_use(), 4);
    // The frame may still get headers of its own.
    mbuf.grow_front(2).unwrap().copy_from_slice(b"my");
    assert_eq!((mbuf.bytes(), shared.bytes()), (&b"mypayload"[..], &b"payload"[..]));
    drop(mbuf);
    assert_eq!(shared.bytes(), b"payload");
    drop(behind);
    assert_eq!(pool.in_use(), 2);
    drop(shared);
    assert_eq!(pool.in_use(), 0);
    // With a buffer for one of the two only, none is kept.
    let all: Vec<Mbuf> = std::iter::from_fn(|| pool.alloc()).take(BUFFERS as usize - 1).collect();
    assert!(pool.share_behind(&all[0], 0).is_none());
    assert_eq!(pool.in_use(), all.len());
}

fn a_replica_may_own_its_first_bytes(pool: &Pool) {
    let mut mbuf = pool.alloc().unwrap();
    assert!(mbuf.fill(b"addresses and the rest"));
    let mut replica = pool.share_behind(&mbuf, 9).unwrap();
    assert_eq!((replica.len(), replica.bytes()), (22, &b"addresses"[..]));
    assert_ne!(replica.bytes().as_ptr(), mbuf.bytes().as_ptr(), "they are its own");
    replica.grow_front(4).unwrap().copy_from_slice(b"the ");
    let mut whole = [0; 32];
    let len = replica.gather(&mut whole);
    assert_eq!(&whole[..len], b"the addresses and the rest");
    assert_eq!(mbuf.bytes(), b"addresses and the rest", "the frame is as it was");
    assert!(pool.share_behind(&mbuf, 23).is_none(), "more than there is");
    drop(mbuf);
    drop(replica);
    assert_eq!(pool.in_use(), 0);
}

fn a_pool_too_large_is_refused(eal: &Eal) {
    let error = Pool::new(eal, "huge", 1 << 20, 0, 9000, -1).err().expect("too large");
    assert!(error.to_string().starts_with("no memory for 1048576 packet buffers"), "{error}");
}

fn unknown_devices_are_named(eal: &Eal) {
    let text = |device: &str| {
        let error = Port::probe(eal, device).err().expect(device);
        let host = Host::machine();
        let Error::Device { source: DeviceError::Probe(answer), .. } = error else {
            panic!("{device}: {error}");
        };
        let text = dpdk_errors::of_device(&host, device, &answer).to_string();
        assert!(text.starts_with(&format!("device {device}: ")), "{text}");
        println!("{text}");
        text
    };
    assert!(text("net_bogus0,x=1").contains("has no driver of this name"));
    assert!(text("net_af_packet0,iface=vsw-none").contains("interface vsw-none does not exist"));
    assert!(text("net_af_xdp0,iface=vsw-none").contains("interface vsw-none does not exist"));
    assert!(text("ffff:ff:1f.7").contains("there is no PCI device"));
    text("");
    text("net_null0,bogus=1");
}

fn frames_pass_a_ring_and_the_tail_stays(eal: &Eal, pool: &Pool) {
    let mut port = Port::probe(eal, "net_ring0").unwrap();
    assert!(port.start().is_err(), "not configured");
    port.configure(&PortConfig::new(pool.clone())).unwrap();
    let mut queues = port.start().unwrap();
    assert_eq!((port.info().rx_queues, port.info().tx_queues), (1, 1));
    assert_eq!(port.info().driver, "net_ring");
    assert!(port.link().unwrap().up);
    assert!(port.losses().is_some());

    let (rx, tx) = (&mut queues.rx[0], &mut queues.tx[0]);
    let mut burst: ArrayVec<Mbuf, 2000> = (0..2000_u32)
        .map(|n| {
            let mut mbuf = pool.alloc().unwrap();
            assert!(mbuf.fill(&n.to_be_bytes()));
            mbuf
        })
        .collect();
    // The ring of this device holds 1023 frames.
    assert_eq!(tx.transmit(&mut burst), 1023);
    assert_eq!(burst.len(), 2000 - 1023);
    assert_eq!(burst[0].bytes(), 1023_u32.to_be_bytes());
    assert_eq!(tx.transmit(&mut burst), 0);
    assert_eq!(burst.len(), 2000 - 1023);
    free_burst(&mut burst);
    assert_eq!(pool.in_use(), 1023);
    assert_eq!(tx.transmit(&mut burst), 0);

    let mut received: ArrayVec<Mbuf, 32> = ArrayVec::new();
    let mut next = 0_u32;
    loop {
        rx.receive(&mut received);
        if received.is_empty() {
            break;
        }
        for mbuf in &received {
            assert_eq!(mbuf.bytes(), next.to_be_bytes());
            next += 1;
        }
        // What is there stays: only free places are filled.
        let kept = received.len() / 2;
        received.truncate(kept);
        rx.receive(&mut received);
        for mbuf in &received[kept..] {
            assert_eq!(mbuf.bytes(), next.to_be_bytes());
            next += 1;
        }
        free_burst(&mut received);
    }
    assert_eq!(next, 1023);
    assert_eq!(pool.in_use(), 0);
}

fn a_device_has_one_port_at_a_time(eal: &Eal) {
    let port = Port::probe(eal, "net_null7").unwrap();
    let error = Port::probe(eal, "net_null7").err().expect("in use");
    assert!(error.to_string().contains("in use by another port"), "{error}");
    drop(port);
    drop(Port::probe(eal, "net_null7").unwrap());
}

fn an_mtu_beyond_the_buffers_is_refused(eal: &Eal, pool: &Pool) {
    let mut port = Port::probe(eal, "net_null1").unwrap();
    let config = PortConfig { mtu: Some(9000), ..PortConfig::new(pool.clone()) };
    let error = port.configure(&config).expect_err("too large").to_string();
    assert!(error.contains("packet buffers hold frames of 2048 bytes"), "{error}");
}

fn a_worker_runs_a_closure(eal: &Eal) {
    assert_eq!(eal.worker_cores(), [1]);
    assert!(lcore::tsc_hz(eal) > 1_000_000);
    let (release, released) = mpsc::channel::<()>();
    let ran = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&ran);
    let handle = lcore::launch(eal, 1, move || {
        released.recv().unwrap();
        seen.store(lcore::tsc(), Ordering::Release);
    })
    .unwrap();
    assert_eq!(lcore::launch(eal, 1, || ()).err(), Some(LaunchError::Busy(1)));
    assert_eq!(lcore::launch(eal, 0, || ()).err(), Some(LaunchError::NotAWorker(0)));
    assert_eq!(lcore::launch(eal, 99, || ()).err(), Some(LaunchError::NotAWorker(99)));
    let before = lcore::tsc();
    release.send(()).unwrap();
    handle.join();
    assert!(ran.load(Ordering::Acquire) > before);
}

fn a_worker_owns_a_port_of_the_null_device(eal: &Eal, pool: &Pool) {
    let mut port = Port::probe(eal, "net_null2,size=100").unwrap();
    port.configure(&PortConfig { rx_queues: 2, ..PortConfig::new(pool.clone()) }).unwrap();
    assert_eq!((port.info().rx_queues, port.info().tx_queues), (2, 1));
    let mut queues = port.start().unwrap();
    let (mut rx, mut tx) = (queues.rx.remove(1), queues.tx.remove(0));
    assert_eq!((rx.number(), tx.number()), (1, 0));
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let (count, counted) = mpsc::channel();
    let handle = lcore::launch(eal, 1, move || {
        let mut burst = ArrayVec::<Mbuf, 32>::new();
        let (mut received, mut sent) = (0, 0);
        while !stopped.load(Ordering::Relaxed) {
            rx.receive(&mut burst);
            received += burst.len();
            sent += tx.transmit(&mut burst);
            free_burst(&mut burst);
        }
        count.send((received, sent)).unwrap();
    })
    .unwrap();
    drop(queues);
    // The worker's queues keep the device open.
    drop(port);
    std::thread::sleep(std::time::Duration::from_millis(50));
    stop.store(true, Ordering::Relaxed);
    let (received, sent) = counted.recv().unwrap();
    assert!(received > 0 && received == sent, "{received} received, {sent} sent");
    handle.join();
    assert!(Port::probe(eal, "net_null2").is_ok(), "closed, so it can be made again");
}
