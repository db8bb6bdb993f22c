//! Pages of the FDB: which entries, in which order, and a look through the table in pieces.
//!
//! Entries are listed in the order of their keys: by network, then by MAC address. The cursor is
//! the key of the last entry of a page, so an entry that stays is listed exactly once, whatever
//! comes and goes between two pages, and the switch keeps nothing for its clients. As the table is
//! in no order, each page is one look through all of it, in pieces: the control thread does
//! something else after each.

use std::collections::BinaryHeap;
use std::net::Ipv4Addr;

use super::rows::{EntryKind, FdbRow};
use crate::ids::MacAddr;

/// Which entries. Each condition that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FdbFilter {
    /// Those of this network.
    pub network: Option<String>,
    /// Those of this MAC address.
    pub mac: Option<MacAddr>,
    /// Those on this port.
    pub port: Option<String>,
    /// Those behind this remote VTEP.
    pub remote_vtep: Option<Ipv4Addr>,
    /// Those of this kind.
    pub kind: Option<EntryKind>,
}

/// A look through the FDB for one page.
///
/// Whoever has the table looks at it piece by piece, [offers](Self::offer) the key of each entry
/// that the [filter](Self::filter) selects, says with [`go_on_at`](Self::go_on_at) how far it
/// came, and at the end [completes](Self::complete) the page. If entries may have changed
/// their places between two pieces, it begins again.
#[derive(Clone, Debug)]
pub struct FdbScan {
    filter: FdbFilter,
    after: Option<u64>,
    limit: usize,
    position: usize,
    layout: u64,
    restarts: u32,
    /// The smallest keys so far, the largest of them on top; one more than a page has.
    best: BinaryHeap<u64>,
    page: Option<FdbPage>,
}

/// Some entries of the FDB.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FdbPage {
    /// The entries.
    pub rows: Vec<FdbRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

/// After so many interruptions a scan is to be done in one piece.
const PATIENCE: u32 = 3;

impl FdbScan {
    /// For a page of at most `limit` entries that come after a key.
    #[must_use]
    pub fn new(filter: FdbFilter, after: Option<u64>, limit: usize) -> Self {
        Self {
            filter,
            after,
            limit: limit.max(1),
            position: 0,
            layout: 0,
            restarts: 0,
            best: BinaryHeap::new(),
            page: None,
        }
    }

    /// Which entries to offer.
    #[must_use]
    pub fn filter(&self) -> &FdbFilter {
        &self.filter
    }

    /// Where to go on; `None` at the beginning. `layout` is a number that changes whenever entries
    /// change their places in the table.
    pub fn position(&mut self, layout: u64) -> usize {
        if self.position == 0 {
            self.layout = layout;
        } else if self.layout != layout {
            self.begin_again(layout);
        }
        self.position
    }

    fn begin_again(&mut self, layout: u64) {
        (self.position, self.layout) = (0, layout);
        self.restarts += 1;
        self.best.clear();
    }

    /// Whether to look at all that is left at once, as the table changes too often.
    #[must_use]
    pub fn is_impatient(&self) -> bool {
        self.restarts >= PATIENCE
    }

    /// The key of an entry that the filter selects.
    pub fn offer(&mut self, key: u64) {
        if self.after.is_some_and(|after| key <= after) {
            return;
        }
        // One more than a page: so it is known whether there is another.
        if self.best.len() <= self.limit {
            self.best.push(key);
        } else if let Some(mut largest) = self.best.peek_mut()
            && key < *largest
        {
            *largest = key;
        }
    }

    /// The next piece begins there.
    pub fn go_on_at(&mut self, position: usize) {
        self.position = position;
    }

    /// The whole table was looked at: makes the page. `row` is asked for each key in order; `None`
    /// is an entry that is gone.
    pub fn complete(&mut self, mut row: impl FnMut(u64) -> Option<FdbRow>) {
        let mut keys = std::mem::take(&mut self.best).into_sorted_vec();
        let is_more = keys.len() > self.limit;
        keys.truncate(self.limit);
        let next = keys.last().copied().filter(|_| is_more);
        self.page = Some(FdbPage { rows: keys.into_iter().filter_map(&mut row).collect(), next });
    }

    /// The page, once the scan is complete; or the scan, to go on with.
    ///
    /// # Errors
    /// It is not complete.
    pub fn into_page(self) -> Result<FdbPage, Box<Self>> {
        match self.page {
            Some(page) => Ok(page),
            None => Err(Box::new(self)),
        }
    }
}

/// A cursor as a client sees it: nothing to read anything from.
#[must_use]
pub fn cursor(key: u64) -> String {
    format!("{key:016x}")
}

/// The key behind a cursor.
#[must_use]
pub fn key_of(cursor: &str) -> Option<u64> {
    let is_ours = cursor.len() == 16
        && cursor.bytes().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    u64::from_str_radix(cursor, 16).ok().filter(|_| is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u64) -> FdbRow {
        FdbRow {
            network: "blue".to_owned(),
            vni: 1,
            mac: MacAddr::from_u64(key).to_string(),
            port: None,
            remote_vtep: None,
            kind: EntryKind::Learned,
            age_secs: Some(0),
        }
    }

    /// All pages of a table in no order, looked at in pieces of three.
    fn list(table: &[u64], limit: usize) -> Vec<Vec<String>> {
        let (mut pages, mut after) = (Vec::new(), None);
        loop {
            let mut scan = FdbScan::new(FdbFilter::default(), after, limit);
            let page = loop {
                let from = scan.position(7);
                table.iter().skip(from).take(3).for_each(|key| scan.offer(*key));
                scan.go_on_at(from + 3);
                if from + 3 >= table.len() {
                    scan.complete(|key| Some(row(key)));
                }
                match scan.into_page() {
                    Ok(page) => break page,
                    Err(same) => scan = *same,
                }
            };
            pages.push(page.rows.into_iter().map(|row| row.mac).collect());
            after = page.next;
            if after.is_none() {
                return pages;
            }
        }
    }

    #[test]
    fn pages_together_are_the_table_in_order() {
        let table: Vec<u64> = (1..=100).map(|n| n * 37 % 101).collect();
        let all: Vec<_> = (1..=100).map(|key| row(key).mac).collect();
        for limit in [1, 7, 50, 99, 100, 101, 1000] {
            let pages = list(&table, limit);
            assert_eq!(pages.concat(), all, "{limit}");
            assert_eq!(pages.len(), 100_usize.div_ceil(limit), "{limit}");
        }
        assert_eq!(list(&[], 10), [Vec::<String>::new()]);
    }

    #[test]
    fn entries_that_change_places_make_it_begin_again() {
        let mut scan = FdbScan::new(FdbFilter::default(), None, 10);
        assert_eq!(scan.position(1), 0);
        scan.offer(5);
        scan.go_on_at(3);
        assert_eq!(scan.position(1), 3);
        for layout in 2..=4 {
            assert!(!scan.is_impatient());
            assert_eq!(scan.position(layout), 0);
            scan.go_on_at(3);
        }
        assert!(scan.is_impatient());
        scan.complete(|key| Some(row(key)));
        assert_eq!(scan.into_page().unwrap(), FdbPage::default());
    }

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        for key in [0, 1, 0x0001_0200_0000_0001, u64::MAX] {
            assert_eq!(key_of(&cursor(key)), Some(key));
        }
        for other in ["", "0", "+000000000000001", "000000000000000G", "00000000000000000"] {
            assert_eq!(key_of(other), None, "{other}");
        }
    }
}
