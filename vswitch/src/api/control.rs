//! How the API asks the control loop, and where its slow work goes.
//!
//! The server owns no state of the switch: what it must know or change is a
//! [request](crate::control::requests) to the control loop. What takes long and needs no switch
//! (parsing, checking, writing JSON) runs on a thread of the runtime's pool instead, by [`aside`].
//! There are few such threads. So that a scrape need not wait for large configurations, one of
//! those is checked at a time: [`Control::check`].

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::problem::{Kind, Problem};
use crate::control::requests::{LiveSwitch, Requests, Stopping};

/// Where the control loop is asked.
#[derive(Clone)]
pub struct Control {
    requests: Requests,
    checks: Arc<Semaphore>,
}

fn stopping(stopping: Stopping) -> Problem {
    Problem::new(Kind::Unavailable, stopping.to_string())
}

impl Control {
    /// Asks by a queue of requests.
    #[must_use]
    pub fn new(requests: Requests) -> Self {
        Self { requests, checks: Arc::new(Semaphore::new(1)) }
    }

    /// What the control loop makes of its state.
    ///
    /// # Errors
    /// The switch stops.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn LiveSwitch) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.requests.ask(question).await.map_err(stopping)
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
    done.map_err(|_| stopping(Stopping))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Control, aside};
    use crate::control::requests;

    #[test]
    fn large_configurations_leave_a_thread_for_others() {
        let threads = 2;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(threads)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (requests, _asked) = requests::channel();
            let control = Control::new(requests);
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
