//! What was typed: the file's tables and values, each with its place, and nothing checked but
//! their shape.
//!
//! Each table is declared once, below, with its keys; reading it, the list of valid keys in a
//! message, and the example in a help line come from that. The tables are read by hand from the TOML
//! crate's spanned tree, not through serde: serde stops at its first error, and words it in Rust's
//! types. Here every unknown key, missing key and wrong type is reported in one run.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Problems, Span, listed, nearest, quoted};

/// An integer as it was typed; the range is for [`validate`](super::validate) to check, where it is
/// known why.
pub(super) type Integer = i64;

/// A value that can be read from TOML.
trait FromToml: Sized {
    /// What one value must be, and several, as a message calls them.
    const ONE: &'static str;
    const MANY: &'static str;

    /// Reads one value; `None` if it does not have the right shape, which is then reported.
    fn from_toml(value: &Spanned<DeValue<'_>>, key: &Key, problems: &mut Problems) -> Option<Self>;

    /// Reads a table, if that is what this is; reports nothing if not.
    fn from_table(_: &Spanned<DeValue<'_>>, _: &mut Problems) -> Option<Self> {
        None
    }
}

/// A key as a message shows it.
struct Key {
    name: &'static str,
    example: &'static str,
}

/// Declares a table: for each key its name, whether it is needed, the field that holds it, its type
/// and an example of it as it stands in a file.
macro_rules! table {
    (
        $(#[$doc:meta])*
        $table:ident $title:literal { $($key:literal $need:ident $field:ident: $type:ty, $example:literal;)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(super) struct $table {
            $(pub $field: Option<Spanned<$type>>,)*
        }

        impl $table {
            const TITLE: &'static str = $title;
            const KEYS: &'static [&'static str] = &[$($key),*];

            fn read(table: &DeTable<'_>, header: &Span, problems: &mut Problems) -> Self {
                let mut read = Self::default();
                for (key, value) in table {
                    match key.get_ref().as_ref() {
                        $($key => {
                            let key = Key { name: $key, example: $example };
                            read.$field = FromToml::from_toml(value, &key, problems)
                                .map(|inner| Spanned::new(value.span(), inner));
                        })*
                        name => unknown_key(name, key.span(), Self::TITLE, Self::KEYS, problems),
                    }
                }
                $(if table!(@$need) && !table.contains_key($key) {
                    missing_key($key, $example, Self::TITLE, header, problems);
                })*
                read
            }
        }

        impl FromToml for $table {
            const ONE: &'static str = "a table";
            const MANY: &'static str = "a list of tables";

            fn from_toml(
                value: &Spanned<DeValue<'_>>,
                key: &Key,
                problems: &mut Problems,
            ) -> Option<Self> {
                match value.get_ref() {
                    DeValue::Table(_) => Self::from_table(value, problems),
                    _ => wrong_type::<Self>(value, key, problems),
                }
            }

            fn from_table(value: &Spanned<DeValue<'_>>, problems: &mut Problems) -> Option<Self> {
                let table = value.get_ref().as_table()?;
                Some(Self::read(table, &value.span(), problems))
            }
        }
    };
    (@optional) => { false };
    (@required) => { true };
}

table! {
    /// The whole file.
    Document "the file" {
        "dpdk" optional dpdk: DpdkTable, "[dpdk]";
        "api" optional api: ApiTable, "[api]";
        "fdb" optional fdb: FdbTable, "[fdb]";
        "port" optional ports: Vec<Spanned<PortTable>>, "[[port]]";
        "vtep" optional vteps: Vec<Spanned<VtepTable>>, "[[vtep]]";
        "network" optional networks: Vec<Spanned<NetworkTable>>, "[[network]]";
    }
}

table! {
    DpdkTable "[dpdk]" {
        "worker-cores" optional worker_cores: Vec<Spanned<Integer>>, "worker-cores = [1, 2]";
        "main-core" optional main_core: Integer, "main-core = 0";
        "memory-mib" optional memory_mib: Integer, "memory-mib = 512";
        "packet-buffers" optional packet_buffers: Integer, "packet-buffers = 131071";
        "hugepages" optional hugepages: bool, "hugepages = true";
        "eal-args" optional eal_args: Vec<Spanned<String>>, "eal-args = [\"--log-level=debug\"]";
    }
}

table! {
    ApiTable "[api]" {
        "socket" optional socket: String, "socket = \"/run/vswitch/vswitch.sock\"";
        "metrics" optional metrics: String, "metrics = \"127.0.0.1:9144\"";
        "page-frames" optional page_frames: bool, "page-frames = false";
        "group" optional group: String, "group = \"vswitch\"";
        "listen" optional listen: String, "listen = \"127.0.0.1:9143\"";
        "tls-certificate" optional tls_certificate: String, "tls-certificate = \"/etc/vswitch/tls.pem\"";
        "tls-key" optional tls_key: String, "tls-key = \"/etc/vswitch/tls-key.pem\"";
        "token-file" optional token_file: String, "token-file = \"/etc/vswitch/token\"";
    }
}

table! {
    FdbTable "[fdb]" {
        "capacity" optional capacity: Integer, "capacity = 1048576";
    }
}

table! {
    PortTable "[[port]]" {
        "name" required name: String, "name = \"uplink\"";
        "device" required device: String, "device = \"net_af_packet0,iface=eth1\"";
        "queues" optional queues: Integer, "queues = 2";
        "mtu" optional mtu: Integer, "mtu = 1500";
    }
}

table! {
    VtepTable "[[vtep]]" {
        "name" required name: String, "name = \"fabric\"";
        "port" required port: String, "port = \"uplink\"";
        "address" required address: String, "address = \"198.51.100.1/24\"";
        "host-interface" required host_interface: String, "host-interface = \"vtep0\"";
        "udp-port" optional udp_port: Integer, "udp-port = 4789";
        "mac" optional mac: String, "mac = \"02:00:00:00:00:01\"";
    }
}

table! {
    NetworkTable "[[network]]" {
        "name" required name: String, "name = \"blue\"";
        "vni" required vni: Integer, "vni = 100";
        "vtep" optional vtep: String, "vtep = \"fabric\"";
        "remote-vteps" optional remote_vteps: Vec<Spanned<String>>, "remote-vteps = [\"198.51.100.2\"]";
        "mac-ageing-secs" optional mac_ageing_secs: Integer, "mac-ageing-secs = 300";
        "port" optional ports: Vec<Spanned<MemberTable>>, "[[network.port]]";
        "mac" optional macs: Vec<Spanned<MacTable>>, "[[network.mac]]";
    }
}

table! {
    MemberTable "[[network.port]]" {
        "port" required port: String, "port = \"tenant-a\"";
    }
}

table! {
    MacTable "[[network.mac]]" {
        "address" required address: String, "address = \"02:00:00:00:00:09\"";
        "port" optional port: String, "port = \"tenant-a\"";
        "remote-vtep" optional remote_vtep: String, "remote-vtep = \"198.51.100.2\"";
    }
}

/// Every table, to say where a misplaced key belongs.
const TABLES: &[(&str, &[&str])] = &[
    (DpdkTable::TITLE, DpdkTable::KEYS),
    (ApiTable::TITLE, ApiTable::KEYS),
    (FdbTable::TITLE, FdbTable::KEYS),
    (PortTable::TITLE, PortTable::KEYS),
    (VtepTable::TITLE, VtepTable::KEYS),
    (NetworkTable::TITLE, NetworkTable::KEYS),
    (MemberTable::TITLE, MemberTable::KEYS),
    (MacTable::TITLE, MacTable::KEYS),
];

impl FromToml for String {
    const ONE: &'static str = "a string";
    const MANY: &'static str = "a list of strings";

    fn from_toml(value: &Spanned<DeValue<'_>>, key: &Key, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(text) => Some(text.as_ref().to_owned()),
            _ => wrong_type::<Self>(value, key, problems),
        }
    }
}

impl FromToml for bool {
    const ONE: &'static str = "true or false";
    const MANY: &'static str = "a list of booleans";

