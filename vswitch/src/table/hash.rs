//! Which two buckets a key may be in.
//!
//! Tenants choose their MAC addresses, so the placement is keyed with a random seed: who does not
//! know the seed cannot aim many addresses at one bucket. Called once per lookup on workers: three
//! dependent multiplications, overlapped over a burst.
//!
//! A key is mixed once (a full product with a secret, folded), and each place multiplies the mix by a
//! secret of its own and scales the result. Each step is there for a reason that the tests show. Without the
//! places' own multiplications, one start in thirty makes sequential addresses pile up until insertions are
//! refused; so do plain multiplication and pairs of it, which the literature warns of (Dietzfelbinger
//! and Schellbach, "On risks of using cuckoo hashing with simple universal hash classes", 2009). A CRC
//! is out: it is linear, so its collisions are the same under every seed.

use std::hash::{BuildHasher, RandomState};

/// A seed that nobody outside can foretell, for [`fdb::new`](super::fdb::new). One per start.
#[must_use]
pub fn random_seed() -> u64 {
    RandomState::new().hash_one(0_u64)
}

/// A keyed placement over a fixed number of buckets.
#[derive(Clone, Copy)]
pub(super) struct Placement {
    mask: u64,
    mixer: u64,
    /// What the mix is multiplied by for the primary place, and for the secondary one.
    primary: u64,
    secondary: u64,
    buckets: u32,
}

/// The two buckets that may hold one key; never the same one twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
        // Odd, so that a multiplication loses nothing.
        let [mask, mixer, primary, secondary] = [(); 4].map(|()| split_mix(&mut state) | 1);
        Self { mask, mixer, primary, secondary, buckets }
    }

    /// How many buckets there are.
    pub fn buckets(&self) -> u32 {
        self.buckets
    }

    /// The primary place of a key; below [`buckets`](Self::buckets).
    #[inline(always)]
    pub fn primary(&self, key: u64) -> u32 {
        self.scale(self.mix(key).wrapping_mul(self.primary))
    }

    /// Both places of a key.
    #[inline(always)]
    pub fn of(&self, key: u64) -> Pair {
        let primary = self.primary(key);
        let secondary = self.scale(self.mix(key).wrapping_mul(self.secondary));
        let next = if primary + 1 == self.buckets { 0 } else { primary + 1 };
        Pair { primary, secondary: if secondary == primary { next } else { secondary } }
    }

    /// The two halves of a product, folded: every bit of the result depends on many of the key.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "takes the halves of the product")]
    fn mix(&self, key: u64) -> u64 {
        let product = u128::from(key ^ self.mask) * u128::from(self.mixer);
        (product >> 64) as u64 ^ product as u64
    }

    /// Scaled, not masked: the table is as large as it must be, not the next power of two.
    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "it is below `buckets`")]
    fn scale(&self, word: u64) -> u32 {
        ((u128::from(word) * u128::from(self.buckets)) >> 64) as u32
    }
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
    const MAC: u64 = 0x0200_0000_0000;

    /// How addresses are given out.
    const PATTERNS: [fn(u64) -> u64; 6] = [
        |i| MAC + i,                                              // one after the other
        |i| MAC + (i << 8),                                       // in steps
        |i| i << 48 | MAC | 1,             // the same address in every network
        |i| (i >> 4) << 48 | MAC | i & 15, // the same sixteen in every network
        |i| MAC | (i & 0xff) << 32 | i >> 8, // one byte first, then another
        |i| (0..16).map(|bit| (i >> bit & 1) << (3 * bit)).sum(), // every third bit
    ];

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

    /// Chi-squared over 256 buckets: the mean is 255, and 400 is six standard deviations above. Many
    /// seeds, because a placement that is too simple is good with most and bad with a few.
    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and far too much of it for an interpreter")]
    fn regular_addresses_spread_evenly() {
        let per_bucket = 16;
        for seed in 0..100 {
            let placement = Placement::new(256, seed);
            for (number, pattern) in PATTERNS.iter().enumerate() {
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

    /// The same for both places of a key together, over 16 x 16: if one told the other, keys that share
    /// a bucket would have nowhere to go. Here the place that is never the primary one is left out.
    #[test]
    #[cfg_attr(miri, ignore = "arithmetic only, and far too much of it for an interpreter")]
    fn one_place_says_nothing_about_the_other() {
        let pairs = 16 * 15;
        let per_pair = 16;
        for seed in 0..100 {
            let placement = Placement::new(16, seed);
            for (number, pattern) in PATTERNS.iter().enumerate() {
                let mut counts = [0_f64; 256];
                for i in 0..256 * per_pair {
                    let Pair { primary, secondary } = placement.of(pattern(i));
                    counts[primary as usize * 16 + secondary as usize] += 1.0;
                }
                // The neighbour stands in for a secondary place that fell on the primary one, so it
                // gets the share of two.
                let chi: f64 = (0..256)
                    .filter(|cell| cell / 16 != cell % 16)
                    .map(|cell| {
                        let share = if cell % 16 == (cell / 16 + 1) % 16 { 2.0 } else { 1.0 };
                        let mean = share * f64::from(u32::try_from(per_pair).unwrap());
                        (counts[cell] - mean) * (counts[cell] - mean) / mean
                    })
                    .sum();
                // Six standard deviations above the mean of 239.
                assert!(chi < f64::from(pairs) + 6.0 * 22.0, "seed {seed} pattern {number}: {chi}");
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
