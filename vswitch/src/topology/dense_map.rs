//! A map from small indices that stay the same for as long as the thing exists: the data path
//! indexes its arrays with them.

/// Things by index. A removed thing leaves a gap.
#[derive(Clone, Debug)]
pub struct DenseMap<T> {
    entries: Vec<Option<T>>,
}

impl<T> Default for DenseMap<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> DenseMap<T> {
    /// The thing at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_ref()
    }

    /// One more than the highest index in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// Whether no index is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything with its index, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// Everything with its index, lowest first, mutable.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        let entries = self.entries.iter_mut().enumerate();
        entries.filter_map(|(index, item)| Some((index, item.as_mut()?)))
    }

    /// Puts a thing at an index.
    pub fn set(&mut self, index: usize, item: T) {
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(item);
    }

    /// Takes out the thing at an index.
    pub fn take(&mut self, index: usize) -> Option<T> {
        self.entries.get_mut(index)?.take()
    }

    /// The indices that are not in use, lowest first, without end.
    pub fn free(&self) -> impl Iterator<Item = usize> + '_ {
        (0..).filter(|index| self.get(*index).is_none())
    }
}

impl<T> std::ops::Index<usize> for DenseMap<T> {
    type Output = T;

    /// # Panics
    /// The index is not in use.
    fn index(&self, index: usize) -> &T {
        self.entries[index].as_ref().unwrap_or_else(|| panic!("index {index} is not in use"))
    }
}

impl<T> FromIterator<(usize, T)> for DenseMap<T> {
    fn from_iter<I: IntoIterator<Item = (usize, T)>>(items: I) -> Self {
        let mut map = Self::default();
        for (index, item) in items {
            map.set(index, item);
        }
        map
    }
}

/// More things of a kind than there are indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is room for {most} {what} at one time, those that a change removes included\n  \
     help: have fewer, or remove some first, in a change of its own"
)]
pub struct TooMany {
    pub(super) what: &'static str,
    pub(super) most: usize,
}

/// An index for each thing: the one that it has in `before`, or else one that is free there. So an
/// index never passes from one thing to another directly.
pub(super) fn assign<T>(
    known: impl IntoIterator<Item = Option<usize>>,
    before: &DenseMap<T>,
    most: usize,
    what: &'static str,
) -> Result<Vec<u16>, TooMany> {
    let mut free = before.free();
    let index = |known: Option<usize>| {
        let index = known.or_else(|| free.next()).filter(|index| *index < most);
        index.and_then(|index| u16::try_from(index).ok()).ok_or(TooMany { what, most })
    };
    known.into_iter().map(index).collect()
}

/// An index that `assign` has checked.
#[must_use]
pub fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_thing_gets_an_index_that_is_free_before_and_after() {
        let before: DenseMap<char> = [(0, 'a'), (2, 'b')].into_iter().collect();
        assert_eq!(before.len(), 3);
        assert_eq!(assign([None, Some(2), None], &before, 4, "letters").unwrap(), [1, 2, 3]);
        let too_many = assign([None, Some(2), None], &before, 3, "letters").unwrap_err();
        assert_eq!(too_many, TooMany { what: "letters", most: 3 });
        assert_eq!((before.get(1), before.get(9), before[2]), (None, None, 'b'));
    }
}
