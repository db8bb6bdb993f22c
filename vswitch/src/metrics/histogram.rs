//! Histograms whose bounds are powers of two, so that the bucket of a value is the number of its bits.
//!
//! `Buckets` is what a worker writes, under the rules of [`counters`](super::counters): one writer, a plain
//! load and store. [`Tally`] is the same for a thread that is asked by nobody but itself. Both become
//! [`Totals`], which the exposition shows.

use std::time::Duration;

use super::counter::Counter;

/// What a histogram has counted since start.
#[derive(Clone, Debug, PartialEq)]
pub struct Totals {
    /// The upper bound of each bucket but the last, which has none. Ascending.
    pub bounds: Vec<f64>,
    /// How many values each bucket got, one more than there are bounds. Not cumulative.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: f64,
}

impl Totals {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// The buckets that a worker counts in: the last one takes whatever is above.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Buckets<const N: usize>([Counter; N]);

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl<const N: usize> Buckets<N> {
    /// Counts a value that is below 2^n units for n = 0, 1, 2…
    #[inline(always)]
    pub(super) fn add(&self, units: u64) {
        self.0[bits(units).min(N - 1)].add(1);
    }

    /// With the bound of the first bucket and the sum of the values.
    pub(super) fn totals(&self, first_bound: f64, sum: f64) -> Totals {
        let counts: Vec<_> = self.0.iter().map(Counter::get).collect();
        Totals { bounds: bounds(first_bound, N), counts, sum }
    }
}

/// How many bits a number needs: 0 for 0, 1 for 1, 2 for 2 and 3, 3 for 4 to 7…
#[inline(always)]
const fn bits(number: u64) -> usize {
    (u64::BITS - number.leading_zeros()) as usize
}

/// The bounds of so many buckets.
fn bounds(first: f64, buckets: usize) -> Vec<f64> {
    std::iter::successors(Some(first), |bound| Some(bound * 2.0)).take(buckets - 1).collect()
}

/// Durations from 32 µs to four seconds, counted and read by one thread: the control thread's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    counts: [u64; Self::BUCKETS],
    sum: Duration,
}

impl Tally {
    const BUCKETS: usize = 19;
    const FIRST_BOUND: Duration = Duration::from_micros(32);

    /// Counts a duration.
    pub fn add(&mut self, took: Duration) {
        let units = took.as_micros() / Self::FIRST_BOUND.as_micros();
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.counts[bits(units).min(Self::BUCKETS - 1)] += 1;
        self.sum += took;
    }

    /// What was counted, in seconds.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals {
            bounds: bounds(Self::FIRST_BOUND.as_secs_f64(), Self::BUCKETS),
            counts: self.counts.to_vec(),
            sum: self.sum.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_below_the_bound_of_its_bucket_and_not_below_the_one_before() {
        for value in (0..200).chain([1023, 1024, 1 << 40]) {
            let buckets = Buckets::<8>::default();
            buckets.add(value);
            let totals = buckets.totals(1.0, 0.0);
            assert_eq!(totals.bounds, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0]);
            assert_eq!(totals.count(), 1);
            let at = totals.counts.iter().position(|count| *count == 1).unwrap();
            #[allow(clippy::cast_precision_loss, reason = "small numbers")]
            let value = value as f64;
            assert!(totals.bounds.get(at).is_none_or(|bound| value < *bound), "{value} in {at}");
            assert!(at == 0 || value >= totals.bounds[at - 1], "{value} in {at}");
        }
    }

    #[test]
    fn a_tally_has_room_for_seconds() {
        let mut tally = Tally::default();
        tally.add(Duration::from_micros(3));
        tally.add(Duration::from_micros(40));
        tally.add(Duration::from_secs(3));
        tally.add(Duration::from_secs(3600));
        let totals = tally.totals();
        assert_eq!(totals.counts.len(), totals.bounds.len() + 1);
        assert_eq!((totals.counts[0], totals.counts[1], totals.count()), (1, 1, 4));
        assert_eq!(totals.counts[totals.bounds.len()], 1, "an hour is above every bound");
        assert!((totals.bounds[17] - 4.194_304).abs() < 1e-9, "{:?}", totals.bounds);
        assert!((totals.sum - 3_603.000_043).abs() < 1e-6);
    }
}
