//! Questions to the control loop.
//!
//! The server owns no state: a request becomes a [`Query`], which the control loop answers between
//! two of its other duties. What takes long and needs no switch (parsing, checking, writing JSON) is
//! done on a thread of its own instead, by [`aside`]. There are few such threads; so that a scrape need not wait
//! for large configurations, one of these is checked at a time: [`Control::check`].

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};

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
pub struct Control {
    queries: mpsc::Sender<Query>,
    checks: Arc<Semaphore>,
}

/// A way to ask, and where the questions arrive.
#[must_use]
pub fn channel() -> (Control, mpsc::Receiver<Query>) {
    let (queries, asked) = mpsc::channel(QUEUE_LEN);
    (Control { queries, checks: Arc::new(Semaphore::new(1)) }, asked)
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
        self.queries.send(ask).await.map_err(|_| stops())?;
        answered.await.map_err(|_| stops())
    }

    /// Does something with a whole configuration [aside], after others that did so.
    ///
    /// # Errors
    /// The switch stops.
    pub async fn check<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // Never closed.
        let turn = Arc::clone(&self.checks).acquire_owned().await.ok();
        aside(move || {
            // Whoever asked may go away meanwhile, and the work goes on.
            let _turn = turn;
            work()
        })
        .await
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{aside, channel};

    #[test]
    fn large_configurations_leave_a_thread_for_others() {
        let threads = 2;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(threads)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (control, _asked) = channel();
            let checks: Vec<_> = (0..threads)
                .map(|_| {
                    let ((end, ends), control) = (mpsc::channel::<()>(), control.clone());
                    let check = async move { control.check(move || ends.recv()).await };
                    (end, tokio::spawn(check))
                })
                .collect();
            tokio::task::yield_now().await;
            let scrape = tokio::time::timeout(Duration::from_secs(5), aside(|| "metrics")).await;
            assert_eq!(scrape.ok().and_then(Result::ok), Some("metrics"));
            for (end, check) in checks {
                end.send(()).unwrap();
                check.await.unwrap().unwrap().unwrap();
            }
        });
    }
}