    fn from_toml(value: &Spanned<DeValue<'_>>, key: &Key, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            _ => wrong_type::<Self>(value, key, problems),
        }
    }
}

impl FromToml for Integer {
    const ONE: &'static str = "an integer";
    const MANY: &'static str = "a list of integers";

    fn from_toml(value: &Spanned<DeValue<'_>>, key: &Key, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(digits) => {
                let read = Self::from_str_radix(digits.as_str(), digits.radix()).ok();
                if read.is_none() {
                    let message = format!("the number for `{}` does not fit in 64 bits", key.name);
                    problems.error(value.span(), message, example(key));
                }
                read
            }
            _ => wrong_type::<Self>(value, key, problems),
        }
    }
}

impl<T: FromToml> FromToml for Vec<Spanned<T>> {
    const ONE: &'static str = T::MANY;
    const MANY: &'static str = "a list of lists";

    fn from_toml(value: &Spanned<DeValue<'_>>, key: &Key, problems: &mut Problems) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            wrong_type::<Self>(value, key, problems);
            // A table with one pair of brackets too few is read nevertheless: its name is known.
            return T::from_table(value, problems)
                .map(|inner| vec![Spanned::new(value.span(), inner)]);
        };
        let read = items.iter().filter_map(|item| {
            T::from_toml(item, key, problems).map(|inner| Spanned::new(item.span(), inner))
        });
        Some(read.collect())
    }
}

