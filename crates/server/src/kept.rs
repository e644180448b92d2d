//! Encoded books, given again for as long as nothing of them changed: one version of a book, one encoding of a view.

use bytes::Bytes;
use depthcache_wire::Numbers;
use http::HeaderValue;
use parking_lot::Mutex;

use crate::source::Version;

/// Views of one book that are kept; the oldest makes room.
const VIEWS: usize = 4;

/// Longer bodies are rare and are not kept.
const MOST_BYTES: usize = 64 << 10;

/// What a body was made of. The same of all of it makes the same body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptView {
    pub version: Version,
    /// By which the wall clock is ahead of the clock of the stamps.
    pub wall_offset_ns: Option<i64>,
    pub levels: usize,
    pub numbers: Numbers,
}

/// A body and what a response says beside it.
#[derive(Clone, Debug)]
pub struct KeptBody {
    pub view: KeptView,
    /// When the book was last updated, for a limit of its age.
    pub updated_ns: Option<i64>,
    pub tag: HeaderValue,
    pub body: Bytes,
}

/// The bodies of one book, of reads without an error alone. The lock is never waited for: who finds it held encodes
/// the book.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Views>);

#[derive(Debug, Default)]
struct Views {
    bodies: [Option<KeptBody>; VIEWS],
    next: usize,
}

impl Kept {
    /// The body of a view.
    pub fn get(&self, view: &KeptView) -> Option<KeptBody> {
        let views = self.0.try_lock()?;
        let found = views
            .bodies
            .iter()
            .flatten()
            .find(|each| each.view == *view);
        found.cloned()
    }

    /// Keep a body in the place of an older one of the same view, or of the oldest.
    pub fn keep(&self, kept: KeptBody) {
        if kept.body.len() > MOST_BYTES {
            return;
        }
        let Some(mut views) = self.0.try_lock() else {
            return;
        };
        let same = |each: &Option<KeptBody>| {
            each.as_ref().is_some_and(|each| {
                (each.view.levels, each.view.numbers) == (kept.view.levels, kept.view.numbers)
            })
        };
        let place = views.bodies.iter().position(same).unwrap_or_else(|| {
            let next = views.next;
            views.next = (next + 1) % VIEWS;
            next
        });
        views.bodies[place] = Some(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(market: u64) -> Version {
        Version { source: 0, market }
    }

    fn kept(market: u64, levels: usize) -> KeptBody {
        KeptBody {
            view: KeptView {
                version: version(market),
                wall_offset_ns: None,
                levels,
                numbers: Numbers::Text,
            },
            updated_ns: None,
            tag: HeaderValue::from_static("W/\"1\""),
            body: Bytes::from(format!("{market} {levels}")),
        }
    }

    #[test]
    fn a_body_is_given_for_its_view_alone() {
        let all = Kept::default();
        all.keep(kept(1, 5));
        assert_eq!(all.get(&kept(1, 5).view).expect("kept").body, "1 5");
        for other in [
            KeptView {
                version: version(2),
                ..kept(1, 5).view
            },
            KeptView {
                version: Version {
                    source: 1,
                    market: 1,
                },
                ..kept(1, 5).view
            },
            KeptView {
                levels: 6,
                ..kept(1, 5).view
            },
            KeptView {
                numbers: Numbers::Float,
                ..kept(1, 5).view
            },
            KeptView {
                wall_offset_ns: Some(1),
                ..kept(1, 5).view
            },
        ] {
            assert!(all.get(&other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_newer_version_takes_the_place_of_its_own_view() {
        let all = Kept::default();
        for version in 1..100 {
            for levels in 0..VIEWS {
                all.keep(kept(version, levels));
            }
            for levels in 0..VIEWS {
                assert!(all.get(&kept(version, levels).view).is_some());
            }
        }
        all.keep(kept(100, VIEWS));
        assert!(all.get(&kept(99, 0).view).is_none(), "the oldest made room");
    }

    #[test]
    fn what_is_too_long_is_not_kept() {
        let all = Kept::default();
        let body = Bytes::from(vec![0; MOST_BYTES + 1]);
        all.keep(KeptBody { body, ..kept(1, 5) });
        assert!(all.get(&kept(1, 5).view).is_none());
    }
}
