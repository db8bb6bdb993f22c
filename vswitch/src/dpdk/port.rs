//! An ethdev: probed, configured, started; closed when it and its queues are dropped.
//!
//! All on the control thread, at start and on reconfiguration; nothing here is called per frame.
//! Devices get no offloads: the data path computes what it needs, the same on every device. RSS is
//! the exception, which costs nothing and spreads frames over the receive queues.

use std::cell::Cell;
use std::ffi::c_char;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use dpdk_sys::{vsw_port_conf, vsw_port_info, vsw_port_link, vsw_port_losses};

use super::c_string;
use super::eal::Eal;
use super::error::{Answer, DeviceCall, DeviceError, Error, Mtu};
use super::interface::Interface;
use super::log::{self, Mark};
use super::open_port::Open;
use super::packet_socket::{self, PacketSockets};
use super::pool::Pool;
use super::queue::{RxQueue, TxQueue};
use crate::config::device;
use crate::ids::MacAddr;

/// One port, for the control thread. Its queues may outlive it.
pub struct Port {
    open: Arc<Open>,
    device: String,
    info: PortInfo,
    /// The largest MTU that ethdev lets the driver have.
    ethdev_mtu_limit: u16,
    /// None unless the driver is `net_af_packet`.
    sockets: PacketSockets,
    state: State,
    /// Not `Sync`: ethdev's control functions are for one thread at a time.
    _one_thread: PhantomData<Cell<()>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Probed,
    Configured,
    Started,
}

/// What [`Port::configure`] is to do.
#[derive(Clone)]
pub struct PortConfig {
    /// Receive queues wanted; the device may have fewer.
    pub rx_queues: u16,
    /// Transmit queues wanted; the device may have fewer.
    pub tx_queues: u16,
    /// Descriptors of each receive queue, brought into the device's range.
    pub rx_descriptors: u16,
    /// Descriptors of each transmit queue, brought into the device's range.
    pub tx_descriptors: u16,
    /// The MTU to set. `None`: the one that the interface behind the device has, or the device's.
    pub mtu: Option<u16>,
    /// Where received frames go.
    pub pool: Pool,
}

impl PortConfig {
    /// One queue each way of 1024 descriptors, and the MTU as it is.
    #[must_use]
    pub fn new(pool: Pool) -> Self {
        let (rx_queues, tx_queues) = (1, 1);
        Self { rx_queues, tx_queues, rx_descriptors: 1024, tx_descriptors: 1024, mtu: None, pool }
    }
}

/// What is known about a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortInfo {
    /// The device's name: the devargs up to the first comma, or the PCI address.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// The device's own address.
    pub mac: MacAddr,
    /// The MTU in bytes: what follows the Ethernet header.
    pub mtu: u16,
    /// The largest number of receive queues.
    pub max_rx_queues: u16,
    /// The largest number of transmit queues.
    pub max_tx_queues: u16,
    /// Receive queues got; 0 before [`Port::configure`].
    pub rx_queues: u16,
    /// Transmit queues got; 0 before [`Port::configure`].
    pub tx_queues: u16,
    /// The kernel's interface behind the device, as index in this network namespace.
    pub if_index: Option<u32>,
    /// The NUMA node that the device is on.
    pub numa_node: Option<u32>,
    /// Whether the device sends frames that lie in several buffers.
    pub multi_segment: bool,
}

/// The state of a port's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Frames can pass.
    pub up: bool,
    /// In Mbit/s, where the device knows it. Virtual devices make a number up.
    pub speed_mbps: Option<u32>,
    /// Both directions at once.
    pub full_duplex: bool,
}

/// Frames that a device or its driver lost by itself since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// No descriptor was free, or no place in the ring of a packet socket (`net_af_packet`, where
    /// it counts from the probe on): workers are too slow.
    pub rx_missed: u64,
    /// Broken when they came.
    pub rx_errors: u64,
    /// No packet buffer was free.
    pub rx_no_buffer: u64,
    /// Could not be sent.
    pub tx_errors: u64,
}

/// The queues of a started port.
#[derive(Default)]
pub struct Queues {
    /// Receive queues, by number.
    pub rx: Vec<RxQueue>,
    /// Transmit queues, by number.
    pub tx: Vec<TxQueue>,
    /// Whether the transmit queues take frames that lie in several buffers.
    pub multi_segment: bool,
}

