//! Wire formats: the bytes of an exchange to the messages of `message`.

pub mod json;
