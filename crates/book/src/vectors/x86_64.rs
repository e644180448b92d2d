//! AVX2, BMI and their kin, on x86-64.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::sync::atomic::{AtomicU8, Ordering};

use super::{AT, BASE, LAST_START, MOST_PLACES, NEAR, Power, WINDOW, Work};

/// The proof that this processor has the instructions.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

const UNKNOWN: u8 = 0;
const ABSENT: u8 = 1;
const PRESENT: u8 = 2;

/// `PRESENT` only after the processor was asked.
static STATE: AtomicU8 = AtomicU8::new(UNKNOWN);

/// For tests: do without vector instructions, or use them where the processor has them.
pub fn use_portable(portable: bool) {
    STATE.store(if portable { ABSENT } else { UNKNOWN }, Ordering::Relaxed);
}

#[cold]
fn detect() -> Option<Avx2> {
    let present = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("bmi2")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt");
    STATE.store(if present { PRESENT } else { ABSENT }, Ordering::Relaxed);
    present.then_some(Avx2(()))
}

/// How the two numbers of a level are written: with so many decimals each.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Exclusive-or makes digits of figures, and zero of the dot.
    zeros: __m256i,
    /// The most that may be left then: nine of a digit, nothing of the dot.
    most: __m256i,
    /// The bytes a number has at least: its decimals, the dot, one digit.
    least: __m256i,
    /// Brings the digits together, without the dot.
    order: __m256i,
}

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

/// 16 bytes that end with a number of so many decimals, for `Form`.
struct Half {
    zeros: [u8; 16],
    most: [u8; 16],
    least: [u8; 16],
    order: [u8; 16],
}

/// By the number of decimals; the last one is no number's, for more decimals than there may be.
static HALVES: [Half; MOST_PLACES as usize + 2] = {
    const DIGITS: Half = Half {
        zeros: [b'0'; 16],
        most: [9; 16],
        least: [0; 16],
        order: [0; 16],
    };
    const NONE: Half = Half {
        zeros: [0; 16],
        most: [0; 16],
        least: [0xFF; 16],
        order: [0; 16],
    };
    let mut halves = [DIGITS; MOST_PLACES as usize + 2];
    halves[MOST_PLACES as usize + 1] = NONE;
    let mut places = 0;
    while places <= MOST_PLACES as usize {
        let dot = 15 - places;
        let mut at = 0;
        while at < 16 {
            halves[places].order[at] = at as u8;
            if places > 0 && at <= dot {
                halves[places].order[at] = if at == 0 { 0x80 } else { at as u8 - 1 };
            }
            halves[places].least[at] = if at >= dot { 0xFF } else { 0 };
            at += 1;
        }
        if places > 0 {
            halves[places].zeros[dot] = b'.';
            halves[places].most[dot] = 0;
        }
        places += 1;
    }
    halves
};

/// The last 16 bytes from an offset on are ones in as many bytes as the offset says.
static LENGTHS: [u8; 32] = {
    let mut lengths = [0; 32];
    let mut at = 16;
    while at < 32 {
        lengths[at] = 0xFF;
        at += 1;
    }
    lengths
};

impl Avx2 {
    /// The instructions, where the processor has them.
    #[inline(always)]
    pub fn get() -> Option<Avx2> {
        match STATE.load(Ordering::Relaxed) {
            PRESENT => Some(Avx2(())),
            ABSENT => None,
            _ => detect(),
        }
    }

    /// Do work that is compiled for these instructions.
    #[inline(always)]
    pub fn perform<W: Work>(self, work: W) -> W::Output {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        #[inline(never)]
        fn compiled_for_it<W: Work>(vectors: Avx2, work: W) -> W::Output {
            work.run(vectors)
        }
        // SAFETY: there is an `Avx2` only where the processor has these instructions.
        unsafe { compiled_for_it(self, work) }
    }

