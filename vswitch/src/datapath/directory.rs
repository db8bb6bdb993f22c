//! A read-only map from numbers of the wire (VNIs, addresses) to indices, made whole with a
//! generation.
//!
//! Read by workers, per frame where frames of many networks mix: one cache line, which can be asked
//! for ahead; hashbrown's maps touch two and cannot be. Open addressing in slots of 8 bytes, at most
//! half of them taken, and the hash is chosen when the map is made so that no key, present or not, is
//! further than eight slots from where it is looked for first.

use crate::table::prefetch;

/// A slot that holds nothing. No value is as large.
const FREE: u64 = u64::MAX;

/// The most slots that a look-up reads.
const MAX_PROBES: usize = 8;

/// A map from `u32` to `u32`.
#[derive(Clone, Debug)]
pub struct Directory {
    /// Key in the high half, value in the low one; [`MAX_PROBES`] more than are hashed to.
    slots: Box<[u64]>,
    multiplier: u64,
    shift: u32,
}

impl Directory {
    /// A map of these pairs. No key comes twice; no value is `u32::MAX`.
    #[must_use]
    pub fn new(pairs: &[(u32, u32)]) -> Self {
        let mut bits = (pairs.len() * 2).next_power_of_two().trailing_zeros().max(1);
        loop {
            // As good as any odd numbers; the same in every run, so that costs are comparable.
            let multipliers = (1_u64..=16).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            if let Some(made) = multipliers.into_iter().find_map(|m| Self::try_new(pairs, bits, m))
            {
                return made;
            }
            bits += 1;
        }
    }

    fn try_new(pairs: &[(u32, u32)], bits: u32, multiplier: u64) -> Option<Self> {
        let slots = vec![FREE; (1 << bits) + MAX_PROBES].into();
        let mut made = Self { slots, multiplier, shift: u64::BITS - bits };
        for (key, value) in pairs {
            debug_assert_ne!(*value, u32::MAX);
            let near = made.near_mut(*key);
            *near.iter_mut().find(|slot| **slot == FREE)? =
                u64::from(*key) << 32 | u64::from(*value);
        }
        Some(made)
    }

    #[inline(always)]
    #[allow(clippy::cast_possible_truncation, reason = "as many bits as the map has slots")]
    fn first(&self, key: u32) -> usize {
        (u64::from(key).wrapping_mul(self.multiplier) >> self.shift) as usize
    }

    fn near_mut(&mut self, key: u32) -> &mut [u64] {
        let first = self.first(key);
        &mut self.slots[first..first + MAX_PROBES]
    }

    /// Asks for the cache line of a key.
    #[inline(always)]
    pub fn prefetch(&self, key: u32) {
        prefetch(&self.slots[self.first(key)]);
    }

    /// The value of a key.
    #[inline(always)]
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the halves of a slot")]
    pub fn get(&self, key: u32) -> Option<u32> {
        let first = self.first(key);
        for slot in &self.slots[first..first + MAX_PROBES] {
            if (*slot >> 32) as u32 == key && *slot != FREE {
                return Some(*slot as u32);
            }
            if *slot == FREE {
                return None;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in_and_nothing_else() {
        let patterns: [fn(u32) -> u32; 5] = [
            |n| n + 1,                         // VNIs in a row
            |n| 0xc633_6400 + n,               // addresses in a row
            |n| n << 8,                        // a step of 256
            |n| n.wrapping_mul(2_654_435_761), // all over
            |n| u32::MAX - n,
        ];
        for count in [0, 1, 2, 3, 100, 10_000] {
            for pattern in patterns {
                let pairs: Vec<_> = (0..count).map(|n| (pattern(n), n)).collect();
                let map = Directory::new(&pairs);
                for (key, value) in &pairs {
                    map.prefetch(*key);
                    assert_eq!(map.get(*key), Some(*value));
                }
                let held: std::collections::HashSet<_> = pairs.iter().map(|(k, _)| *k).collect();
                for key in (0..50_000).chain(u32::MAX - 50_000..=u32::MAX) {
                    assert_eq!(map.get(key).is_some(), held.contains(&key), "{count} {key}");
                }
                assert!(map.slots.len() <= 64 + 8 * pairs.len(), "{} for {count}", map.slots.len());
            }
        }
    }
}