impl Port {
    /// Finds the device, or has DPDK make it: `device` is a PCI address or a virtual device,
    /// with arguments after commas.
    ///
    /// # Errors
    ///
    /// There is no such device, driver or interface, it is in use, or DPDK refuses it.
    pub fn probe(eal: &Eal, device: &str) -> Result<Self, Error> {
        let pci = device::pci_address(device);
        let name = pci.as_deref().or_else(|| device.split(',').next()).unwrap_or_default();
        let mut sockets_before = packet_socket::OpenSockets::new();
        let id = match id_by_name(name) {
            Some(id) => id,
            None => {
                sockets_before = packet_socket::open().unwrap_or_default();
                let mark = Mark::now();
                // SAFETY: EAL runs; DPDK copies the string.
                let probe = || unsafe { dpdk_sys::rte_dev_probe(c_string(device).as_ptr()) };
                let error = log::asking(probe);
                let found = if error == 0 { id_by_name(name) } else { None };
                found.ok_or_else(|| {
                    let source = DeviceError::Probe(Answer::new(error, mark));
                    Error::Device { device: device.to_owned(), source }
                })?
            }
        };
        if !eal.inner().claimed().insert(id) {
            let source = DeviceError::InUse(name.to_owned());
            return Err(Error::Device { device: device.to_owned(), source });
        }
        let open = Open {
            id,
            started: AtomicBool::new(false),
            promiscuous: AtomicBool::new(false),
            pool: OnceLock::new(),
            eal: Arc::clone(eal.inner()),
        };
        let mut port = Self {
            open: Arc::new(open),
            device: device.to_owned(),
            info: PortInfo::default(),
            ethdev_mtu_limit: 0,
            sockets: PacketSockets::default(),
            state: State::Probed,
            _one_thread: PhantomData,
        };
        port.read_info()?;
        port.find_sockets(&sockets_before);
        Ok(port)
    }

    /// Sets queues, MTU and promiscuous mode. Once per port. What the device gave is in
    /// [`Self::info`].
    ///
    /// # Errors
    ///
    /// The MTU is out of the device's range or too large for the pool's buffers, or the device
    /// refuses a setting.
    pub fn configure(&mut self, config: &PortConfig) -> Result<(), Error> {
        if self.state != State::Probed {
            return Err(self.error(DeviceError::Misuse("configured already")));
        }
        log::asking(|| {
            let mtu = self.choose_mtu(config)?;
            let (rx, tx) = self.configure_queue_count(config, mtu)?;
            self.set_up_queues(config, rx, tx)?;
            if config.mtu.is_some() {
                self.set_mtu(mtu)?;
            }
            self.receive_everything()?;
            self.read_info()?;
            self.info.mtu = mtu;
            (self.info.rx_queues, self.info.tx_queues) = (rx, tx);
            self.state = State::Configured;
            Ok(())
        })
    }

    /// Starts the device and hands out its queues. Once per port, after [`Self::configure`].
    ///
    /// # Errors
    ///
    /// The device does not start.
    pub fn start(&mut self) -> Result<Queues, Error> {
        if self.state != State::Configured {
            return Err(self.error(DeviceError::Misuse("not configured, or started already")));
        }
        let mark = Mark::now();
        // SAFETY: the port is open and configured.
        let error = log::asking(|| unsafe { dpdk_sys::rte_eth_dev_start(self.open.id) });
        self.check(error, DeviceCall::Start, mark)?;
        self.open.started.store(true, Ordering::Relaxed);
        self.state = State::Started;
        let open = &self.open;
        // SAFETY: started, with these many queues, and handed out this once.
        let rx = (0..self.info.rx_queues).map(|queue| unsafe { RxQueue::new(open, queue) });
        // SAFETY: as above.
        let tx = (0..self.info.tx_queues).map(|queue| unsafe { TxQueue::new(open, queue) });
        let multi_segment = self.info.multi_segment;
        Ok(Queues { rx: rx.collect(), tx: tx.collect(), multi_segment })
    }

    /// What is known about the port, as of the last call that changed something.
    #[must_use]
    pub fn info(&self) -> &PortInfo {
        &self.info
    }

    /// The device as it was given to [`Self::probe`].
    #[must_use]
    pub fn device(&self) -> &str {
        &self.device
    }

    /// The link, without waiting for it to settle. `None` where the driver cannot say. Calls the
    /// driver, which may make system calls.
    #[must_use]
    pub fn link(&self) -> Option<Link> {
        let mut link = vsw_port_link::default();
        // SAFETY: the port is open; the struct is ours.
        let error = unsafe { dpdk_sys::vsw_port_link(self.open.id, &raw mut link) };
        (error == 0).then_some(Link {
            up: link.up != 0,
            speed_mbps: Some(link.speed_mbps).filter(|&speed| speed != u32::MAX && speed != 0),
            full_duplex: link.full_duplex != 0,
        })
    }

