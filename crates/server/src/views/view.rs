//! What a subscriber sees of a book: some levels, perhaps in coarser steps, and how two such views differ.

use depthcache_book::analytics::{Exact, grouped};
use depthcache_book::follow::{Mode, OnStale};
use depthcache_book::frozen::Frozen;
use depthcache_book::query::{LevelRun, Number, NumberLevel, Reading, Side};
use depthcache_wire::Numbers;

/// What a subscriber sees of a book, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// When there is a message.
    pub mode: Mode,
    /// Levels a side, or groups of them; `usize::MAX` for all.
    pub levels: usize,
    /// The step of prices that levels are summed up to; None for the book's own prices.
    pub group: Option<Number>,
    /// Between two messages of the mode interval.
    pub interval_ms: u32,
    /// What is said of a book that is not synced.
    pub on_stale: OnStale,
    /// How prices and quantities are written.
    pub numbers: Numbers,
}

impl View {
    /// Levels a side that a copy of the book needs for it.
    pub fn needed_levels(&self) -> usize {
        match self.group {
            Some(_) => usize::MAX,
            None => self.levels,
        }
    }

    /// Whether each update is a message, even one that changes nothing that is seen.
    pub fn is_every(&self) -> bool {
        self.mode == Mode::Every
    }

    /// A name of the view, the same for the same parameters: `latest,20`, `interval,all,group=0.5,100ms`.
    pub fn name(&self) -> String {
        let mut name = mode_word(self.mode).to_owned();
        if matches!(self.mode, Mode::Best | Mode::Status) {
            return name + &self.rest();
        }
        name += &match self.levels {
            usize::MAX => ",all".to_owned(),
            levels => format!(",{levels}"),
        };
        if let Some(step) = self.group {
            name += &format!(",group={step}");
        }
        if self.mode == Mode::Interval {
            name += &format!(",{}ms", self.interval_ms);
        }
        name + &self.rest()
    }

    fn rest(&self) -> String {
        let numbers = match self.numbers {
            Numbers::Text => "",
            Numbers::Float => ",exact=false",
        };
        let on_stale = match self.on_stale {
            OnStale::Raise => "",
            OnStale::Serve => ",on_stale=serve",
            OnStale::Wait => ",on_stale=wait",
        };
        format!("{numbers}{on_stale}")
    }
}

/// The words of the modes.
pub const MODES: [(&str, Mode); 6] = [
    ("every", Mode::Every),
    ("latest", Mode::Latest),
    ("interval", Mode::Interval),
    ("best", Mode::Best),
    ("levels", Mode::Levels),
    ("status", Mode::Status),
];

fn mode_word(mode: Mode) -> &'static str {
    let found = MODES.into_iter().find(|(_, each)| *each == mode);
    found.map_or("", |(word, _)| word)
}

/// Both sides of a view at one update id.
#[derive(Clone, Debug)]
pub struct Sides {
    pub bids: LevelRun,
    pub asks: LevelRun,
}

impl Sides {
    /// What a view shows of a book.
    pub fn of(view: &View, book: &Frozen) -> Sides {
        let side = |side| match view.group {
            None => book.levels(side, 0, view.levels),
            Some(step) => in_steps(book, side, step, view.levels),
        };
        Sides {
            bids: side(Side::Bids),
            asks: side(Side::Asks),
        }
    }

    /// Whether every level that was asked for is proven.
    pub fn complete(&self) -> bool {
        self.bids.complete && self.asks.complete
    }

    /// What makes one view out of another: levels that are new or have another quantity, and those that are gone,
    /// with the quantity 0. None where prices are written otherwise (with other decimals), so that readers who keep
    /// levels by the text of their price must start over.
    pub fn changes_to(&self, newer: &Sides) -> Option<Sides> {
        Some(Sides {
            bids: changes(&self.bids, &newer.bids, Side::Bids)?,
            asks: changes(&self.asks, &newer.asks, Side::Asks)?,
        })
    }

