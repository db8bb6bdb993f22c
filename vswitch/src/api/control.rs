//! The API's handle to the control loop, and the thread pool for long computations.
//!
//! The servers own no state of the switch. They read and change it by
//! [requests](crate::control::requests) to the control loop. Long computations that need no switch
//! (parsing, checking, serializing) run on a thread of the runtime's pool, by [`run_blocking`]. The
//! pool is small, so only one large configuration is checked at a time ([`Control::check`]):
//! scrapes need not wait for it.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::problem::{Kind, Problem};
use crate::control::requests::{LiveSwitch, Requests, Stopping};

/// Sends requests to the control loop.
#[derive(Clone)]
pub struct Control {
    requests: Requests,
    checks: Arc<Semaphore>,
}

fn stopping(stopping: Stopping) -> Problem {
    Problem::new(Kind::Unavailable, stopping.to_string())
}

impl Control {
    /// Makes the handle of a queue of requests.
    #[must_use]
    pub fn new(requests: Requests) -> Self {
        Self { requests, checks: Arc::new(Semaphore::new(1)) }
    }

    /// Runs a closure in the control loop, and returns its result.
    ///
    /// # Errors
    /// The switch is stopping.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut dyn LiveSwitch) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        self.requests.ask(question).await.map_err(stopping)
    }

    /// [Runs](run_blocking) a computation on a whole configuration; one at a time.
    ///
    /// # Errors
    /// The switch is stopping.
    pub async fn check<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.checks).acquire_owned().await.ok();
        run_blocking(move || {
            // The work continues if the client disconnects, so it owns the permit.
            let _permit = permit;
            work()
        })
        .await
    }
}

/// Runs a long computation on a thread of the pool.
///
/// # Errors
/// The switch is stopping.
pub async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Problem> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| stopping(Stopping))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Control, run_blocking};
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
            let scrape =
                tokio::time::timeout(Duration::from_secs(5), run_blocking(|| "metrics")).await;
            assert_eq!(scrape.ok().and_then(Result::ok), Some("metrics"));
            for (end, check) in checks {
                end.send(()).unwrap();
                check.await.unwrap().unwrap().unwrap();
            }
        });
    }
}
