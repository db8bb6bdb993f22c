//! Which two buckets a key may be in.
//!
//! Tenants choose their MAC addresses, so the placement is keyed with a random seed: who does not
//! know the seed cannot aim many addresses at one bucket. Called once per lookup on workers: three
//! dependent multiplications, overlapped over a burst.

use std::hash::{BuildHasher, RandomState};

/// A seed that nobody outside can foretell, for [`fdb::new`](super::fdb::new). One per start.
#[must_use]
pub fn random_seed() -> u64 {
    RandomState::new().hash_one(0_u64)
}

/// A keyed placement over a fixed number of buckets.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    keys: [u64; 4],
    buckets: u32,
}

/// The two buckets that may hold one key; never the same one twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pair {
    /// Where an insertion tries first, so where most lookups end.
    pub primary: u32,
    /// Where it goes when the first is full.
    pub secondary: u32,
}

impl Pair {
    /// The bucket of the two that is not `bucket`.
    pub fn other(self, bucket: u32) -> u32 {
        if bucket == self.primary { self.secondary } else { self.primary }
    }
}

impl Placement {
    /// A placement over `buckets` buckets: at least two, so that there are two places.
    pub fn new(buckets: u32, seed: u64) -> Self {
        debug_assert!(buckets >= 2);
        let mut state = seed;
        // Odd, so that no key is a multiplication by zero.
        let keys = [(); 4].map(|()| split_mix(&mut state) | 1);
        Self { keys, buckets }
    }

    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// The places of a key.
    #[inline(always)]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "the halves of a word, then below `buckets`"
    )]
    pub fn of(&self, key: u64) -> Pair {
        let [a, b, c, d] = self.keys;
        // Two rounds: after one, sequential addresses still lie in a visible pattern.
        let mixed = fold(fold(key ^ a, b) ^ c, d);
        let buckets = u64::from(self.buckets);
        // Scaled, not masked: the table is as large as it must be, not the next power of two.
        let primary = (((mixed >> 32) * buckets) >> 32) as u32;
        let secondary = (((mixed & 0xffff_ffff) * buckets) >> 32) as u32;
        let next = if primary + 1 == self.buckets { 0 } else { primary + 1 };
        Pair { primary, secondary: if secondary == primary { next } else { secondary } }
    }
}

/// The two halves of a product, folded: every bit of the result depends on many of the input.
#[inline(always)]
#[allow(clippy::cast_possible_truncation, reason = "takes the halves of the product")]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}

/// SplitMix64 (Steele, Lea and Flood, 2014): turns one seed into independent words.
pub(super) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(all(test, not(vswitch_loom)))]
mod tests {
    use super::*;

    const KEYS: u64 = if cfg!(miri) { 20 } else { 2000 };

    #[test]
    fn places_differ_and_are_in_range() {
        for buckets in [2, 3, 4, 7, 1000] {
            let placement = Placement::new(buckets, 7);
            for key in 1..KEYS {
                let pair = placement.of(key);
                assert!(pair.primary < buckets && pair.secondary < buckets);
                assert_ne!(pair.primary, pair.secondary);
                assert_eq!(pair.other(pair.primary), pair.secondary);
                assert_eq!(pair.other(pair.secondary), pair.primary);
            }
        }
    }

    /// Chi-squared over 256 buckets: the mean is 255, and 400 is six standard deviations above.
    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and far too much of it for an interpreter")]
    fn regular_addresses_spread_evenly() {
        let per_bucket = 64;
        for seed in 0..8 {
            let placement = Placement::new(256, seed);
            let patterns: [fn(u64) -> u64; 4] = [
                |i| 0x0200_0000_0000 + i,                         // sequential addresses
                |i| 0x0200_0000_0000 + (i << 8),                  // one per vendor-sized step
                |i| (i << 48) | 0x0200_0000_0001, // the same address in every network
                |i| 0x0200_0000_0000 | (i & 0xff) << 32 | i >> 8, // the same, turned round
            ];
            for (number, pattern) in patterns.iter().enumerate() {
                let mut counts = [[0_f64; 256]; 2];
                for i in 0..256 * per_bucket {
                    let pair = placement.of(pattern(i));
                    counts[0][pair.primary as usize] += 1.0;
                    counts[1][pair.secondary as usize] += 1.0;
                }
                for (which, counts) in counts.iter().enumerate() {
                    let mean = f64::from(u32::try_from(per_bucket).unwrap());
                    let chi: f64 = counts.iter().map(|n| (n - mean) * (n - mean) / mean).sum();
                    assert!(chi < 400.0, "seed {seed} pattern {number} place {which}: {chi}");
                }
            }
        }
    }

    #[test]
    fn another_seed_is_another_placement() {
        let (a, b) = (Placement::new(1 << 20, 1), Placement::new(1 << 20, 2));
        let same = (1..KEYS).filter(|&key| a.of(key).primary == b.of(key).primary).count();
        assert!(same < 5, "{same} of {KEYS} keys did not move");
    }
}
