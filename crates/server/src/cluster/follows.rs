//! Requests to the owner of the server to begin a book here: one per book, whatever the number of readers.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::delegation;
use crate::problem::Problem;
use crate::registry::BookName;

/// The outcome; None while it is not known.
pub type Followed = Option<Result<(), Problem>>;

/// The books with an open request.
pub struct Follows {
    running: Mutex<HashMap<BookName, watch::Receiver<Followed>>>,
    /// Half of what the owner takes at once, so that readers leave room for management.
    pub turns: Semaphore,
}

impl Default for Follows {
    fn default() -> Self {
        Follows {
            running: Mutex::default(),
            turns: Semaphore::new(delegation::CAPACITY / 2),
        }
    }
}

impl Follows {
    /// Begin a request; returns where to report its outcome. Err: one is open; its outcome will come here.
    pub fn begin(
        &self,
        name: BookName,
    ) -> Result<watch::Sender<Followed>, watch::Receiver<Followed>> {
        let mut running = self.running.lock();
        if let Some(running) = running.get(&name) {
            return Err(running.clone());
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(name, receiver);
        Ok(sender)
    }

    /// The outcome is known: the next reader begins a new request.
    pub fn end(&self, name: &BookName) {
        self.running.lock().remove(name);
    }
}
