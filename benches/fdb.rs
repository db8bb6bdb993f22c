//! The forwarding table's lookups, a burst of 32 at a time, beside what else could serve.
//!
//! ```sh
//! cargo bench -p vswitch --no-default-features --bench fdb
//! ```
//!
//! Every table is full, and every address as likely as any other: real traffic has favourites and so does
//! better. The time shown is that of a burst; the rate is in lookups. `hashbrown` is the bound for one thread that
//! shares with nobody; behind a lock, taken once per burst, it is what a simple design would do.

use std::hint::black_box;
use std::sync::RwLock;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use hashbrown::HashMap;
use vswitch::ids::{BridgeDomain, MacAddr, PortId};
use vswitch::table::{Destination, Entry, Found, Key, fdb};

const BURST: usize = 32;

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
        Key::new(BridgeDomain(domain), MacAddr::from_u64(self.word()))
    }
}

const ENTRY: Entry =
    Entry { destination: Destination::Port(PortId(7)), is_static: false, refreshed_secs: 1 };

fn lookups(criterion: &mut Criterion) {
    for entries in [1 << 10, 1 << 16, 1 << 20] {
        let mut random = Random(42);
        let keys: Vec<Key> = (0..entries).map(|_| random.key(1)).collect();
        // Long enough that the branch predictor does not learn it by heart.
        let asked = entries.max(1 << 15);
        let hits: Vec<Key> = (0..asked)
            .map(|_| keys[usize::try_from(random.word() >> 32).unwrap_or(0) % keys.len()])
            .collect();
        let misses: Vec<Key> = (0..asked).map(|_| random.key(2)).collect();

        let (mut writer, reader) = fdb::new(entries, 7);
        let mut map = HashMap::with_capacity(entries);
        for &key in &keys {
            writer.insert(key, ENTRY).expect("the capacity fits");
            map.insert(key, ENTRY);
        }
        let locked = RwLock::new(map.clone());

        let mut group = criterion.benchmark_group(format!("fdb/{entries}"));
        group
            .throughput(Throughput::Elements(BURST as u64))
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(2));
        for (asking, asked) in [("hit", &hits), ("miss", &misses)] {
            let mut bench = |name: &str, look: &mut dyn FnMut(&[Key], &mut [Found; BURST])| {
                let mut bursts = asked.chunks_exact(BURST).cycle();
                let mut found = [Found::MISS; BURST];
                group.bench_function(BenchmarkId::new(name, asking), |bencher| {
                    bencher.iter(|| {
                        if let Some(burst) = bursts.next() {
                            look(black_box(burst), &mut found);
                        }
                        black_box(&found);
                    });
                });
            };
            bench("table", &mut |keys, found| reader.lookup_burst(keys, found));
            bench("table, one by one", &mut |keys, _| {
                for &key in keys {
                    black_box(reader.lookup(key));
                }
            });
            bench("hashbrown", &mut |keys, _| {
                for key in keys {
                    black_box(map.get(key).copied());
                }
            });
            bench("RwLock<hashbrown>", &mut |keys, _| {
                let map = locked.read().expect("nobody panicked");
                for key in keys {
                    black_box(map.get(key).copied());
                }
            });
        }
        group.finish();
    }
}

criterion_group!(benches, lookups);
criterion_main!(benches);
