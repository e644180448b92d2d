//! Which books the owner of the server is asked to begin here, each once for all readers.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, watch};

use crate::delegation;
use crate::problem::Problem;

/// Exchange and symbol.
type Name = (Arc<str>, Arc<str>);

/// What became of it; None while that is not known.
pub type Followed = Option<Result<(), Problem>>;

/// The books that the owner is asked to begin now.
pub struct Follows {
    running: Mutex<HashMap<Name, watch::Receiver<Followed>>>,
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
    /// Begin to ask: whom to tell what became of it. Err: that runs already.
    pub fn begin(&self, name: Name) -> Result<watch::Sender<Followed>, watch::Receiver<Followed>> {
        let mut running = self.running.lock();
        if let Some(running) = running.get(&name) {
            return Err(running.clone());
        }
        let (sender, receiver) = watch::channel(None);
        running.insert(name, receiver);
        Ok(sender)
    }

    /// It is known: the next reader asks again.
    pub fn end(&self, name: &Name) {
        self.running.lock().remove(name);
    }
}
