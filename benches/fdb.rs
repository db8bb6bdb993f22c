//! The forwarding table's lookups, a burst of 64 at a time, beside what else could serve: DPDK's
//! `rte_hash` in its lock-free mode, hashbrown, and hashbrown behind a lock. Hits and misses; with
//! no writer, and with one on another core that makes half a million updates a second.
//!
//! ```sh
//! cargo bench -p vswitch --bench fdb                        # as root: rte_hash wants hugepages
//! cargo bench -p vswitch --bench fdb -- fdb/65536           # one size
//! cargo bench -p vswitch --bench fdb --no-default-features  # without DPDK
//! ```
//!
//! Every table is full, and every address as likely as any other: real traffic has favourites and
//! so does better. The time shown is that of a burst; the rate is in lookups. `hashbrown` is the
//! bound for one thread that shares with nobody; the lock is taken once per burst, as a simple
//! design would.
//!
//! The writer does what learning does: of four updates, two refresh an address, one removes an
//! address and one brings it back, in a batch every millisecond, as the control thread does its
//! events. (Would it spin in between, then on a machine whose two cores are threads of one, it
//! would be that which is measured.) It is pinned to the first core, and the lookups to the second.
//!
//! At the end come the best of 30 samples, per lookup, and their ratios to `rte_hash`, also in
//! `target/bench/fdb.json`.

#![allow(clippy::print_stdout, reason = "it reports to people")]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use hashbrown::HashMap;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use vswitch::ids::{MacAddr, NetworkId, PortId};
use vswitch::table::{Destination, Entry, FdbWriter, Found, Key, Table, fdb};

/// Lookups in one call: the pipeline's burst.
const BURST: usize = 64;
const SIZES: [usize; 4] = [1 << 10, 1 << 16, 1 << 20, 1 << 22];
const UPDATES_PER_SEC: u64 = 500_000;
const WRITER_CORE: usize = 0;
const READER_CORE: usize = 1;

const ENTRY: Entry =
    Entry { destination: Destination::Port(PortId(7)), is_static: false, refreshed_secs: 1 };

/// SplitMix64 (Steele, Lea and Flood, 2014): the same keys in every run.
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn key(&mut self, domain: u16) -> Key {
        Key::new(NetworkId(domain), MacAddr::from_u64(self.word()))
    }

    fn pick(&mut self, keys: &[Key]) -> Key {
        keys[usize::try_from(self.word() >> 32).unwrap_or(0) % keys.len()]
    }
}

/// A table that can be asked.
trait Lookup {
    fn look(&self, keys: &[Key], found: &mut [Found; BURST]);
}

/// A table that can be changed meanwhile.
trait Update: Send {
    fn refresh(&mut self, key: Key);
    fn remove(&mut self, key: Key);
    fn insert(&mut self, key: Key);
}

impl Lookup for Table {
    fn look(&self, keys: &[Key], found: &mut [Found; BURST]) {
        self.lookup_burst(keys, found);
    }
}

impl Update for FdbWriter {
    fn refresh(&mut self, key: Key) {
        FdbWriter::refresh(self, key, 2);
    }
    fn remove(&mut self, key: Key) {
        FdbWriter::remove(self, key);
    }
    fn insert(&mut self, key: Key) {
        FdbWriter::insert(self, key, ENTRY).expect("its place was just freed");
    }
}

type Map = HashMap<Key, Entry>;

impl Lookup for Map {
    fn look(&self, keys: &[Key], _: &mut [Found; BURST]) {
        for key in keys {
            black_box(self.get(key).copied());
        }
    }
}

impl Lookup for RwLock<Map> {
    fn look(&self, keys: &[Key], found: &mut [Found; BURST]) {
        self.read().expect("nobody panicked").look(keys, found);
    }
}

impl Update for &RwLock<Map> {
    fn refresh(&mut self, key: Key) {
        if let Some(entry) = self.write().expect("nobody panicked").get_mut(&key) {
            entry.refreshed_secs = 2;
        }
    }
    fn remove(&mut self, key: Key) {
        self.write().expect("nobody panicked").remove(&key);
    }
    fn insert(&mut self, key: Key) {
        self.write().expect("nobody panicked").insert(key, ENTRY);
    }
}

/// DPDK's hash table. Its functions are declared here, not in `dpdk-sys`: nothing else calls them.
#[cfg(feature = "dpdk")]
mod rte {
    use std::collections::VecDeque;
    use std::ffi::{CString, c_char, c_int, c_void};
    use std::ptr::{self, NonNull};

    use vswitch::table::{Found, Key};

    use super::{BURST, Lookup, READER_CORE, Update};

