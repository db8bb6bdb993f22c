//! Problems of the API as text for people.
//!
//! The API speaks to programs. Here its problems name the commands of this binary.

use std::fmt;

use crate::api::problem::{Kind, Problem, Source, ValueProblem};
use crate::cli::output::plain;

/// A problem, and the generation that the change was based on.
pub(super) struct ProblemText<'p> {
    pub problem: &'p Problem,
    pub base: Option<u64>,
}

impl fmt::Display for ProblemText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = self.problem;
        if problem.is(Kind::PreconditionFailed) {
            return self.overtaken(f);
        }
        match &problem.errors[..] {
            [one] if is_named_absent(problem) => {
                write!(f, "{}\nhelp: {}", plain(&one.detail), plain(&one.help))?;
            }
            [one] if !problem.is(Kind::NotFound) => write!(f, "{}", Value(one))?,
            [] | [_] => f.write_str(&plain(short(&problem.detail)))?,
            several => {
                write!(f, "{}", problem.title.trim_end_matches('.'))?;
                for error in several {
                    write!(f, "\n{}", Value(error))?;
                }
            }
        }
        for step in &problem.steps {
            write!(f, "\n{step}")?;
        }
        if let Some(help) = help(problem) {
            write!(f, "\nhelp: {help}")?;
        }
        Ok(())
    }
}

impl ProblemText<'_> {
    fn overtaken(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody else changed the configuration meanwhile")?;
        if let (Some(running), Some(base)) = (self.problem.generation, self.base) {
            write!(f, ": generation {running} is running, and this was for generation {base}")?;
        }
        f.write_str(
            "; nothing was changed\nhelp: see what is running now (`vswitch show config`, or \
             `vswitch plan FILE` for the difference); repeat the command if it is still right",
        )
    }
}

/// The detail of a problem, without its advice to programs.
fn short(detail: &str) -> &str {
    detail.split_once(": POST /v1/").map_or(detail, |(what, _)| what)
}

/// A name does not exist, and the help lists those that do. Otherwise the route does not exist.
fn is_named_absent(problem: &Problem) -> bool {
    problem.is(Kind::NotFound) && problem.errors.iter().any(|error| !error.pointer.is_empty())
}

fn help(problem: &Problem) -> Option<&'static str> {
    if problem.is(Kind::AwaitsConfirmation) {
        Some("`vswitch confirm` keeps it, `vswitch roll-back` undoes it")
    } else if problem.is(Kind::NothingPending) {
        Some(
            "only a change with --confirm-within waits, and only for that time; `vswitch show config` \
             prints what is running",
        )
    } else if problem.is(Kind::NeedsRestart) {
        Some("nothing was changed; restart `vswitch run` with this file")
    } else if problem.is(Kind::NotFound) && !is_named_absent(problem) {
        Some("use the vswitch binary that is running")
    } else if problem.is(Kind::TooManyCaptures) {
        Some("end one of them: each ends with its `vswitch capture`, or its HTTP client")
    } else if problem.is(Kind::Unavailable) || problem.is(Kind::Timeout) {
        Some("try again; see the log of the switch")
    } else {
        None
    }
}

/// A value, and what is wrong with it.
struct Value<'p>(&'p ValueProblem);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(error) = self;
        if let (Some(line), Some(column)) = (error.line, error.column) {
            write!(f, "line {line}:{column}: ")?;
        } else {
            let pointer = error.pointer.trim_start_matches('/');
            let pointer = pointer.replace("~1", "/").replace("~0", "~");
            match error.source {
                _ if pointer.is_empty() => {}
                Source::Configuration => write!(f, "in the configuration, {}: ", plain(&pointer))?,
                _ => write!(f, "{}: ", plain(&pointer))?,
            }
        }
        f.write_str(&plain(&error.detail))?;
        if !error.help.is_empty() {
            write!(f, "\nhelp: {}", plain(&error.help))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(problem: Problem) -> String {
        ProblemText { problem: &problem, base: Some(7) }.to_string()
    }

    #[test]
    fn every_value_is_named_with_its_help() {
        let value = |pointer: &str, source| ValueProblem::new(source, pointer, "is odd", "even it");
        let problem = Problem::of_values(
            Kind::Invalid,
            vec![
                value("/vni", Source::Body),
                value("/network/0/mac/1/port", Source::Configuration),
            ],
            2,
        );
        assert_eq!(
            text_of(problem),
            "A value in the request is not valid\nvni: is odd\nhelp: even it\n\
             in the configuration, network/0/mac/1/port: is odd\nhelp: even it"
        );
        let one = Problem::new(Kind::Invalid, "odd").because(value("/vni", Source::Body));
        assert_eq!(text_of(one), "vni: is odd\nhelp: even it");
    }

    #[test]
    fn a_conflict_says_who_was_first_and_what_to_do() {
        let mut problem = Problem::new(Kind::PreconditionFailed, "changed");
        problem.generation = Some(9);
        let text = text_of(problem);
        for words in ["somebody else", "generation 9", "generation 7", "nothing was changed"] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_terminal_does_not_obey_what_a_switch_says() {
        let text = text_of(Problem::new(Kind::Conflict, "\u{1b}[2J gone"));
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
