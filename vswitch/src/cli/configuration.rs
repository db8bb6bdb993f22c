//! The configuration as a whole: `vswitch plan`, `apply`, `confirm`, `roll-back`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use hyper::Method;
use serde::Deserialize;

use super::client::{Base, Client, ClientError, NOTHING, query};
use super::config_file::load;
use super::options::{Target, whole_seconds};
use super::output::{Exit, note, print, print_json};
use super::terminal::{Look, Progress, agrees, can_ask};
use crate::api::apply::Change;
use crate::config::Document;
use crate::text::count;
use crate::topology::plan::{Action, Impact, Plan};

/// Options of `vswitch plan`.
#[derive(Debug, Args)]
pub struct PlanOptions {
    /// The configuration; `-` is the standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The switch.
    #[command(flatten)]
    pub target: Target,
}

/// Options of `vswitch apply`.
#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// The configuration; `-` is the standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Return to the former configuration after this time (60s, 5m, 1h), unless `vswitch confirm`
    /// keeps the new one.
    #[arg(long, value_name = "TIME", value_parser = whole_seconds)]
    pub confirm_within: Option<Duration>,
    /// Do not ask, even if the plan interrupts traffic or removes something.
    #[arg(long, short)]
    pub yes: bool,
    /// Change only this generation; default: the one that runs when the command begins.
    #[arg(long, value_name = "N")]
    pub generation: Option<u64>,
    /// The switch.
    #[command(flatten)]
    pub target: Target,
}

/// Options of `vswitch confirm`.
#[derive(Debug, Args)]
pub struct ConfirmOptions {
    /// Keep only this generation; default: the one that waits, whatever its number.
    #[arg(long, value_name = "N")]
    pub generation: Option<u64>,
    /// The switch.
    #[command(flatten)]
    pub target: Target,
}

/// `vswitch plan`.
pub(super) fn plan(options: &PlanOptions, client: &Client) -> Result<Exit, ClientError> {
    let Some(config) = load(&options.file) else { return Ok(Exit::Usage) };
    config.warnings.iter().for_each(note);
    let progress = Progress::begin("comparing");
    let answer = client.post("/v1/plan", Some(&Document::from(&config)))?;
    drop(progress);
    let plan: Plan = answer.read()?;
    let printed = if options.target.json {
        print_json(&answer.body)
    } else {
        let look = Look::of_output();
        print(&format!("{}\n", look.paint_plan(&plan.to_string())))
    };
    Ok(if printed == Exit::Success && !plan.is_empty() { Exit::Difference } else { printed })
}

/// `vswitch apply`.
pub(super) fn apply(options: &ApplyOptions, client: &Client) -> Result<Exit, ClientError> {
    let Some(config) = load(&options.file) else { return Ok(Exit::Usage) };
    config.warnings.iter().for_each(note);
    let document = Document::from(&config);
    let mut base = options.generation;
    let is_shown = can_ask();
    if is_shown {
        let progress = Progress::begin("comparing");
        let answer = client.post("/v1/plan", Some(&document))?;
        drop(progress);
        base = base.or(answer.generation);
        let plan: Plan = answer.read()?;
        if options.target.json {
            note(&plan);
        } else {
            print(&format!("{}\n", Look::of_output().paint_plan(&plan.to_string())));
        }
        if let Some(question) = question(&plan).filter(|_| !options.yes)
            && !agrees(&question)
        {
            note("vswitch: nothing was changed");
            return Ok(Exit::Failure);
        }
    }
    let secs = options.confirm_within.map(|time| time.as_secs().to_string());
    let path = query("/v1/apply", &[("confirm-within-secs", secs)]);
    let progress = Progress::begin("applying");
    let base = Base::Generation(base.map_or_else(|| client.generation(), Ok)?);
    let answer = client.change(Method::POST, &path, Some(&document), base)?;
    drop(progress);
    if options.target.json {
        return Ok(print_json(&answer.body));
    }
    let change: Change = answer.read()?;
    let text = if is_shown { String::new() } else { format!("{}\n", change.plan) };
    Ok(report(&change, &text, &options.target))
}