    /// What the device lost. `None` where the driver cannot say. Calls the driver, and for
    /// `net_af_packet` the kernel, once per queue.
    #[must_use]
    pub fn losses(&mut self) -> Option<Losses> {
        let mut losses = vsw_port_losses::default();
        // SAFETY: the port is open; the struct is ours.
        let error = unsafe { dpdk_sys::vsw_port_losses(self.open.id, &raw mut losses) };
        (error == 0).then_some(Losses {
            // The driver's are not among the sockets': see `PacketSockets::lost`.
            rx_missed: losses.rx_missed + self.sockets.lost(),
            rx_errors: losses.rx_errors,
            rx_no_buffer: losses.rx_no_mbuf,
            tx_errors: losses.tx_errors,
        })
    }

    /// The MTU that the port will have: the configured one, that of the interface behind the device,
    /// or the device's.
    fn wanted_mtu(&self, configured: Option<u16>) -> u16 {
        let interface_mtu = || self.interface()?.mtu().ok();
        configured.or_else(interface_mtu).unwrap_or(self.info.mtu)
    }

    /// How long frames the buffers of the port's pool must hold, in bytes, for [`Self::configure`] to
    /// take them.
    #[must_use]
    pub fn buffer_room(&self, configured_mtu: Option<u16>) -> u16 {
        let mtu = self.wanted_mtu(configured_mtu);
        device::buffer_room(&self.info.driver, device::ring_slot(&self.device), mtu)
    }

    /// The MTU to work with, if the device and the pool's buffers can have it.
    fn choose_mtu(&self, config: &PortConfig) -> Result<u16, Error> {
        let mtu = self.wanted_mtu(config.mtu);
        let (room, slot) = (config.pool.data_room(), device::ring_slot(&self.device));
        let limit =
            slot.map_or(self.ethdev_mtu_limit, |slot| slot.saturating_sub(device::RING_OVERHEAD));
        let is_configured = config.mtu.is_some();
        let named = Mtu { bytes: mtu, is_configured };
        if mtu > limit {
            return Err(self.error(DeviceError::DeviceMtu { mtu: named, limit }));
        }
        if mtu.saturating_add(device::L2_OVERHEAD) > room {
            return Err(self.error(DeviceError::BufferMtu { mtu: named, room }));
        }
        Ok(mtu)
    }

    /// Finds the sockets whose losses `net_af_packet` does not count.
    fn find_sockets(&mut self, before: &packet_socket::OpenSockets) {
        if self.info.driver != "net_af_packet" {
            return;
        }
        let index = self.info.if_index.unwrap_or_default();
        let found = PacketSockets::opened_since(before, index);
        self.sockets = found.unwrap_or_default();
        if self.sockets.is_empty() {
            let device = &self.device;
            tracing::warn!("device {device}: frames that find its ring full are not counted");
        }
    }

    /// The kernel's interface behind the device.
    fn interface(&self) -> Option<Interface> {
        Interface::by_index(self.info.if_index?).ok()
    }

    /// Configures as many queues as wanted and possible; returns the numbers for rx and tx.
    fn configure_queue_count(&self, config: &PortConfig, mtu: u16) -> Result<(u16, u16), Error> {
        let rx = config.rx_queues.clamp(1, self.info.max_rx_queues.max(1));
        let tx = config.tx_queues.clamp(1, self.info.max_tx_queues.max(1));
        let id = self.open.id;
        let mtu = mtu.min(self.ethdev_mtu_limit);
        let try_count = |rx: u16, tx: u16| {
            let conf = vsw_port_conf { rx_queues: rx, tx_queues: tx, mtu, rss: (rx > 1).into() };
            // SAFETY: the port is open and not started; the struct is ours.
            unsafe { dpdk_sys::vsw_port_configure(id, &raw const conf) }
        };
        let mark = Mark::now();
        // Some drivers (net_tap) want as many of the one as of the other.
        if rx != tx && try_count(rx, tx) == 0 {
            return Ok((rx, tx));
        }
        let error = try_count(rx, rx);
        self.check(error, DeviceCall::Configure { queues: rx, mtu }, mark)?;
        Ok((rx, rx))
    }

