//! Circles between files that use each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::uses::Uses;

/// The sets of files in which each reaches each by uses. A file in none of them is in no circle.
pub fn knots(uses: &Uses) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses
        .all()
        .map(|use_| use_.by)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .map(|file| (file, reach(uses, file)))
        .collect();
    let mut knots = BTreeSet::new();
    for (file, ahead) in &reached {
        if ahead.contains(file) {
            let back = |other: &&&str| reached.get(*other).is_some_and(|set| set.contains(file));
            knots.insert(ahead.iter().filter(back).map(|file| (*file).to_owned()).collect());
        }
    }
    knots.into_iter().collect()
}

fn reach<'a>(uses: &'a Uses, from: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(file) = next.pop() {
        next.extend(uses.by(file).map(|use_| use_.of).filter(|file| reached.insert(*file)));
    }
    reached
}

/// The uses of the shortest circle through a file, in words.
pub fn shortest(uses: &Uses, file: &str) -> Vec<String> {
    let mut ways = VecDeque::from([Vec::new()]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let end = way.last().map_or(file, |use_: &crate::uses::Use| use_.of);
        for use_ in uses.by(end) {
            let mut way = way.clone();
            way.push(use_);
            if use_.of == file {
                return way.iter().map(ToString::to_string).collect();
            }
            if seen.insert(use_.of) {
                ways.push_back(way);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uses::tests::of;

    #[test]
    fn circles_are_found_and_told_apart() {
        let uses = of(&[
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e; mod f;"),
            ("a.rs", "use crate::b::B; pub struct A;"),
            ("b.rs", "use crate::c::C; pub struct B;"),
            ("c.rs", "use crate::a::A; use crate::f::F; pub struct C;"),
            ("d.rs", "use crate::e::E; use crate::a::A; pub struct D;"),
            ("e.rs", "use crate::d::D; pub struct E;"),
            ("f.rs", "pub struct F;"),
        ]);
        let knots: Vec<Vec<String>> =
            knots(&uses).into_iter().map(|knot| knot.into_iter().collect()).collect();
        assert_eq!(knots, [vec!["a.rs", "b.rs", "c.rs"], vec!["d.rs", "e.rs"]]);
        assert_eq!(shortest(&uses, "e.rs"), ["e.rs uses d.rs: D", "d.rs uses e.rs: E"]);
    }
}