    /// The form of levels whose numbers have so many decimals; that of no level where they are more than `MOST_PLACES`.
    #[inline(always)]
    pub fn form(self, price_places: u8, quantity_places: u8) -> Form {
        let half = |places: u8| &HALVES[usize::from(places.min(MOST_PLACES + 1))];
        // SAFETY: as above.
        unsafe { form(half(price_places), half(quantity_places)) }
    }

    /// Where quotes are among the 64 bytes of a window from `AT` on, the first in the lowest bit.
    #[inline(always)]
    pub fn quotes(self, window: &[u8; WINDOW]) -> u64 {
        // SAFETY: as above.
        unsafe { quotes(window) }
    }

    /// The level whose price begins `start` bytes behind `AT` (at most `LAST_START`), if both numbers have the decimals
    /// of the form and at most 15 characters, `","` is between them and the price is not zero. `quotes`: those of the window from there on; afterwards
    /// those from its closing one on.
    #[inline(always)]
    pub fn level(
        self,
        window: &[u8; WINDOW],
        form: &Form,
        start: usize,
        quotes: &mut u64,
    ) -> Option<Found> {
        // SAFETY: as above.
        unsafe { level(window, form, start, quotes) }
    }

    /// The same for a level whose price begins at byte `at` (`AT` or later) of the last bytes of a text. `close` of the
    /// result is counted from there, and what is behind the text is zeros.
    #[inline(always)]
    pub fn level_at_end(self, end: &[u8; WINDOW], form: &Form, at: usize) -> Option<Found> {
        // SAFETY: as above.
        unsafe { level_at_end(end, form, at) }
    }

    /// Whether exclusive-or of the bytes of two texts gives at most what is allowed for each; as many as `text` has.
    #[inline(always)]
    pub fn are_near(self, text: &[[u8; 32]], other: &[[u8; 32]], most: &[[u8; 32]]) -> bool {
        // SAFETY: as above.
        unsafe { are_near(text, other, most) }
    }

    /// How many of these ascending numbers are smaller than one.
    #[inline(always)]
    pub fn count_below_of_8(self, numbers: &[i64; 8], limit: i64) -> usize {
        // SAFETY: as above.
        unsafe { count_below_of_8(numbers, limit) }
    }

    /// How many of these numbers are greater than one.
    #[inline(always)]
    pub fn count_above_of_16(self, numbers: &[i64; 16], limit: i64) -> usize {
        // SAFETY: as above.
        unsafe { count_above_of_16(numbers, limit) }
    }

    /// How many of these ascending numbers are smaller than one.
    #[inline(always)]
    pub fn count_below_of_16(self, numbers: &[i64; 16], limit: i64) -> usize {
        // SAFETY: as above.
        unsafe { count_below_of_16(numbers, limit) }
    }

    /// Which of these numbers are equal, the first in the lowest bit.
    #[inline(always)]
    pub fn equal(self, some: &[i64; 8], others: &[i64; 8]) -> u32 {
        // SAFETY: as above.
        unsafe { equal(some, others) }
    }

    /// Write a number to a slot, and move those from there on up by one as far as slot `last`.
    #[inline(always)]
    pub fn shift(self, numbers: &mut [i64; NEAR], number: i64, slot: usize, last: usize) {
        // SAFETY: as above.
        unsafe { shift(numbers, number, slot, last) }
    }

    /// Append levels, from the last to the first, as rows of two quotients; returns all digits, by `or`.
    ///
    /// `sign`: minus one where the price is the negated key, else zero. The quotients are the nearest floats where
    /// the digits are small (`BASE`).
    #[inline(always)]
    pub fn append_rows(
        self,
        rows: &mut Vec<[f64; 2]>,
        (keys, quantities): (&[i64], &[i64]),
        sign: i64,
        powers: [Power; 2],
    ) -> u64 {
        // SAFETY: as above.
        unsafe { append_rows(rows, (keys, quantities), sign, powers) }
    }