    fn set_up_queues(&self, config: &PortConfig, rx: u16, tx: u16) -> Result<(), Error> {
        let id = self.open.id;
        let (mut rx_descriptors, mut tx_descriptors) =
            (config.rx_descriptors, config.tx_descriptors);
        let mark = Mark::now();
        // SAFETY: the port is open; two numbers of ours are changed.
        let error = unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(
                id,
                &raw mut rx_descriptors,
                &raw mut tx_descriptors,
            )
        };
        self.check(error, DeviceCall::Descriptors, mark)?;
        // The driver keeps buffers of the pool until the port is closed.
        let pool = self.open.pool.get_or_init(|| config.pool.clone()).as_ptr();
        let socket = self.info.numa_node.unwrap_or(u32::MAX);
        for queue in 0..rx {
            // SAFETY: configured with that many queues; null asks for the driver's defaults; the
            // pool lives as long as the port.
            let error = unsafe {
                let conf = std::ptr::null();
                dpdk_sys::rte_eth_rx_queue_setup(id, queue, rx_descriptors, socket, conf, pool)
            };
            self.check(error, DeviceCall::RxQueue(queue), mark)?;
        }
        for queue in 0..tx {
            // SAFETY: as above.
            let error = unsafe {
                let conf = std::ptr::null();
                dpdk_sys::rte_eth_tx_queue_setup(id, queue, tx_descriptors, socket, conf)
            };
            self.check(error, DeviceCall::TxQueue(queue), mark)?;
        }
        Ok(())
    }

    fn set_mtu(&self, mtu: u16) -> Result<(), Error> {
        if mtu > self.ethdev_mtu_limit {
            // Beyond what ethdev passes on to the driver (see [`device::ring_slot`]).
            let set = |mut interface: Interface| interface.set_mtu(mtu).err();
            return self.interface().and_then(set).map_or(Ok(()), |source| {
                Err(self.error(DeviceError::InterfaceMtu { mtu, source }))
            });
        }
        let mark = Mark::now();
        // SAFETY: the port is open.
        let error = unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.open.id, mtu) };
        // A driver without the function took the MTU with the configuration.
        if error == -libc::ENOTSUP {
            return Ok(());
        }
        self.check(error, DeviceCall::SetMtu(mtu), mark)
    }

    fn receive_everything(&self) -> Result<(), Error> {
        let mark = Mark::now();
        let before = self.interface().and_then(|mut interface| interface.is_promiscuous().ok());
        // SAFETY: the port is open.
        let error = unsafe { dpdk_sys::rte_eth_promiscuous_enable(self.open.id) };
        // A device without the notion receives everything.
        if error != -libc::ENOTSUP {
            self.check(error, DeviceCall::Promiscuous, mark)?;
        }
        // Drivers leave the flag on the kernel's interface when they close.
        self.open.promiscuous.store(before == Some(false), Ordering::Relaxed);
        Ok(())
    }

    fn read_info(&mut self) -> Result<(), Error> {
        let mut raw = vsw_port_info::default();
        let mark = Mark::now();
        // SAFETY: the port is open; the struct is ours.
        let error = unsafe { dpdk_sys::vsw_port_info(self.open.id, &raw mut raw) };
        self.check(error, DeviceCall::Describe, mark)?;
        // As ethdev computes it: with no limit of its own, an MTU is the frame less header and FCS.
        self.ethdev_mtu_limit = if raw.max_mtu == u16::MAX {
            let limit = raw.max_frame.saturating_sub(18);
            u16::try_from(limit).unwrap_or(u16::MAX)
        } else {
            raw.max_mtu
        };
        self.info = PortInfo {
            name: text(&raw.name),
            driver: text(&raw.driver),
            mac: MacAddr::from_bytes(raw.mac),
            mtu: raw.mtu,
            max_rx_queues: raw.max_rx_queues,
            max_tx_queues: raw.max_tx_queues,
            rx_queues: self.info.rx_queues,
            tx_queues: self.info.tx_queues,
            if_index: Some(raw.if_index).filter(|&index| index != 0),
            numa_node: u32::try_from(raw.numa_node).ok(),
            multi_segment: raw.multi_segment != 0,
        };
        Ok(())
    }

    fn check(&self, error: i32, call: DeviceCall, since: Mark) -> Result<(), Error> {
        if error == 0 {
            return Ok(());
        }
        let answer = Answer::new(error, since);
        Err(self.error(DeviceError::Refused { call, answer }))
    }

    fn error(&self, source: DeviceError) -> Error {
        Error::Device { device: self.device.clone(), source }
    }
}

fn id_by_name(name: &str) -> Option<u16> {
    let mut id = 0;
    // SAFETY: a C string, and a number of ours to write to.
    let error =
        unsafe { dpdk_sys::rte_eth_dev_get_port_by_name(c_string(name).as_ptr(), &raw mut id) };
    (error == 0).then_some(id)
}

/// Text that C wrote into an array.
fn text(array: &[c_char]) -> String {
    let bytes: Vec<u8> =
        array.iter().take_while(|&&byte| byte != 0).map(|&byte| byte.cast_unsigned()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
