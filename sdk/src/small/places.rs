//! The order of things that lie elsewhere, as numbers of their places. This is the code that exists once.

use std::cmp::Ordering;

/// Places in a piece before it is cut into two.
const MOST: usize = 512;

/// All numbers below `count`, sorted.
pub(super) fn sorted(count: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by(|one, other| compare(*one, *other));
    order
}

/// Brings things into an order of their places, by swaps: what is done stays, and a place that is done says where what was there
/// has gone.
pub(super) fn arrange(mut order: Vec<usize>, swap: &mut dyn FnMut(usize, usize)) {
    for place in 0..order.len() {
        let mut from = order[place];
        while from < place {
            from = order[from];
        }
        swap(place, from);
        order[place] = from;
    }
}

/// Places in an order, in pieces of bounded length, so that one more costs little however many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<Vec<usize>>);

/// Where something stands in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    piece: usize,
    within: usize,
}

impl Places {
    /// The place for which `compare` says that it is the one, or where it would stand. `compare` tells how a place stands to what
    /// is looked for.
    pub(super) fn find(&self, compare: &dyn Fn(usize) -> Ordering) -> Result<(usize, At), At> {
        // The last piece whose first is not behind it.
        let piece = self.0.partition_point(|piece| piece.first().is_some_and(|first| compare(*first).is_le()));
        let piece = piece.saturating_sub(1);
        match self.0.get(piece).map_or(Err(0), |piece| piece.binary_search_by(|place| compare(*place))) {
            Ok(within) => Ok((self.0[piece][within], At { piece, within })),
            Err(within) => Err(At { piece, within }),
        }
    }

    /// Puts a place there.
    pub(super) fn insert(&mut self, at: At, place: usize) {
        if self.0.is_empty() {
            self.0.push(Vec::new());
        }
        let piece = &mut self.0[at.piece];
        piece.insert(at.within, place);
        if piece.len() > MOST {
            let tail = piece.split_off(MOST / 2);
            self.0.insert(at.piece + 1, tail);
        }
    }

    /// Takes the place out that stands there. The place of the last of all things is now this one's: who removes by swapping has
    /// put it there.
    pub(super) fn remove(&mut self, at: At, last: At, place: usize) {
        self.0[last.piece][last.within] = place;
        let piece = &mut self.0[at.piece];
        piece.remove(at.within);
        if piece.is_empty() {
            self.0.remove(at.piece);
        }
    }

    /// All places in their order.
    pub(super) fn iter(&self) -> std::iter::Flatten<std::slice::Iter<'_, Vec<usize>>> {
        self.0.iter().flatten()
    }

    /// All places in their order, as one list.
    pub(super) fn into_list(self) -> Vec<usize> {
        self.0.concat()
    }

    /// The first and the last place.
    pub(super) fn ends(&self) -> Option<(usize, usize)> {
        Some((*self.0.first()?.first()?, *self.0.last()?.last()?))
    }
}
