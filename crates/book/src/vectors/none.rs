//! Processors without vector instructions that are used here: nobody has an `Avx2`.

use super::{NEAR, Power, WINDOW, Work};

/// Never there.
#[derive(Clone, Copy, Debug)]
pub enum Avx2 {}

/// Never there.
#[derive(Clone, Copy, Debug)]
pub struct Form(());

/// A level that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its price.
    pub price: i64,
    /// Its quantity.
    pub quantity: i64,
    /// Where its closing quote is, counted from `AT`.
    pub close: usize,
    /// The eight bytes from that quote on.
    pub behind: u64,
}

/// For tests: there is nothing to do without.
pub fn use_portable(_portable: bool) {}

#[allow(missing_docs)]
impl Avx2 {
    #[inline(always)]
    pub fn get() -> Option<Avx2> {
        None
    }

    pub fn perform<W: Work>(self, _work: W) -> W::Output {
        match self {}
    }

    pub fn form(self, _price_places: u8, _quantity_places: u8) -> Form {
        match self {}
    }

    pub fn quotes(self, _window: &[u8; WINDOW]) -> u64 {
        match self {}
    }

    pub fn level(
        self,
        _window: &[u8; WINDOW],
        _form: &Form,
        _start: usize,
        _quotes: &mut u64,
    ) -> Option<Found> {
        match self {}
    }

    pub fn level_at_end(self, _window: &[u8; WINDOW], _form: &Form, _at: usize) -> Option<Found> {
        match self {}
    }

    pub fn are_near(self, _text: &[[u8; 32]], _other: &[[u8; 32]], _most: &[[u8; 32]]) -> bool {
        match self {}
    }

    pub fn count_below_of_8(self, _numbers: &[i64; 8], _limit: i64) -> usize {
        match self {}
    }

    pub fn count_above_of_16(self, _numbers: &[i64; 16], _limit: i64) -> usize {
        match self {}
    }

    pub fn count_below_of_16(self, _numbers: &[i64; 16], _limit: i64) -> usize {
        match self {}
    }

    pub fn equal(self, _some: &[i64; 8], _others: &[i64; 8]) -> u32 {
        match self {}
    }

    pub fn append_rows(
        self,
        _rows: &mut Vec<[f64; 2]>,
        _pairs: (&[i64], &[i64]),
        _sign: i64,
        _powers: [Power; 2],
    ) -> u64 {
        match self {}
    }

    pub fn append_quotients(
        self,
        _quotients: &mut Vec<f64>,
        _numbers: &[i64],
        _sign: i64,
        _power: Power,
    ) -> u64 {
        match self {}
    }

    pub fn zeros(self, _numbers: &[i64; NEAR]) -> u32 {
        match self {}
    }

    pub fn shift(self, _numbers: &mut [i64; NEAR], _number: i64, _slot: usize, _last: usize) {
        match self {}
    }
}
