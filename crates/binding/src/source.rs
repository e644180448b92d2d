//! Where a reader reads: a live market behind its lock, or a frozen copy.
//!
//! Objects of Python are never made while a book's lock is held: everything is copied out first.

use std::sync::Arc;

use depthcache_book::frozen::Frozen;
use depthcache_book::market::MarketCell;
use depthcache_book::query::{ReadPolicy, Reading};
use depthcache_book::status::Refusal;
use pyo3::prelude::*;

use crate::errors;
use crate::fork::OwnerProcess;

/// A market or a frozen copy of one.
#[derive(Clone)]
pub enum Source {
    /// A market fed by hand.
    Offline(Arc<MarketCell>),
    /// A live market of a client.
    Live(Arc<MarketCell>, Arc<OwnerProcess>),
    /// A constant copy.
    Frozen(Arc<Frozen>),
}

/// Which state of a book a result was read from.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The version of the market; no market has 0.
    version: u64,
    updated_ns: Option<i64>,
}

/// The version of what never changes.
const CONSTANT: u64 = 1;

impl PartialEq for Source {
    /// The same market, or equal copies.
    fn eq(&self, other: &Source) -> bool {
        match (self, other) {
            (Source::Frozen(one), Source::Frozen(two)) => Arc::ptr_eq(one, two) || one == two,
            (
                Source::Offline(one) | Source::Live(one, _),
                Source::Offline(two) | Source::Live(two, _),
            ) => Arc::ptr_eq(one, two),
            _ => false,
        }
    }
}

impl Source {
    /// Copy something out in one consistent look.
    ///
    /// The interpreter is kept unless another thread holds the book: winning it back from a busy
    /// program costs far more than a read.
    pub fn look<T: Send>(
        &self,
        py: Python<'_>,
        copy: impl Fn(&dyn Reading) -> T + Send + Sync,
    ) -> T {
        self.look_at_version(py, |book, _| copy(book))
    }

    #[inline]
    fn look_at_version<T: Send>(
        &self,
        py: Python<'_>,
        copy: impl Fn(&dyn Reading, u64) -> T + Send + Sync,
    ) -> T {
        match self {
            Source::Frozen(frozen) => copy(&**frozen, CONSTANT),
            Source::Live(_, owner) if !owner.is_current() => copy(&owner.closed(), 0),
            Source::Offline(cell) | Source::Live(cell, _) => {
                self.look_at_clock();
                if let Some(market) = cell.try_read() {
                    return copy(&*market, market.version());
                }
                py.detach(|| {
                    let market = cell.read();
                    copy(&*market, market.version())
                })
            }
        }
    }

    /// Whether what was read then is what a read would give now.
    #[inline]
    pub fn holds(&self, read: &Stamp, policy: ReadPolicy) -> bool {
        let version = match self {
            Source::Frozen(_) => CONSTANT,
            Source::Live(_, owner) if !owner.is_current() => return false,
            Source::Offline(cell) | Source::Live(cell, _) => {
                self.look_at_clock();
                cell.version()
            }
        };
        read.version == version && policy.takes_age_of(read.updated_ns, || self.now_ns())
    }

    /// The same for large copies: the interpreter is released.
    pub fn look_long<T: Send>(
        &self,
        py: Python<'_>,
        copy: impl Fn(&dyn Reading) -> T + Send + Sync,
    ) -> T {
        py.detach(|| self.look_alone(copy))
    }

    /// The same for a caller without the interpreter.
    pub fn look_alone<T>(&self, copy: impl FnOnce(&dyn Reading) -> T) -> T {
        match self {
            Source::Frozen(frozen) => copy(&**frozen),
            Source::Live(_, owner) if !owner.is_current() => copy(&owner.closed()),
            Source::Offline(cell) | Source::Live(cell, _) => {
                self.look_at_clock();
                copy(&*cell.read())
            }
        }
    }

    /// Call this before taking the lock of a book: after a pause, the first reader marks the books stale.
    #[inline]
    pub fn look_at_clock(&self) {
        if let Source::Live(_, owner) = self {
            owner.look();
        }
    }

    /// Copy levels out, or raise why they may not be read.
    pub fn read<T: Send>(
        &self,
        py: Python<'_>,
        policy: ReadPolicy,
        copy: impl Fn(&dyn Reading) -> T + Send + Sync,
    ) -> PyResult<T> {
        let result = self.look(py, |book| self.check(book, policy).map(|()| copy(book)));
        self.or_raise(py, result)
    }

    /// The same, and which state of the book it was read from.
    pub fn read_stamped<T: Send>(
        &self,
        py: Python<'_>,
        policy: ReadPolicy,
        copy: impl Fn(&dyn Reading) -> T + Send + Sync,
    ) -> PyResult<(Stamp, T)> {
        let result = self.look_at_version(py, |book, version| {
            self.check(book, policy)?;
            let updated_ns = policy.max_age_ns.and_then(|_| book.updated_ns());
            Ok((
                Stamp {
                    version,
                    updated_ns,
                },
                copy(book),
            ))
        });
        self.or_raise(py, result)
    }

    /// Whether the levels of the book, which is this one, may be read.
    #[inline]
    pub fn check(&self, book: &(impl Reading + ?Sized), policy: ReadPolicy) -> Result<(), Refusal> {
        policy.check(book, || self.now_ns())
    }

    /// Now, on the clock that stamps the book; 0 where none does.
    fn now_ns(&self) -> i64 {
        match self {
            Source::Live(_, owner) => owner.now_ns(),
            Source::Offline(_) | Source::Frozen(_) => 0,
        }
    }

    /// What was read, or the Python error of why it may not be.
    pub fn or_raise<T>(&self, py: Python<'_>, result: Result<T, Refusal>) -> PyResult<T> {
        result.map_err(|why| {
            let (exchange, symbol) = self.names(py);
            let of = errors::Refusing {
                kind: match self {
                    Source::Frozen(_) => "frozen",
                    Source::Offline(_) => "offline",
                    Source::Live(..) => "live",
                },
                is_known: self.look(py, |book| book.readable(true).is_ok()),
            };
            errors::refused(py, &exchange, &symbol, &why, of)
        })
    }

    /// The names of exchange and symbol; the symbol is empty while it is not known.
    pub fn names(&self, py: Python<'_>) -> (String, String) {
        self.look(py, |book| {
            (
                book.exchange().to_owned(),
                book.symbol().unwrap_or_default().to_owned(),
            )
        })
    }
}

/// A book to be read.
#[derive(Clone, Copy)]
pub struct ReadRequest<'a> {
    pub source: &'a Source,
    pub policy: ReadPolicy,
}
