//! A map from small indices that stay the same for as long as the thing exists: the data path
//! indexes its arrays with them.

/// Things by index. An index that is free again is given out again.
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
    /// What is at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.entries.get(index)?.as_ref()
    }

    /// One more than the highest index in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything with its index, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// Everything with its index, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.entries
            .iter_mut()
            .enumerate()
            .filter_map(|(index, item)| Some((index, item.as_mut()?)))
    }

    /// Puts something at an index of its own.
    pub fn set(&mut self, index: usize, item: T) {
        if self.entries.len() <= index {
            self.entries.resize_with(index + 1, || None);
        }
        self.entries[index] = Some(item);
    }

    /// Takes out what is at an index.
    pub fn take(&mut self, index: usize) -> Option<T> {
        self.entries.get_mut(index)?.take()
    }

    /// The lowest index, not below `from`, that is free here and in `other`.
    #[must_use]
    pub fn free_from(&self, from: usize, other: &Self) -> usize {
        let is_free = |index: &usize| self.get(*index).is_none() && other.get(*index).is_none();
        (from..).find(is_free).unwrap_or(usize::MAX)
    }
}

/// More of something than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is room for {most} {what} at one time, those that a change removes included\n  \
     help: have fewer, or remove some first, in a change of its own"
)]
pub struct TooMany {
    pub(super) what: &'static str,
    pub(super) most: usize,
}

/// Gives each item an index: the one that `known` has for it, or a free one.
pub(super) fn assign<T>(
    items: Vec<(Option<usize>, T)>,
    before: &DenseMap<T>,
    most: usize,
    what: &'static str,
) -> Result<(Vec<u16>, DenseMap<T>), TooMany> {
    let mut placed = DenseMap::default();
    let mut next = 0;
    let mut indices = Vec::new();
    for (known, item) in items {
        let index = match known {
            Some(index) => index,
            None => placed.free_from(next, before),
        };
        if known.is_none() {
            next = index + 1;
        }
        let narrow = u16::try_from(index).ok().filter(|_| index < most);
        indices.push(narrow.ok_or(TooMany { what, most })?);
        placed.set(index, item);
    }
    Ok((indices, placed))
}

/// An index, which [`assign`] has checked.
#[must_use]
pub fn narrow(index: usize) -> u16 {
    u16::try_from(index).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_index_is_free_in_both() {
        let (mut old, mut new) = (DenseMap::default(), DenseMap::default());
        old.set(0, 'a');
        old.set(2, 'b');
        assert_eq!((old.len(), new.len()), (3, 0));
        new.set(new.free_from(0, &old), 'c');
        new.set(new.free_from(0, &old), 'd');
        assert_eq!(new.iter().collect::<Vec<_>>(), [(1, &'c'), (3, &'d')]);
        assert_eq!((new.get(0), new.get(9)), (None, None));
    }
}