    /// Whether neither side has a level.
    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    /// Bytes of memory that the levels take.
    pub fn memory_bytes(&self) -> usize {
        self.bids.memory_bytes() + self.asks.memory_bytes()
    }
}

fn in_steps(book: &Frozen, side: Side, step: Number, groups: usize) -> LevelRun {
    let found = grouped(book, side, step, groups);
    let run = book.run(side);
    let price_scale = run.price_scale.max(step.scale);
    let number = |exact: &Exact, scale| {
        let wide = Number {
            mantissa: i128::MAX, // more than 38 digits, which no exchange has
            scale,
        };
        exact.number().unwrap_or(wide)
    };
    let levels: Vec<NumberLevel> = found
        .groups
        .iter()
        .map(|group| NumberLevel {
            price: number(&group.price, price_scale),
            quantity: number(&group.quantity, run.quantity_scale),
        })
        .collect();
    LevelRun::of(&levels, found.complete)
}

fn changes(older: &LevelRun, newer: &LevelRun, side: Side) -> Option<LevelRun> {
    let is_other_scale = older.price_scale != newer.price_scale;
    if is_other_scale && !older.is_empty() && !newer.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    let (mut old, mut new) = (older.iter().peekable(), newer.iter().peekable());
    loop {
        match (old.peek().copied(), new.peek().copied()) {
            (None, None) => break,
            (Some(gone), None) => {
                found.push(deleted(gone));
                old.next();
            }
            (None, Some(level)) => {
                found.push(level);
                new.next();
            }
            (Some(gone), Some(level)) if gone.price.is_same(level.price) => {
                if !gone.quantity.is_same(level.quantity) {
                    found.push(level);
                }
                old.next();
                new.next();
            }
            (Some(gone), Some(level)) => {
                let is_above = gone.price.is_at_least(level.price);
                if is_above == (side == Side::Bids) {
                    found.push(deleted(gone)); // better than all that is left of the newer one
                    old.next();
                } else {
                    found.push(level);
                    new.next();
                }
            }
        }
    }
    Some(LevelRun::of(&found, newer.complete))
}