    /// `RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF`: one writer, readers without a lock.
    const LOCK_FREE: u8 = 0x20;

    #[repr(C)]
    struct Parameters {
        name: *const c_char,
        entries: u32,
        reserved: u32,
        key_len: u32,
        /// None: CRC32C by instruction, the fastest of those it brings.
        hash: Option<unsafe extern "C" fn(*const c_void, u32, u32) -> u32>,
        hash_seed: u32,
        socket: c_int,
        flags: u8,
    }

    #[repr(C)]
    struct Opaque([u8; 0]);

    unsafe extern "C" {
        fn rte_hash_create(parameters: *const Parameters) -> *mut Opaque;
        fn rte_hash_free(hash: *mut Opaque);
        fn rte_hash_add_key_data(
            hash: *const Opaque,
            key: *const c_void,
            data: *mut c_void,
        ) -> c_int;
        fn rte_hash_del_key(hash: *const Opaque, key: *const c_void) -> i32;
        fn rte_hash_free_key_with_position(hash: *const Opaque, position: i32) -> c_int;
        fn rte_hash_lookup_bulk_data(
            hash: *const Opaque,
            keys: *const *const c_void,
            count: u32,
            hits: *mut u64,
            data: *mut *mut c_void,
        ) -> c_int;
    }

    /// Starts the environment abstraction layer, on hugepages if there are any.
    pub fn start() -> bool {
        let free = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let free = free.lines().find_map(|line| line.strip_prefix("HugePages_Free:"));
        let pages: u32 = free.and_then(|n| n.trim().parse().ok()).unwrap_or(0);
        let memory: &[&str] =
            if pages >= 128 { &["--in-memory"] } else { &["--no-huge", "-m", "1024"] };
        let core = format!("0@{READER_CORE}");
        let fixed = ["fdb", "--lcores", &core, "--no-shconf", "--no-telemetry", "--no-pci"];
        let arguments = fixed.iter().chain(memory).chain(&["--log-level=3"]);
        let words: Vec<CString> =
            arguments.map(|word| CString::new(*word).expect("no zero in it")).collect();
        let mut pointers: Vec<*mut c_char> =
            words.iter().map(|word| word.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).expect("a few");
        // SAFETY: `count` strings that end in zero and outlive the call; called once per process.
        unsafe { dpdk_sys::rte_eal_init(count, pointers.as_mut_ptr()) >= 0 }
    }

    pub struct Hash(NonNull<Opaque>);

    // SAFETY: in lock-free mode, any threads may look up while one changes the table.
    unsafe impl Send for Hash {}
    // SAFETY: as above; the only writer is `Writer`, and there is one.
    unsafe impl Sync for Hash {}

    impl Hash {
        pub fn new(name: &str, entries: usize) -> Option<Self> {
            let name = CString::new(name).ok()?;
            let parameters = Parameters {
                name: name.as_ptr(),
                entries: u32::try_from(entries).ok()?,
                reserved: 0,
                key_len: 8,
                hash: None,
                hash_seed: 7,
                socket: 0,
                flags: LOCK_FREE,
            };
            // SAFETY: the parameters are read before it returns.
            NonNull::new(unsafe { rte_hash_create(&raw const parameters) }).map(Self)
        }

        /// Whether there was room: without chaining, a few keys of a full table have none.
        pub fn insert(&self, key: Key) -> bool {
            let data = ptr::without_provenance_mut(1);
            // SAFETY: reads eight bytes of the key.
            unsafe { rte_hash_add_key_data(self.0.as_ptr(), (&raw const key).cast(), data) == 0 }
        }
    }

    impl Drop for Hash {
        fn drop(&mut self) {
            // SAFETY: made by `rte_hash_create`, and nobody has it any more.
            unsafe { rte_hash_free(self.0.as_ptr()) };
        }
    }

    impl Lookup for Hash {
        fn look(&self, keys: &[Key], _: &mut [Found; BURST]) {
            let mut pointers = [ptr::null(); BURST];
            for (pointer, key) in pointers.iter_mut().zip(keys) {
                *pointer = ptr::from_ref(key).cast();
            }
            let (mut data, mut hits) = ([ptr::null_mut(); BURST], 0);
            let count = u32::try_from(keys.len()).unwrap_or(0);
            let (keys, data_) = (pointers.as_ptr(), data.as_mut_ptr());
            // SAFETY: `count` pointers to keys of eight bytes, and room for as many answers.
            unsafe {
                rte_hash_lookup_bulk_data(self.0.as_ptr(), keys, count, &raw mut hits, data_);
            }
            black_box_all(&data, hits);
        }
    }

