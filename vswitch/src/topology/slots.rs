//! Things at indices that stay theirs for as long as they exist: what the data path's dense indices are made
//! of while the configuration changes.

/// Things by index. An index that is free again is given out again.
#[derive(Clone, Debug)]
pub struct Slots<T> {
    places: Vec<Option<T>>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { places: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// What is at an index.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        self.places.get(index)?.as_ref()
    }

    /// One more than the highest index in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.iter().rposition(Option::is_some).map_or(0, |last| last + 1)
    }

    /// Whether nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything with its index, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.places.iter().enumerate().filter_map(|(index, item)| Some((index, item.as_ref()?)))
    }

    /// Everything with its index, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(index, item)| Some((index, item.as_mut()?)))
    }

    /// Puts something at an index of its own.
    pub fn set(&mut self, index: usize, item: T) {
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        self.places[index] = Some(item);
    }

    /// Takes out what is at an index.
    pub fn take(&mut self, index: usize) -> Option<T> {
        self.places.get_mut(index)?.take()
    }

    /// The lowest index, not below `from`, that is free here and in `other`.
    #[must_use]
    pub fn free_from(&self, from: usize, other: &Self) -> usize {
        let is_free = |index: &usize| self.get(*index).is_none() && other.get(*index).is_none();
        (from..).find(is_free).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_index_is_free_in_both() {
        let (mut old, mut new) = (Slots::default(), Slots::default());
        old.set(0, 'a');
        old.set(2, 'b');
        assert_eq!((old.len(), new.len()), (3, 0));
        new.set(new.free_from(0, &old), 'c');
        new.set(new.free_from(0, &old), 'd');
        assert_eq!(new.iter().collect::<Vec<_>>(), [(1, &'c'), (3, &'d')]);
        assert_eq!((new.get(0), new.get(9)), (None, None));
    }
}
