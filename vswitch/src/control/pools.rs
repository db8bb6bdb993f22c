//! The pools of packet buffers. The first pool is made at the start for all ports of that time. A port
//! that is added later and does not fit gets another pool.
//!
//! A buffer of a closed port may still lie in another device's transmit ring. So a pool without ports
//! is kept until it has all its buffers back, and serves the next port that it fits.

use super::memory::POOL_CACHE;
use crate::dpdk::Error;
use crate::dpdk::eal::Eal;
use crate::dpdk::pool::Pool;

/// All pools.
pub struct Pools {
    /// That of the start.
    pub first: Pool,
    more: Vec<Another>,
    made: u64,
}

struct Another {
    /// Which one after the first it is.
    number: u64,
    pool: Pool,
    /// As [`Pools::tidy`] saw it last.
    is_idle: bool,
}

impl Pools {
    /// With that of the start.
    #[must_use]
    pub fn new(first: Pool) -> Self {
        Self { first, more: Vec::new(), made: 0 }
    }

    /// A pool beside the first one, with so many buffers for frames of so many bytes.
    ///
    /// # Errors
    /// Too little memory.
    pub fn another(&mut self, eal: &Eal, buffers: u32, room: u16) -> Result<Pool, Error> {
        let fits = |Another { pool, .. }: &&mut Another| {
            // Without those that a driver has never given back.
            let free = pool.capacity().saturating_sub(pool.in_use());
            pool.users() == 1 && free >= buffers as usize && pool.data_room() >= room
        };
        if let Some(another) = self.more.iter_mut().find(fits) {
            another.is_idle = false;
            return Ok(another.pool.clone());
        }
        self.made += 1;
        let pool = Pool::new(eal, &format!("frames-{}", self.made), buffers, POOL_CACHE, room, -1)?;
        self.more.push(Another { number: self.made, pool: pool.clone(), is_idle: false });
        Ok(pool)
    }

    /// Every second: frees the pools that nobody uses and that have all their buffers. Not at the
    /// first sight: a worker that gives a buffer back still writes to its cache in the pool after
    /// the buffer counts as back.
    pub fn tidy(&mut self) {
        self.more.retain_mut(|Another { pool, is_idle, .. }| {
            let was_idle = std::mem::replace(is_idle, pool.users() == 1 && pool.in_use() == 0);
            !(was_idle && *is_idle)
        });
    }

    /// How many buffers there are.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.all().map(Pool::capacity).sum()
    }

    /// How many buffers are out of their pools.
    #[must_use]
    pub fn in_use(&self) -> usize {
        self.all().map(Pool::in_use).sum()
    }

    /// Each pool, by its name, which DPDK has for it as well.
    pub fn named(&self) -> impl Iterator<Item = (String, &Pool)> {
        let more =
            self.more.iter().map(|Another { number, pool, .. }| (format!("frames-{number}"), pool));
        std::iter::once(("frames".to_owned(), &self.first)).chain(more)
    }

    fn all(&self) -> impl Iterator<Item = &Pool> {
        std::iter::once(&self.first).chain(self.more.iter().map(|another| &another.pool))
    }
}