    fn black_box_all(data: &[*mut c_void; BURST], hits: u64) {
        std::hint::black_box((data, hits));
    }

    /// The one that changes the table.
    pub struct Writer<'a> {
        pub hash: &'a Hash,
        /// Key places of removed keys, to be given back when no reader can be there any more.
        pub removed: VecDeque<i32>,
    }

    impl Update for Writer<'_> {
        fn refresh(&mut self, key: Key) {
            self.hash.insert(key);
        }

        fn remove(&mut self, key: Key) {
            // SAFETY: reads eight bytes of the key.
            let place = unsafe { rte_hash_del_key(self.hash.0.as_ptr(), (&raw const key).cast()) };
            if place >= 0 {
                self.removed.push_back(place);
            }
            // At half a million updates a second, sixteen removals are 128 microseconds.
            if self.removed.len() > 16
                && let Some(place) = self.removed.pop_front()
            {
                // SAFETY: the place of a key that was removed, given back once.
                unsafe { rte_hash_free_key_with_position(self.hash.0.as_ptr(), place) };
            }
        }

        fn insert(&mut self, key: Key) {
            self.hash.insert(key);
        }
    }
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    if cores.set(core).is_ok() {
        // A machine with fewer cores measures all the same, only less well.
        let _ = sched_setaffinity(Pid::from_raw(0), &cores);
    }
}

