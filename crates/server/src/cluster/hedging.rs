//! Takes the first good answer of several nodes. The next node is asked when one fails or refuses, or after a moment
//! without an answer: a node that died, froze or was cut off delays a read no longer than that. A node that becomes a
//! holder meanwhile is asked at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, sleep_until};

use super::nodes::{Answer, Node, Question, Silent};

/// How long to wait for one node before the next is asked, too.
pub const HEDGE: Duration = Duration::from_millis(50);

/// The outcome of asking nodes.
#[derive(Debug)]
pub enum Outcome {
    /// The first answer that is good, or that every node would give.
    Answered(Answer),
    /// Nodes answered, but none with a book that can be read: the most informative answer.
    Refused(Answer),
    /// No node answered: the reason, for people.
    Silent(Vec<String>),
}

/// The nodes to ask, as the owner says now.
pub trait Table {
    /// The best first.
    fn nodes(&self) -> Vec<Arc<Node>>;

    /// Wait until they may be others.
    fn changed(&mut self) -> impl Future<Output = ()> + Send;
}

/// Ask nodes, the best first, and further ones that the table names while none has answered. `counts`: counters of
/// nodes asked besides the first, and of nodes that did not answer.
pub async fn ask(
    mut table: impl Table,
    question: &Question,
    (hedged, failed): (&AtomicU64, &AtomicU64),
) -> Outcome {
    let mut rest = ordered(table.nodes());
    let mut running = FuturesUnordered::new();
    let mut asked: Vec<Arc<Node>> = Vec::new(); // without those that refused
    let mut newest: Option<Arc<Node>> = None;
    let mut refused: Option<Answer> = None;
    let mut silent = Vec::new();
    let mut hedge = Instant::now();
    let until = hedge + question.most;
    loop {
        // Each turn asks one more node: one has failed, or was silent for a moment.
        if let Some(node) = rest.pop_front() {
            if newest.is_some() {
                hedged.fetch_add(1, Ordering::Relaxed);
            }
            newest = Some(node.clone());
            asked.push(node.clone());
            running.push(async move { (node.ask(question).await, node) });
            hedge = Instant::now() + HEDGE;
        }
        tokio::select! {
            done = running.next() => match done {
                None => break,
                Some((Ok(answer), _)) if question.is_settled_by(answer.status) => {
                    return Outcome::Answered(answer);
                }
                Some((Ok(answer), node)) => {
                    asked.retain(|other| !Arc::ptr_eq(other, &node));
                    let tells_more = |other: &Answer| weight(&answer) > weight(other);
                    if refused.as_ref().is_none_or(tells_more) {
                        refused = Some(answer);
                    }
                }
                Some((Err(Silent(why)), node)) => {
                    failed.fetch_add(1, Ordering::Relaxed);
                    silent.push(format!("node {} {why}", node.name()));
                }
            },
            () = sleep_until(hedge), if !rest.is_empty() => {
                if let Some(slow) = &newest {
                    slow.doubt();
                }
            }
            () = table.changed(), if Instant::now() < until => {
                let is_new = |node: &Arc<Node>| !asked.iter().any(|other| Arc::ptr_eq(other, node));
                rest = ordered(table.nodes().into_iter().filter(is_new).collect());
            }
        }
    }
    match refused {
        Some(answer) => Outcome::Refused(answer),
        None => Outcome::Silent(silent),
    }
}

/// Doubted ones last, otherwise in the order given.
fn ordered(nodes: Vec<Arc<Node>>) -> VecDeque<Arc<Node>> {
    let (doubted, sound): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.is_doubted());
    sound.into_iter().chain(doubted).collect()
}

/// How informative a refusal is: "not synced" says more than "not held".
fn weight(answer: &Answer) -> u8 {
    match answer.status.as_u16() {
        425 | 503 => 3,
        410 => 2,
        404 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Holder;
    use super::super::identity::Authority;
    use super::super::identity::tests::Issuer;
    use super::super::nodes::Nodes;
    use super::*;

    #[test]
    fn a_node_that_was_slow_is_asked_last_for_a_while() {
        let issuer = Issuer::new();
        let authority = Authority::read(&issuer.authority()).expect("PEM");
        let nodes = Nodes::new(issuer.issue("own"), authority).expect("they belong together");
        let all = ["a", "b", "c"].map(|node| {
            let holder = Holder {
                node: node.into(),
                address: "127.0.0.1:1".into(),
            };
            nodes.node(&holder).expect("a usable certificate")
        });
        all[0].doubt();
        let order: Vec<usize> = ordered(all.to_vec())
            .iter()
            .filter_map(|node| all.iter().position(|other| Arc::ptr_eq(node, other)))
            .collect();
        assert_eq!(order, [1, 2, 0]);
    }
}
