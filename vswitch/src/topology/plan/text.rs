//! A plan as text: a line or two for each step, and a summary in the last line.

use std::fmt;

use super::Plan;
use super::step::{Action, Impact, Kind, Step};

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+",
            Self::Change => "~",
            Self::Remove => "-",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setting => "setting",
            Self::Port => "port",
            Self::Vtep => "VTEP",
            Self::Network => "network",
            Self::Member => "member",
            Self::Mac => "MAC",
            Self::RemoteVtep => "remote VTEP",
        })
    }
}

impl fmt::Display for Impact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LossFree => f.write_str("loss-free"),
            Self::Interrupts { what } => write!(f, "interrupts {}", Plain(what)),
            Self::NeedsRestart { why } => write!(f, "needs a restart: {}", Plain(why)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action, self.kind, Plain(&self.name))?;
        if let (Some(network), Kind::Mac | Kind::RemoteVtep) = (&self.network, self.kind) {
            write!(f, " in network {}", Plain(network))?;
        }
        for (i, change) in self.changes.iter().enumerate() {
            f.write_str(if i == 0 { ": " } else { ", " })?;
            // The name of a setting is its key, and the value of a MAC names its kind of home.
            if !matches!(self.kind, Kind::Setting | Kind::Mac) {
                write!(f, "{} ", change.field)?;
            }
            match (&change.from, &change.to) {
                (None, Some(to)) if self.action == Action::Add => write!(f, "{}", Plain(to))?,
                (Some(from), None) if self.action == Action::Remove => {
                    write!(f, "{}", Plain(from))?;
                }
                (from, to) => {
                    let value = |value: &Option<String>| match value {
                        Some(value) => Plain(value).to_string(),
                        None => "none".to_owned(),
                    };
                    write!(f, "{} → {}", value(from), value(to))?;
                }
            }
        }
        write!(f, "\n    {}", self.impact)?;
        match self.impact {
            Impact::LossFree => write!(f, "; concerns {}", Plain(&self.concerns)),
            Impact::Interrupts { .. } | Impact::NeedsRestart { .. } => Ok(()),
        }
    }
}

/// Without a final newline.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no difference");
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        let of = |action| self.steps.iter().filter(|step| step.action == action).count();
        write!(
            f,
            "\n{}: {} to add, {} to change, {} to remove; ",
            steps(self.steps.len()),
            of(Action::Add),
            of(Action::Change),
            of(Action::Remove)
        )?;
        let restart = self.needing_restart().count();
        let interrupt =
            self.steps.iter().filter(|s| matches!(s.impact, Impact::Interrupts { .. })).count();
        let verb = |count, one, many| if count == 1 { one } else { many };
        match (interrupt, restart) {
            (0, 0) => f.write_str("all loss-free"),
            (_, 0) => write!(
                f,
                "{} {} traffic",
                steps(interrupt),
                verb(interrupt, "interrupts", "interrupt")
            ),
            _ => write!(f, "{} {} a restart", steps(restart), verb(restart, "needs", "need")),
        }
    }
}

fn steps(count: usize) -> String {
    format!("{count} step{}", if count == 1 { "" } else { "s" })
}

/// A text from a configuration, without characters that control a terminal.
struct Plain<'t>(&'t str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            // `escape_debug` also knows what is invisible or turns the direction of writing, but
            // would escape quotes, too.
            if matches!(c, '"' | '\'' | '\\') {
                write!(f, "{c}")?;
            } else {
                write!(f, "{}", c.escape_debug())?;
            }
        }
        Ok(())
    }
}