/// Updates `table` until `stop`, at the rate above; counts in `done`.
fn keep_updating(table: &mut dyn Update, keys: &[Key], stop: &AtomicBool, done: &AtomicU64) {
    pin(WRITER_CORE);
    let mut random = Random(99);
    let began = Instant::now();
    let mut updates = 0;
    while !stop.load(Ordering::Relaxed) {
        let due = u128::from(UPDATES_PER_SEC) * began.elapsed().as_micros() / 1_000_000;
        while u128::from(updates) < due && !stop.load(Ordering::Relaxed) {
            table.refresh(random.pick(keys));
            table.refresh(random.pick(keys));
            let key = random.pick(keys);
            table.remove(key);
            table.insert(key);
            updates += 4;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    done.store(updates, Ordering::Relaxed);
}

/// Nanoseconds per lookup, by (entries, asking, writer, subject).
type Results = RefCell<BTreeMap<(usize, &'static str, bool, &'static str), f64>>;

/// The addresses of one size.
struct Addresses {
    entries: usize,
    keys: Vec<Key>,
    hits: Vec<Key>,
    misses: Vec<Key>,
}

impl Addresses {
    fn new(entries: usize) -> Self {
        let mut random = Random(42);
        let keys: Vec<Key> = (0..entries).map(|_| random.key(1)).collect();
        // Long enough that the branch predictor does not learn it by heart.
        let asked = entries.max(1 << 15);
        let hits = (0..asked).map(|_| random.pick(&keys)).collect();
        let misses = (0..asked).map(|_| random.key(2)).collect();
        Self { entries, keys, hits, misses }
    }
}

/// Measures one table: hits and misses, without its writer and, if it has one, with it.
fn measure(
    criterion: &mut Criterion,
    results: &Results,
    addresses: &Addresses,
    name: &'static str,
    table: &(impl Lookup + Sync),
    mut writer: Option<&mut dyn Update>,
) {
    for is_updated in [false, true] {
        let (stop, done) = (AtomicBool::new(false), AtomicU64::new(0));
        let began = Instant::now();
        std::thread::scope(|scope| {
            if is_updated {
                let Some(writer) = writer.take() else { return };
                scope.spawn(|| keep_updating(writer, &addresses.keys, &stop, &done));
            }
            let asked = [("hit", &addresses.hits), ("miss", &addresses.misses)];
            for (asking, asked) in asked {
                let subject = if is_updated { format!("{name}, updated") } else { name.into() };
                let mut group = criterion.benchmark_group(format!("fdb/{}", addresses.entries));
                group
                    .throughput(Throughput::Elements(BURST as u64))
                    .sample_size(30)
                    .warm_up_time(Duration::from_millis(200))
                    .measurement_time(Duration::from_millis(800));
                let mut bursts = asked.chunks_exact(BURST).cycle();
                let mut found = [Found::MISS; BURST];
                let mut samples = Vec::new();
                group.bench_function(BenchmarkId::new(subject, asking), |bencher| {
                    samples.clear();
                    bencher.iter_custom(|times| {
                        let began = Instant::now();
                        for burst in bursts.by_ref().take(usize::try_from(times).unwrap_or(0)) {
                            table.look(black_box(burst), &mut found);
                            black_box(&found);
                        }
                        let took = began.elapsed();
                        #[allow(clippy::cast_precision_loss, reason = "for people to read")]
                        samples.push(took.as_nanos() as f64 / times as f64 / BURST as f64);
                        took
                    });
                });
                group.finish();
                // The best sample: whatever else the machine does only adds to it.
                if let Some(best) = samples.into_iter().min_by(f64::total_cmp) {
                    let key = (addresses.entries, asking, is_updated, name);
                    results.borrow_mut().insert(key, best);
                }
            }
            stop.store(true, Ordering::Relaxed);
        });
        let updates = done.load(Ordering::Relaxed);
        #[allow(clippy::cast_precision_loss, reason = "for people to read")]
        let rate = updates as f64 / began.elapsed().as_secs_f64() / 1e6;
        if updates > 0 {
            println!("{name}, {} entries: {rate:.2} M updates/s", addresses.entries);
        }
    }
}

fn report(results: &Results) {
    let results = results.borrow();
    println!(
        "\n| entries | lookups | writer | table ns | rte_hash ns | table / rte_hash | hashbrown ns | RwLock<hashbrown> ns |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for (&(entries, asking, is_updated, name), &nanos) in &*results {
        if name != "table" {
            continue;
        }
        let of = |name| results.get(&(entries, asking, is_updated, name)).copied();
        let shown = |value: Option<f64>| value.map_or("–".to_owned(), |v| format!("{v:.2}"));
        let rte = of("rte_hash");
        let ratio = rte.map(|rte| nanos / rte);
        let slowed = results.get(&(entries, asking, false, name)).map(|quiet| nanos / quiet);
        let writer = if is_updated { "0.5 M/s" } else { "none" };
        println!(
            "| {entries} | {asking} | {writer} | {nanos:.2} | {} | {} | {} | {} |",
            shown(rte),
            shown(ratio),
            shown(of("hashbrown")),
            shown(of("RwLock<hashbrown>")),
        );
        rows.push(serde_json::json!({
            "entries": entries, "lookups": asking, "updates_per_sec": if is_updated { UPDATES_PER_SEC } else { 0 },
            "table_ns": nanos, "rte_hash_ns": rte, "ratio_to_rte_hash": ratio, "ratio_to_no_writer": slowed,
            "hashbrown_ns": of("hashbrown"), "rwlock_hashbrown_ns": of("RwLock<hashbrown>"),
        }));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    let file = folder.join("fdb.json");
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let document = serde_json::json!({
        "cpu": cpu.trim_start_matches(['\t', ' ', ':']), "burst": BURST, "rows": rows,
    });
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    match std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(&file, text)) {
        Ok(()) => println!("\nwritten to {}", file.display()),
        Err(error) => println!("\n{} cannot be written: {error}", file.display()),
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    // `-- fdb/65536` measures one size: do not fill the others' tables for nothing.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|word| word.starts_with("fdb/")).collect();
    #[cfg(feature = "dpdk")]
    let has_dpdk = rte::start();
    pin(READER_CORE);
    let results = Results::default();
    for entries in SIZES {
        let group = format!("fdb/{entries}");
        if !wanted.is_empty() && !wanted.iter().any(|word| word.starts_with(&group)) {
            continue;
        }
        let addresses = Addresses::new(entries);
        {
            let (mut writer, mut readers) = fdb::new(entries, 7, 1);
            for &key in &addresses.keys {
                writer.insert(key, ENTRY).expect("the capacity fits");
            }
            // The last one: with all entries in it, it has grown as far as it may.
            let table = readers[0].current();
            writer.upkeep();
            measure(&mut criterion, &results, &addresses, "table", table, Some(&mut writer));
        }
        #[cfg(feature = "dpdk")]
        if has_dpdk && let Some(hash) = rte::Hash::new(&group, entries) {
            let refused = addresses.keys.iter().filter(|&&key| !hash.insert(key)).count();
            println!("rte_hash of {entries} entries has no room for {refused} of them");
            let mut writer = rte::Writer { hash: &hash, removed: Default::default() };
            measure(&mut criterion, &results, &addresses, "rte_hash", &hash, Some(&mut writer));
        }
        let map: Map = addresses.keys.iter().map(|&key| (key, ENTRY)).collect();
        measure(&mut criterion, &results, &addresses, "hashbrown", &map, None);
        let locked = RwLock::new(map);
        let mut writer = &locked;
        measure(
            &mut criterion,
            &results,
            &addresses,
            "RwLock<hashbrown>",
            &locked,
            Some(&mut writer),
        );
    }
    report(&results);
    criterion.final_summary();
}
