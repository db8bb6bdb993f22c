//! Reports to the service manager: ready, alive, stopping (`sd_notify(3)`).
//!
//! The control thread sends at most one datagram a second to the socket that `NOTIFY_SOCKET` names,
//! and nothing where that is not set. A send never blocks, so a manager that does not read cannot
//! stop the switch. (The crate `sd-notify` blocks and does not support abstract sockets. It provides
//! the messages, and this file the socket.)
//!
//! *Ready* means that every worker has finished a turn, and that the API and the metrics answer.
//!
//! *Alive* feeds the watchdog. The control loop sends it once a second, and only if every worker has
//! finished a turn within that second. So both a hanging control thread and a hanging worker are
//! found: after `WatchdogSec=` without a message, the manager restarts the switch.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// How often the control loop looks after the workers.
pub const ALIVE_EVERY: Duration = Duration::from_secs(1);

/// The way to the service manager, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    has_watchdog: bool,
    is_ready: bool,
    /// What was told last.
    status: String,
}

impl Supervisor {
    /// Finds the service manager as `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` name it.
    /// Whatever is wrong with them is logged, and the switch goes on without.
    #[must_use]
    pub fn from_environment() -> Self {
        match env::var_os("NOTIFY_SOCKET") {
            Some(address) => Self::new(&address, sd_notify::watchdog_enabled()),
            None => Self::default(),
        }
    }

    /// A service manager that listens there: at a path, or at an abstract name after `@`. With a
    /// watchdog, it wants to hear from us within each such time.
    #[must_use]
    pub fn new(address: &OsStr, watchdog: Option<Duration>) -> Self {
        let socket = match connect(address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                warn!(?address, %error, "NOTIFY_SOCKET: the service manager cannot be told anything");
                None
            }
        };
        if let Some(within) = watchdog.filter(|within| *within < 2 * ALIVE_EVERY) {
            warn!(
                ?within,
                "the watchdog wants to hear from the switch more often than it looks after its workers, \
                 once in a second: set WatchdogSec= to 2 s or more"
            );
        }
        Self { socket, has_watchdog: watchdog.is_some(), ..Self::default() }
    }

    /// Whether [`ready`](Self::ready) was called.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The start is over: what waits for this service may begin.
    pub fn ready(&mut self, status: String) {
        self.is_ready = true;
        self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
        self.status = status;
    }

    /// To be called every [`ALIVE_EVERY`]. If not everything is `well`, the watchdog hears nothing.
    pub fn report(&mut self, well: bool, status: String) {
        let mut states = Vec::new();
        if well && self.has_watchdog {
            states.push(NotifyState::Watchdog);
        }
        if self.is_ready && status != self.status {
            states.push(NotifyState::Status(&status));
        }
        if !states.is_empty() {
            self.send(&states);
        }
        self.status = status;
    }

    /// The switch was told to stop, or stops by itself.
    pub fn stopping(&mut self, status: &str) {
        self.send(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: Vec<String> = states.iter().map(NotifyState::to_string).collect();
        // Status and signal come again; who restarts a switch for silence is to know why it was
        // silent.
        if let Err(error) = socket.send(lines.join("\n").as_bytes()) {
            warn!(%error, "the service manager does not take what it is told");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor @NAME")),
    };
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> Option<String> {
        let mut bytes = [0; 4096];
        match manager.recv(&mut bytes) {
            Ok(len) => Some(String::from_utf8(bytes[..len].to_vec()).unwrap()),
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                None
            }
        }
    }

    fn manager(address: &SocketAddr) -> UnixDatagram {
        let manager = UnixDatagram::bind_addr(address).unwrap();
        manager.set_nonblocking(true).unwrap();
        manager
    }

    const TEN_SECONDS: Option<Duration> = Some(Duration::from_secs(10));

    /// One life, over both kinds of socket.
    #[test]
    fn a_manager_hears_ready_alive_and_stopping() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("vswitch-test-{}", std::process::id());
        let by_path = SocketAddr::from_pathname(&path).unwrap();
        let by_name = SocketAddr::from_abstract_name(&name).unwrap();
        let abstract_name = format!("@{name}");
        for (there, address) in [(by_path, path.as_os_str()), (by_name, abstract_name.as_ref())] {
            let manager = manager(&there);
            let mut supervisor = Supervisor::new(address, TEN_SECONDS);
            assert_eq!(heard(&manager), None);
            assert!(!supervisor.is_ready());
            supervisor.ready("a".into());
            assert!(supervisor.is_ready());
            assert_eq!(heard(&manager).as_deref(), Some("READY=1\nSTATUS=a"));
            supervisor.report(true, "a".into());
            assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1"));
            supervisor.report(true, "b".into());
            assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\nSTATUS=b"));
            supervisor.stopping("SIGTERM");
            assert_eq!(heard(&manager).as_deref(), Some("STOPPING=1\nSTATUS=SIGTERM"));
        }
    }

    #[test]
    fn the_watchdog_hears_nothing_while_something_is_stuck() {
        let name = format!("vswitch-stuck-{}", std::process::id());
        let manager = manager(&SocketAddr::from_abstract_name(&name).unwrap());
        let address = format!("@{name}");
        let mut supervisor = Supervisor::new(address.as_ref(), TEN_SECONDS);
        supervisor.ready("well".into());
        heard(&manager).unwrap();
        supervisor.report(false, "worker 0 is stuck".into());
        assert_eq!(heard(&manager).as_deref(), Some("STATUS=worker 0 is stuck"));
        supervisor.report(false, "worker 0 is stuck".into());
        assert_eq!(heard(&manager), None);
        supervisor.report(true, "well".into());
        assert_eq!(heard(&manager).as_deref(), Some("WATCHDOG=1\nSTATUS=well"));
    }

    #[test]
    fn without_a_watchdog_only_what_is_new_is_told() {
        let name = format!("vswitch-unwatched-{}", std::process::id());
        let manager = manager(&SocketAddr::from_abstract_name(&name).unwrap());
        let mut supervisor = Supervisor::new(format!("@{name}").as_ref(), None);
        supervisor.report(true, "starting".into());
        assert_eq!(heard(&manager), None, "a status before it is ready says nothing");
        supervisor.ready("well".into());
        heard(&manager).unwrap();
        supervisor.report(true, "well".into());
        assert_eq!(heard(&manager), None);
    }

    /// A manager that hangs has a full queue: the switch goes on.
    #[test]
    fn a_manager_that_does_not_listen_stops_nobody() {
        let name = format!("vswitch-full-{}", std::process::id());
        let manager = manager(&SocketAddr::from_abstract_name(&name).unwrap());
        let mut supervisor = Supervisor::new(format!("@{name}").as_ref(), TEN_SECONDS);
        for _ in 0..10_000 {
            supervisor.report(true, String::new());
        }
        assert!(heard(&manager).is_some());
        drop(manager);
        supervisor.stopping("nobody is there any more");
    }

    #[test]
    fn nobody_to_tell_is_no_error() {
        for address in ["", "relative", "vsock:2:1", "/absent/socket"] {
            let mut supervisor = Supervisor::new(address.as_ref(), TEN_SECONDS);
            supervisor.ready("well".into());
            supervisor.report(true, "well".into());
            supervisor.stopping("done");
        }
    }
}