fn deleted(level: NumberLevel) -> NumberLevel {
    let quantity = Number {
        mantissa: 0,
        ..level.quantity
    };
    NumberLevel { quantity, ..level }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use depthcache_book::market::sequence::Continuity;
    use depthcache_book::offline::OfflineBook;

    use super::*;

    fn view(levels: usize, group: Option<(i128, u8)>) -> View {
        View {
            mode: Mode::Latest,
            levels,
            group: group.map(|(mantissa, scale)| Number { mantissa, scale }),
            interval_ms: 0,
            on_stale: OnStale::Raise,
            numbers: Numbers::Text,
        }
    }

    fn offline() -> OfflineBook {
        let book = OfflineBook::new("binance.com", Some("X"), Continuity::Contiguous, 1 << 20);
        let levels = |first: i64, step: i64| {
            let each = (0..30).map(|n| format!(r#"["{}.00","{}.5"]"#, first + n * step, n + 1));
            each.collect::<Vec<_>>().join(",")
        };
        let body = format!(
            r#"{{"lastUpdateId":100,"bids":[{}],"asks":[{}]}}"#,
            levels(1_000, -1),
            levels(1_001, 1)
        );
        book.load_snapshot(body.as_bytes(), Some(100), None)
            .expect("it fits");
        book
    }

    fn frozen(book: &OfflineBook) -> Frozen {
        book.cell().lock().freeze(usize::MAX)
    }

    fn apply(book: &OfflineBook, id: i64, bids: &str) {
        let frame =
            format!(r#"{{"e":"depthUpdate","E":1,"s":"X","U":{id},"u":{id},"b":{bids},"a":[]}}"#);
        book.apply(frame.as_bytes()).expect("a diff");
    }

    fn texts(run: &LevelRun) -> Vec<(String, String)> {
        let text = |level: NumberLevel| (level.price.to_string(), level.quantity.to_string());
        run.iter().map(text).collect()
    }

    /// As a reader keeps them: by the text of the price.
    fn mirrored(held: &LevelRun, changes: &LevelRun) -> BTreeMap<String, String> {
        let mut mirror: BTreeMap<String, String> = texts(held).into_iter().collect();
        for (price, quantity) in texts(changes) {
            match quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                true => mirror.remove(&price).expect("only what is held is deleted"),
                false => mirror.insert(price, quantity).unwrap_or_default(),
            };
        }
        mirror
    }

    #[test]
    fn a_level_that_leaves_the_window_is_deleted_and_one_that_enters_is_set() {
        let (book, view) = (offline(), view(3, None));
        let before = Sides::of(&view, &frozen(&book));
        apply(&book, 101, r#"[["1000.50","7"],["980.00","0"]]"#);
        let after = Sides::of(&view, &frozen(&book));
        let changes = before.changes_to(&after).expect("as many decimals");
        let expected = [("1000.50", "7.0"), ("998.00", "0.0")];
        let expected = expected.map(|(price, quantity)| (price.to_owned(), quantity.to_owned()));
        assert_eq!(texts(&changes.bids), expected);
        assert!(changes.asks.is_empty());
        let back = after.changes_to(&before).expect("as many decimals");
        assert_eq!(texts(&back.bids)[1].0, "998.00");
        assert_eq!(texts(&back.bids)[0].1, "0.0");
    }

    #[test]
    fn groups_sum_up_bids_downwards_and_asks_upwards() {
        let (book, view) = (offline(), view(2, Some((5, 0))));
        let sides = Sides::of(&view, &frozen(&book));
        // 1000 alone; 999, 998, 997, 996 and 995. Of the asks 1001 to 1005 at 1005.
        let expected = |price: &str, quantity: &str| (price.to_owned(), quantity.to_owned());
        let bids = [expected("1000.00", "1.5"), expected("995.00", "22.5")];
        assert_eq!(texts(&sides.bids), bids);
        assert_eq!(texts(&sides.asks)[0], expected("1005.00", "17.5"));
        assert!(sides.complete());
    }

    #[test]
    fn changes_lead_from_any_view_to_the_next() {
        for (levels, group) in [
            (1, None),
            (4, None),
            (usize::MAX, None),
            (3, Some((25, 1))),
            (usize::MAX, Some((7, 0))),
        ] {
            let (book, view) = (offline(), view(levels, group));
            let mut before = Sides::of(&view, &frozen(&book));
            for id in 101..301 {
                let price = 970 + id * 37 % 31;
                let quantity = id * 13 % 4;
                apply(&book, id, &format!(r#"[["{price}.00","{quantity}"]]"#));
                let after = Sides::of(&view, &frozen(&book));
                let changes = before.changes_to(&after).expect("as many decimals");
                let held: BTreeMap<String, String> = texts(&after.bids).into_iter().collect();
                assert_eq!(mirrored(&before.bids, &changes.bids), held, "{view:?} {id}");
                before = after;
            }
        }
    }

    #[test]
    fn other_decimals_start_over() {
        let (book, view) = (offline(), view(3, None));
        let before = Sides::of(&view, &frozen(&book));
        apply(&book, 101, r#"[["1000.125","7"]]"#);
        assert!(
            before
                .changes_to(&Sides::of(&view, &frozen(&book)))
                .is_none()
        );
    }

    #[test]
    fn a_view_has_a_name_of_its_own() {
        let mut one = view(20, Some((50, 2)));
        assert_eq!(one.name(), "latest,20,group=0.50");
        one = View {
            mode: Mode::Interval,
            levels: usize::MAX,
            group: None,
            interval_ms: 100,
            on_stale: OnStale::Serve,
            numbers: Numbers::Float,
        };
        assert_eq!(one.name(), "interval,all,100ms,exact=false,on_stale=serve");
        one.mode = Mode::Best;
        one.on_stale = OnStale::Wait;
        one.numbers = Numbers::Text;
        assert_eq!(one.name(), "best,on_stale=wait");
    }
}