fn example(key: &Key) -> String {
    format!("write it like this: `{}`", key.example)
}

fn wrong_type<T: FromToml>(
    value: &Spanned<DeValue<'_>>,
    key: &Key,
    problems: &mut Problems,
) -> Option<T> {
    let typed = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let message = format!("`{}` must be {}, but this is {typed}", key.name, T::ONE);
    problems.error(value.span(), message, example(key));
    None
}

fn missing_key(name: &str, example: &str, title: &str, header: &Span, problems: &mut Problems) {
    let message = format!("{title} has no `{name}`");
    problems.error(header.clone(), message, format!("add it below, for example `{example}`"));
}

fn unknown_key(name: &str, at: Span, title: &str, keys: &[&str], problems: &mut Problems) {
    let elsewhere = || {
        let homes = TABLES.iter().filter(|(_, keys)| keys.contains(&name));
        let homes: Vec<_> = homes.map(|(title, _)| *title).collect();
        (!homes.is_empty()).then(|| format!("it is a key of {}; ", homes.join(" and of ")))
    };
    let hint = nearest(name, keys.iter().copied())
        .map(|near| format!("did you mean `{near}`? "))
        .or_else(elsewhere)
        .unwrap_or_default();
    problems.error(
        at,
        format!("unknown key {} in {title}", quoted(name)),
        format!("{hint}known keys: {}", listed(keys.iter().copied(), keys.len())),
    );
}

/// Reads the text; `None` after a syntax error, which is then reported.
pub(super) fn read(problems: &mut Problems) -> Option<Document> {
    match DeTable::parse(problems.text) {
        Ok(root) => Some(Document::read(root.get_ref(), &(0..0), problems)),
        Err(error) => {
            let at = error.span().unwrap_or(problems.text.len()..problems.text.len());
            let at_text = problems.text.get(at.clone()).unwrap_or_default();
            let (message, help) = match error.message() {
                "duplicate key" => (
                    format!("{} is given a second time", quoted(at_text)),
                    "keep one of the two; a further port, VTEP or network starts with its own \
                     `[[port]]`, `[[vtep]]` or `[[network]]`"
                        .to_owned(),
                ),
                message if message.starts_with("string values must be quoted") => (
                    format!("{} is neither a number nor a text in quotes", quoted(at_text)),
                    format!("if it is a text, write it as `\"{}\"`", at_text.escape_debug()),
                ),
                message => (
                    format!("not valid TOML: {message}"),
                    "one `key = value` on each line, texts in double quotes, lists in brackets; \
                     see https://toml.io"
                        .to_owned(),
                ),
            };
            problems.error(at, message, help);
            None
        }
    }
}
