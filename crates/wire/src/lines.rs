//! Levels as lines of text, to compare books and compute digests.

use depthcache_book::query::LevelRun;

/// One line per level: `b PRICE QUANTITY` for bids, then `a PRICE QUANTITY` for asks, best first, with the
/// number of digits that the exchange sends.
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
