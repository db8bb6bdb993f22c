//! How often the kernel is asked to send ARP requests: pure, time is a parameter.
//!
//! A budget of requests bounds the rate whatever the number of next hops; within it, a next hop
//! that was never asked for comes first, then the longest waiting.

use std::time::Duration;

use tokio::time::Instant;

/// ARP requests per second, and saved up at most.
const BUDGET: u32 = 200;

/// Of those, for verification.
const VERIFICATIONS_PER_SECOND: u32 = 150;

/// A next hop is verified this often, if the budget allows.
const VERIFY_EVERY: Duration = Duration::from_millis(500);

/// A next hop that does not answer is asked for this often.
const RESOLVE_EVERY: Duration = Duration::from_secs(1);

/// What asking in vain costs: the kernel's `mcast_solicit`.
const COST_IN_VAIN: u32 = 3;

/// Requests are sent in small groups, so that the answers find room in the queue to the TAP.
const GROUP: usize = 16;
const GROUP_EVERY: Duration = Duration::from_millis(10);

/// With nothing to do; the next pass or hint calls again.
const IDLE: Duration = Duration::from_secs(1);

/// What the kernel is to do for a next hop, and when it was last asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Ask at the known MAC.
    Verify { asked: Option<Instant> },
    /// Ask by broadcast.
    Resolve { asked: Option<Instant> },
}

/// What to ask for now, and when to come again.
#[derive(Debug)]
pub(super) struct Turn<K> {
    pub(super) now: Vec<(K, Wish)>,
    pub(super) next: Instant,
}

/// The budget.
#[derive(Debug)]
pub(super) struct Pace {
    saved: u32,
    saved_at: Instant,
    group_at: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { saved: BUDGET, saved_at: now, group_at: now }
    }

    /// Chooses from all wishes those to fulfil now.
    pub(super) fn turn<K>(
        &mut self,
        now: Instant,
        wishes: impl Iterator<Item = (K, Wish)>,
    ) -> Turn<K> {
        if now < self.group_at {
            return Turn { now: Vec::new(), next: self.group_at };
        }
        self.save(now);
        let wishes: Vec<_> = wishes.collect();
        let verified =
            wishes.iter().filter(|(_, wish)| matches!(wish, Wish::Verify { .. })).count();
        let verified = u32::try_from(verified).unwrap_or(u32::MAX);
        let verify_every = VERIFY_EVERY
            .max(Duration::from_secs(1).saturating_mul(verified) / VERIFICATIONS_PER_SECOND);

        let due_at = |wish: &Wish| match *wish {
            Wish::Verify { asked: Some(asked) } => Some(asked + verify_every),
            Wish::Resolve { asked: Some(asked) } => Some(asked + RESOLVE_EVERY),
            Wish::Verify { asked: None } | Wish::Resolve { asked: None } => None,
        };
        let mut due: Vec<(Option<Instant>, K, Wish)> =
            wishes.into_iter().map(|(key, wish)| (due_at(&wish), key, wish)).collect();
        due.sort_by_key(|(at, _, _)| *at);

        let mut turn = Turn { now: Vec::new(), next: now + IDLE };
        for (at, key, wish) in due {
            if let Some(at) = at.filter(|at| *at > now) {
                turn.next = turn.next.min(at);
                break;
            }
            let cost = match wish {
                Wish::Resolve { asked: Some(_) } => COST_IN_VAIN,
                Wish::Resolve { asked: None } | Wish::Verify { .. } => 1,
            };
            if turn.now.len() == GROUP || self.saved < cost {
                turn.next = now + GROUP_EVERY;
                break;
            }
            self.saved -= cost;
            turn.now.push((key, wish));
        }
        if !turn.now.is_empty() {
            self.group_at = now + GROUP_EVERY;
            turn.next = turn.next.max(self.group_at);
        }
        turn
    }

    fn save(&mut self, now: Instant) {
        let each = Duration::from_secs(1) / BUDGET;
        let elapsed = now.saturating_duration_since(self.saved_at);
        let earned = u32::try_from(elapsed.as_nanos() / each.as_nanos()).unwrap_or(u32::MAX);
        self.saved = self.saved.saturating_add(earned).min(BUDGET);
        self.saved_at = if self.saved == BUDGET { now } else { self.saved_at + each * earned };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `count` next hops of which none or all answer; returns requests per hop in `seconds`.
    fn run(count: usize, answers: bool, seconds: u64) -> Vec<u32> {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let mut asked = vec![None; count];
        let mut requests = vec![0; count];
        let mut now = start;
        while now < start + Duration::from_secs(seconds) {
            let turn = pace.turn(
                now,
                asked.iter().enumerate().map(|(key, asked)| {
                    let asked = *asked;
                    (key, if answers { Wish::Verify { asked } } else { Wish::Resolve { asked } })
                }),
            );
            assert!(turn.now.len() <= GROUP);
            assert!(turn.next > now, "a turn is never due at once");
            for (key, _) in turn.now {
                asked[key] = Some(now);
                requests[key] += if answers { 1 } else { COST_IN_VAIN };
            }
            now = turn.next;
        }
        requests
    }

    #[test]
    fn few_next_hops_are_verified_twice_a_second() {
        for requests in run(40, true, 10) {
            assert!((19..=21).contains(&requests), "{requests}");
        }
    }

    #[test]
    fn many_next_hops_stay_within_the_budget_and_get_equal_shares() {
        let requests = run(1000, true, 20);
        let total: u32 = requests.iter().sum();
        // Each is asked for once at first, which the saved budget pays; then 150 per second.
        assert!((2500..=20 * 150 + 1000).contains(&total), "{total}");
        let (least, most) = (requests.iter().min().unwrap(), requests.iter().max().unwrap());
        assert!(most - least <= 1, "{least}..{most}");
    }

    #[test]
    fn next_hops_that_never_answer_stay_within_the_budget() {
        for requests in run(10, false, 10) {
            assert!((27..=33).contains(&requests), "each second three: {requests}");
        }
        let total: u32 = run(1000, false, 20).iter().sum();
        // The first of each counts as one in the budget and costs up to three.
        assert!(total <= 20 * BUDGET + BUDGET + 1000 * (COST_IN_VAIN - 1), "{total}");
    }

    #[test]
    fn a_new_next_hop_comes_first() {
        let now = Instant::now();
        let mut pace = Pace::new(now);
        let old = now - Duration::from_secs(9);
        let wishes = (0..100)
            .map(|key| (key, Wish::Verify { asked: Some(old) }))
            .chain([(100, Wish::Resolve { asked: None })]);
        assert_eq!(pace.turn(now, wishes).now[0].0, 100);
    }
}
