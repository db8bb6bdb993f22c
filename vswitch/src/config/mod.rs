//! The configuration: read from a file, validated, and ready to run.
//!
//! Two steps. `read` turns the text of a file into a [`Document`]: the keys and values that were
//! typed, all of them known and of the right type. `validate` turns a document into a [`Config`]:
//! names become indices, texts become addresses, and every rule that the rest of the switch
//! relies on is checked here and nowhere else. Both steps go on after a problem, so that one run
//! reports all of them; `diagnostic` renders each as `file:line:column: error: …` with the line and
//! a way out.
//!
//! A key is declared in [`document`], as a field; `docs/architecture.md` says how to add one.
//!
//! Called on any thread. Apart from [`load()`], which reads one file, nothing here looks at the
//! machine: a device or a core that does not exist is found at start-up. Every key is described in
//! `docs/configuration.md`.

mod address;
mod api;
#[cfg(test)]
pub(crate) mod arbitrary;
mod checks;
mod defaults;
pub mod device;
mod diagnostic;
pub mod document;
mod dpdk;
mod load;
mod location;
mod model;
mod names;
mod networks;
mod ports;
mod read;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
mod validate;
mod vteps;

pub(crate) use defaults::SOCKET;
pub use diagnostic::{Diagnostic, Errors, LoadError, Severity};
pub(crate) use diagnostic::{listed, nearest, quoted};
pub use document::{Document, FieldError};
pub use load::{load, parse};
pub use model::{
    Api, Config, Dpdk, Home, Network, Port, PortIndex, StaticMac, Tcp, Vtep, VtepIndex,
    overrides_memory,
};
#[cfg(feature = "dpdk")]
pub(crate) use ports::devices_conflict;
