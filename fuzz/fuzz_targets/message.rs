//! Decoding never panics, and every accepted message survives encoding and decoding unchanged.
#![no_main]

use depthcache_wire::{Decoded, Numbers, Options, book, decode, update};

const OPTIONS: Options = Options {
    numbers: Numbers::Text,
    counters: true,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let write = |decoded: &Decoded| {
        let mut out = Vec::new();
        match decoded {
            Decoded::Book(frozen) => book(&mut out, frozen, &OPTIONS),
            Decoded::Update(item) => update(&mut out, item, &OPTIONS),
            Decoded::Best(..) | Decoded::Status(_) => return None,
        }
        Some(out)
    };
    if let Some(message) = decode(bytes).ok().as_ref().and_then(write) {
        let again = decode(&message).expect("an encoded message can be decoded");
        assert_eq!(write(&again), Some(message));
    }
});
