//! Questions to the control loop.
//!
//! The server owns no state: a request becomes a [`Query`], which the control loop answers between
//! two of its other duties. What takes long and needs no switch (parsing, checking, writing JSON) is
//! done on a thread of its own instead, by [`aside`].

use tokio::sync::{mpsc, oneshot};

use super::problem::{Kind, Problem};
use super::running::Running;

/// Questions that wait for the control loop; more wait in their requests.
const QUEUE_LEN: usize = 16;

type Answer = Box<dyn FnOnce(&mut dyn Running) + Send>;

/// A question to the control loop.
pub struct Query(Answer);

impl Query {
    /// Answers it.
    pub fn answer(self, switch: &mut dyn Running) {
        (self.0)(switch);
    }
}

/// Where questions are asked. The receiver is the control loop's.
#[derive(Clone)]
pub struct Control(mpsc::Sender<Query>);

/// A way to ask, and where the questions arrive.
#[must_use]
pub fn channel() -> (Control, mpsc::Receiver<Query>) {
    let (queries, asked) = mpsc::channel(QUEUE_LEN);
    (Control(queries), asked)
}

impl Control {
    /// What the control loop makes of its state.
    ///
    /// # Errors
    /// The switch stops.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn Running) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let stops = || Problem::new(Kind::Unavailable, "the switch stops");
        let (answer, answered) = oneshot::channel();
        let ask = Query(Box::new(move |switch| {
            // Whoever asked and went away wants nothing changed, either.
            if !answer.is_closed() {
                let _ = answer.send(question(switch));
            }
        }));
        self.0.send(ask).await.map_err(|_| stops())?;
        answered.await.map_err(|_| stops())
    }
}

/// Does something that takes long, and not on the control loop's thread.
///
/// # Errors
/// The switch stops.
pub async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| Problem::new(Kind::Unavailable, "the switch stops"))
}
