//! Levels as lines of text: what two books are compared by, and what a digest is made of.

use depthcache_book::query::LevelRun;

/// One line a level, `b PRICE QUANTITY` for bids, then `a PRICE QUANTITY` for asks, best first, numbers at
/// the width in which the exchange sends them.
pub fn level_lines(out: &mut Vec<u8>, bids: &LevelRun, asks: &LevelRun) {
    for (letter, run) in [(b'b', bids), (b'a', asks)] {
        for level in run.iter() {
            out.extend_from_slice(&[letter, b' ']);
            level.price.append_to(out);
            out.push(b' ');
            level.quantity.append_to(out);
            out.push(b'\n');
        }
    }
}
