//! The rules of update ids, one predicate a rule.

/// How update ids follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Continuity {
    /// `U == previous u + 1`: spot, US, TR.
    Contiguous,
    /// `pu == previous u`: USD-M, COIN-M, options.
    Chained,
}

impl Continuity {
    /// The continuity of that word, if there is one.
    pub fn parse(word: &str) -> Option<Continuity> {
        match word {
            "contiguous" => Some(Continuity::Contiguous),
            "chained" => Some(Continuity::Chained),
            _ => None,
        }
    }
}