    /// Append numbers, from the last to the first, as quotients; the rest as for `append_rows`.
    #[inline(always)]
    pub fn append_quotients(
        self,
        quotients: &mut Vec<f64>,
        numbers: &[i64],
        sign: i64,
        power: Power,
    ) -> u64 {
        // SAFETY: as above.
        unsafe { append_quotients(quotients, numbers, sign, power) }
    }

    /// Which of these numbers are zero, the first in the lowest bit.
    #[inline(always)]
    pub fn zeros(self, numbers: &[i64; NEAR]) -> u32 {
        // SAFETY: as above.
        unsafe { zeros(numbers) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: 16 bytes are there, at any alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_wide(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there, at any alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn pair(low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    _mm256_set_m128i(load(high), load(low))
}

#[inline(always)]
fn part<const N: usize, const LEN: usize>(bytes: &[u8; N], at: usize) -> &[u8; LEN] {
    bytes[at..].first_chunk().expect("inside, by its caller")
}

#[inline]
#[target_feature(enable = "avx2")]
fn form(price: &Half, quantity: &Half) -> Form {
    Form {
        zeros: pair(&price.zeros, &quantity.zeros),
        most: pair(&price.most, &quantity.most),
        least: pair(&price.least, &quantity.least),
        order: pair(&price.order, &quantity.order),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn quotes(window: &[u8; WINDOW]) -> u64 {
    let of = |at: usize| u64::from(quotes_of(part(window, at)));
    of(AT) | of(AT + 32) << 32
}

#[inline]
#[target_feature(enable = "avx2")]
fn quotes_of(text: &[u8; 32]) -> u32 {
    let quote = _mm256_set1_epi8(b'"' as i8);
    _mm256_movemask_epi8(_mm256_cmpeq_epi8(load_wide(text), quote)) as u32
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn level(window: &[u8; WINDOW], form: &Form, start: usize, quotes: &mut u64) -> Option<Found> {
    // The quotes: behind the price, before the quantity, behind it. A missing one counts as byte 64: that the second and
    // the third are where they must be is seen by their bytes, here and by the caller.
    let start = start.min(LAST_START);
    let price_end = quotes.trailing_zeros() as usize;
    *quotes = _blsr_u64(_blsr_u64(*quotes));
    let close = quotes.trailing_zeros() as usize;
    let price_length = price_end.wrapping_sub(start);
    let quantity_length = close.wrapping_sub(price_end + 3);
    if price_length | quantity_length > 15 {
        return None;
    }
    let (price_length, quantity_length) = (price_length & 15, quantity_length & 15);
    let price_end = start + price_length;
    let quantity_end = price_end + 3 + quantity_length;
    let between = u32::from_le_bytes(*part(window, AT + price_end));
    if between & 0xFF_FFFF != BETWEEN_NUMBERS {
        return None;
    }
    let numbers = pair(
        part(window, AT + price_end - 16),
        part(window, AT + quantity_end - 16),
    );
    let (price, quantity) = values(numbers, form, price_length, quantity_length)?;
    let behind = u64::from_le_bytes(*part(window, AT + quantity_end));
    Some(Found {
        price,
        quantity,
        close,
        behind,
    })
}

#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn level_at_end(end: &[u8; WINDOW], form: &Form, at: usize) -> Option<Found> {
    if !(AT..WINDOW).contains(&at) {
        return None;
    }
    let first = u128::from(quotes_of(part(end, 0)));
    let all = first | u128::from(quotes_of(part(end, 32))) << 32;
    let all = all | u128::from(quotes_of(part(end, 64))) << 64;
    let quotes = (all >> at) as u64;
    let price_length = quotes.trailing_zeros() as usize;
    let close = _blsr_u64(_blsr_u64(quotes)).trailing_zeros() as usize;
    let quantity_length = close.wrapping_sub(price_length + 3);
    if price_length | quantity_length > 15 || at + close >= WINDOW {
        return None;
    }
    let (price_length, quantity_length) = (price_length & 15, quantity_length & 15);
    let between: &[u8; 4] = end.get(at + price_length..)?.first_chunk()?;
    if u32::from_le_bytes(*between) & 0xFF_FFFF != BETWEEN_NUMBERS {
        return None;
    }
    let ending = |close: usize| end.get(close - 16..)?.first_chunk();
    let numbers = pair(ending(at + price_length)?, ending(at + close)?);
    let (price, quantity) = values(numbers, form, price_length, quantity_length)?;
    let close_at = at + close;
    let word_at = close_at.min(WINDOW - 8);
    let behind = u64::from_le_bytes(*part(end, word_at)) >> (8 * (close_at - word_at));
    Some(Found {
        price,
        quantity,
        close,
        behind,
    })
}

/// The two numbers that end with each 16 bytes, if they have the form and the price is not zero.
#[inline]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn values(
    numbers: __m256i,
    form: &Form,
    price_length: usize,
    quantity_length: usize,
) -> Option<(i64, i64)> {
    let lengths = pair(
        part(&LENGTHS, price_length),
        part(&LENGTHS, quantity_length),
    );
    let lengths = _mm256_or_si256(lengths, form.least);
    let digits = _mm256_and_si256(_mm256_xor_si256(numbers, form.zeros), lengths);
    let beyond = _mm256_subs_epu8(digits, form.most);
    if _mm256_testz_si256(beyond, beyond) == 0 {
        return None;
    }
    let digits = _mm256_shuffle_epi8(digits, form.order);
    let twos = _mm256_maddubs_epi16(digits, _mm256_set1_epi16(0x010A));
    let fours = _mm256_madd_epi16(twos, _mm256_set1_epi32(0x0001_0064));
    let fours = _mm256_packus_epi32(fours, fours);
    let eights = _mm256_madd_epi16(fours, _mm256_set1_epi32(0x0001_2710));
    let high = _mm256_mul_epu32(eights, _mm256_set1_epi64x(100_000_000));
    let values = _mm256_add_epi64(high, _mm256_srli_epi64::<32>(eights));
    let price = _mm_cvtsi128_si64(_mm256_castsi256_si128(values));
    let quantity = _mm_cvtsi128_si64(_mm256_extracti128_si256::<1>(values));
    if (price - 1) | quantity < 0 {
        return None; // the price is zero; the quantity is here so that the compiler takes it out of the vector now
    }
    Some((price, quantity))
}

#[inline]
#[target_feature(enable = "avx2")]
fn are_near(text: &[[u8; 32]], other: &[[u8; 32]], most: &[[u8; 32]]) -> bool {
    let mut beyond = _mm256_setzero_si256();
    for ((text, other), most) in text.iter().zip(other).zip(most) {
        let difference = _mm256_xor_si256(load_wide(text), load_wide(other));
        beyond = _mm256_or_si256(beyond, _mm256_subs_epu8(difference, load_wide(most)));
    }
    _mm256_testz_si256(beyond, beyond) != 0
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_four(numbers: &[i64], at: usize) -> __m256i {
    let four: &[i64; 4] = numbers[at..].first_chunk().expect("inside, by its caller");
    // SAFETY: 32 bytes are there, at any alignment.
    unsafe { _mm256_loadu_si256(four.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_four(numbers: &mut [i64], at: usize, four: __m256i) {
    let room: &mut [i64; 4] = numbers[at..]
        .first_chunk_mut()
        .expect("inside, by its caller");
    // SAFETY: 32 bytes are there, at any alignment.
    unsafe { _mm256_storeu_si256(room.as_mut_ptr().cast(), four) }
}

/// The price or the quantity in each of four numbers: `sign` is 0 or -1 in each.
#[inline]
#[target_feature(enable = "avx2")]
fn signed(numbers: __m256i, sign: __m256i) -> __m256i {
    _mm256_sub_epi64(_mm256_xor_si256(numbers, sign), sign)
}

/// Four quotients; how: `query::floats`.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn divide(digits: __m256i, power: Power) -> __m256d {
    let (divisor, reciprocal) = (
        _mm256_set1_pd(power.power),
        _mm256_set1_pd(power.reciprocal),
    );
    let base = _mm256_set1_pd(BASE);
    let digits = _mm256_sub_pd(_mm256_or_pd(_mm256_castsi256_pd(digits), base), base);
    let mut quotient = _mm256_mul_pd(digits, reciprocal);
    for _ in 0..2 {
        let left = _mm256_fnmadd_pd(quotient, divisor, digits);
        quotient = _mm256_fmadd_pd(left, reciprocal, quotient);
    }
    quotient
}

#[inline]
#[target_feature(enable = "avx2")]
fn any_of(numbers: __m256i) -> u64 {
    let halves = _mm_or_si128(
        _mm256_castsi256_si128(numbers),
        _mm256_extracti128_si256::<1>(numbers),
    );
    (_mm_cvtsi128_si64(halves) | _mm_extract_epi64::<1>(halves)) as u64
}

#[target_feature(enable = "avx2,fma")]
fn append_rows(
    rows: &mut Vec<[f64; 2]>,
    (keys, quantities): (&[i64], &[i64]),
    sign: i64,
    powers: [Power; 2],
) -> u64 {
    let count = keys.len().min(quantities.len());
    let (rest, keys) = keys[..count].split_at(count % 4);
    let (rest_of_quantities, quantities) = quantities[..count].split_at(count % 4);
    rows.reserve(count);
    let signs = _mm256_set1_epi64x(sign);
    let mut digits = _mm256_setzero_si256();
    let room = rows.spare_capacity_mut().as_chunks_mut::<4>().0;
    let fours = keys.as_chunks::<4>().0.iter().rev();
    let fours = fours.zip(quantities.as_chunks::<4>().0.iter().rev());
    for ((keys, quantities), room) in fours.zip(room) {
        let prices = signed(load_four(keys, 0), signs);
        let quantities = load_four(quantities, 0);
        digits = _mm256_or_si256(digits, _mm256_or_si256(prices, quantities));
        let prices = divide(prices, powers[0]);
        let quantities = divide(quantities, powers[1]);
        let even = _mm256_unpacklo_pd(prices, quantities);
        let odd = _mm256_unpackhi_pd(prices, quantities);
        let start: *mut f64 = room.as_mut_ptr().cast();
        // SAFETY: there is room for eight floats, at any alignment.
        unsafe {
            _mm256_storeu_pd(start, _mm256_permute2f128_pd::<0x31>(odd, even));
            _mm256_storeu_pd(start.add(4), _mm256_permute2f128_pd::<0x20>(odd, even));
        }
    }
    // SAFETY: so many rows were reserved and have been written.
    unsafe { rows.set_len(rows.len() + count / 4 * 4) };
    let mut all = any_of(digits);
    for (key, quantity) in rest.iter().zip(rest_of_quantities).rev() {
        let price = (key ^ sign).wrapping_sub(sign);
        all |= (price | quantity) as u64;
        rows.push([
            price as f64 / powers[0].power,
            *quantity as f64 / powers[1].power,
        ]);
    }
    all
}

#[target_feature(enable = "avx2,fma")]
fn append_quotients(quotients: &mut Vec<f64>, numbers: &[i64], sign: i64, power: Power) -> u64 {
    let (rest, numbers) = numbers.split_at(numbers.len() % 4);
    quotients.reserve(rest.len() + numbers.len());
    let signs = _mm256_set1_epi64x(sign);
    let mut digits = _mm256_setzero_si256();
    let room = quotients.spare_capacity_mut().as_chunks_mut::<4>().0;
    for (numbers, room) in numbers.as_chunks::<4>().0.iter().rev().zip(room) {
        let numbers = signed(load_four(numbers, 0), signs);
        digits = _mm256_or_si256(digits, numbers);
        let found = _mm256_permute4x64_pd::<0b00_01_10_11>(divide(numbers, power));
        // SAFETY: there is room for four floats, at any alignment.
        unsafe { _mm256_storeu_pd(room.as_mut_ptr().cast(), found) };
    }
    // SAFETY: so many were reserved and have been written.
    unsafe { quotients.set_len(quotients.len() + numbers.len()) };
    let mut all = any_of(digits);
    for number in rest.iter().rev() {
        let number = (number ^ sign).wrapping_sub(sign);
        all |= number as u64;
        quotients.push(number as f64 / power.power);
    }
    all
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn count_below_of_8(numbers: &[i64; 8], limit: i64) -> usize {
    let limit = _mm256_set1_epi64x(limit);
    let below = |at: usize| _mm256_cmpgt_epi64(limit, load_four(numbers, at));
    let eight = _mm256_packs_epi32(below(0), below(4));
    (_mm256_movemask_epi8(eight) as u32).count_ones() as usize / 4
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn count_above_of_16(numbers: &[i64; 16], limit: i64) -> usize {
    let limit = _mm256_set1_epi64x(limit);
    let above = |at: usize| _mm256_cmpgt_epi64(load_four(numbers, at), limit);
    let low = _mm256_packs_epi32(above(0), above(4));
    let high = _mm256_packs_epi32(above(8), above(12));
    let all = _mm256_packs_epi16(low, high);
    (_mm256_movemask_epi8(all) as u32).count_ones() as usize / 2
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn count_below_of_16(numbers: &[i64; 16], limit: i64) -> usize {
    let limit = _mm256_set1_epi64x(limit);
    let below = |at: usize| _mm256_cmpgt_epi64(limit, load_four(numbers, at));
    let low = _mm256_packs_epi32(below(0), below(4));
    let high = _mm256_packs_epi32(below(8), below(12));
    let all = _mm256_packs_epi16(low, high);
    (_mm256_movemask_epi8(all) as u32).count_ones() as usize / 2
}

#[inline]
#[target_feature(enable = "avx2")]
fn bits(four: __m256i) -> u32 {
    _mm256_movemask_pd(_mm256_castsi256_pd(four)) as u32
}

#[inline]
#[target_feature(enable = "avx2")]
fn equal(some: &[i64; 8], others: &[i64; 8]) -> u32 {
    let low = _mm256_cmpeq_epi64(load_four(some, 0), load_four(others, 0));
    let high = _mm256_cmpeq_epi64(load_four(some, 4), load_four(others, 4));
    bits(low) | bits(high) << 4
}

#[inline]
#[target_feature(enable = "avx2")]
fn zeros(numbers: &[i64; NEAR]) -> u32 {
    let zero = _mm256_setzero_si256();
    let of = |at: usize| bits(_mm256_cmpeq_epi64(load_four(numbers, at), zero)) << at;
    of(0) | of(4) | of(8) | of(12)
}

#[inline]
#[target_feature(enable = "avx2")]
fn shift(numbers: &mut [i64; NEAR], number: i64, slot: usize, last: usize) {
    let number = _mm256_set1_epi64x(number);
    let first = _mm256_set1_epi64x(slot as i64);
    let last = _mm256_set1_epi64x(last as i64);
    let four = [0, 4, 8, 12].map(|at| load_four(numbers, at));
    let mut lower = four[0];
    for (part, four) in four.into_iter().enumerate() {
        let at = 4 * part as i64;
        let places = _mm256_setr_epi64x(at, at + 1, at + 2, at + 3);
        let kept = _mm256_or_si256(
            _mm256_cmpgt_epi64(first, places),
            _mm256_cmpgt_epi64(places, last),
        );
        let middle = _mm256_permute2x128_si256::<0x21>(lower, four);
        let before = _mm256_alignr_epi8::<8>(four, middle);
        let shifted = _mm256_blendv_epi8(before, number, _mm256_cmpeq_epi64(places, first));
        store_four(numbers, 4 * part, _mm256_blendv_epi8(shifted, four, kept));
        lower = four;
    }
}

const BETWEEN_NUMBERS: u32 = u32::from_le_bytes(*b"\",\"\0");
