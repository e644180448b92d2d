//! Raw frames, kept: all of them for a recorder (`tap`), the newest of each market (`flight`).

pub mod flight;
pub mod tap;