/// The question to the user, if the plan needs one. A plan that needs a restart is refused anyway.
fn question(plan: &Plan) -> Option<String> {
    if plan.needing_restart().next().is_some() {
        return None;
    }
    let interrupting = plan.steps.iter().filter(|s| matches!(s.impact, Impact::Interrupts { .. }));
    let removing = plan.steps.iter().filter(|step| step.action == Action::Remove);
    let of = |number, does: &str| (number > 0).then(|| format!("{} {does}", count(number, "step")));
    let (interrupting, removing) = (interrupting.count(), removing.count());
    let verb = |number, one, many| if number == 1 { one } else { many };
    let reasons = [
        of(interrupting, verb(interrupting, "interrupts traffic", "interrupt traffic")),
        of(removing, verb(removing, "removes something", "remove something")),
    ];
    let reasons: Vec<_> = reasons.into_iter().flatten().collect();
    (!reasons.is_empty()).then(|| format!("{}. Apply?", reasons.join(", ")))
}

/// Prints what was done.
pub(super) fn report(change: &Change, steps: &str, target: &Target) -> Exit {
    let mut text = Look::of_output().paint_plan(steps);
    let done = if change.plan.is_empty() { "unchanged" } else { "applied" };
    text.push_str(&format!("{done}: generation {}\n", change.generation));
    if let Some(millis) = change.confirm_before_unix_millis {
        let when = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        text.push_str(&until(when, change.generation, target));
    }
    print(&text)
}

fn until(when: SystemTime, generation: u64, target: &Target) -> String {
    let left = when.duration_since(SystemTime::now()).unwrap_or_default();
    // Rounded, because the answer took some milliseconds.
    let secs = left.as_secs() + u64::from(left.subsec_millis() >= 500);
    let left = humantime::format_duration(Duration::from_secs(secs));
    format!(
        "goes back to the former configuration at {}, in {left}, unless confirmed: vswitch \
         confirm --generation {generation}{}\n",
        humantime::format_rfc3339_seconds(when),
        target.option(),
    )
}

/// `vswitch confirm`.
pub(super) fn confirm(options: &ConfirmOptions, client: &Client) -> Result<Exit, ClientError> {
    let base = options.generation.map_or(Base::Any, Base::Generation);
    end_waiting("/v1/confirm", "confirmed", base, &options.target, client)
}

/// `vswitch roll-back`.
pub(super) fn roll_back(target: &Target, client: &Client) -> Result<Exit, ClientError> {
    end_waiting("/v1/roll-back", "rolled back", Base::Any, target, client)
}

fn end_waiting(
    path: &str,
    done: &str,
    base: Base,
    target: &Target,
    client: &Client,
) -> Result<Exit, ClientError> {
    #[derive(Deserialize)]
    struct Active {
        generation: u64,
    }
    let progress = Progress::begin("waiting for the switch");
    let answer = client.change(Method::POST, path, NOTHING, base)?;
    drop(progress);
    if target.json {
        return Ok(print_json(&answer.body));
    }
    let Active { generation } = answer.read()?;
    Ok(print(&format!("{done}: generation {generation}\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(old: &str, new: &str) -> Plan {
        let read = |text| crate::config::parse("t", text).unwrap();
        Plan::between(&read(old), &read(new))
    }

    #[test]
    fn steps_that_interrupt_or_remove_need_consent() {
        let small = "[[port]]\nname = \"a\"\ndevice = \"net_null0\"\n";
        let network = |vni: u32| {
            format!(
                "{small}[[network]]\nname = \"n\"\nvni = {vni}\n[[network.port]]\nport = \"a\"\n"
            )
        };
        let mtu = network(5).replace("null0\"", "null0\"\nmtu = 1400");
        assert_eq!(question(&planned(small, small)), None);
        assert_eq!(question(&planned(small, &network(5))), None);
        let removed = question(&planned(&network(5), small)).unwrap();
        assert_eq!(removed, "1 step interrupts traffic, 2 steps remove something. Apply?");
        let interrupts = question(&planned(&network(5), &mtu)).unwrap();
        assert_eq!(interrupts, "1 step interrupts traffic. Apply?");
        let restart = format!("[dpdk]\nmain-core = 3\n{small}");
        assert_eq!(question(&planned(&network(5), &restart)), None);
    }
}
