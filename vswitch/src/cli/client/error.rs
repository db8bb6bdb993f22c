//! Why a request failed.

use std::io;
use std::time::Duration;

use hyper::StatusCode;

use super::problem::ProblemText;
use crate::api::problem::{Kind, Problem};
use crate::cli::output::Exit;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket does not exist.
    #[error(
        "there is no such socket\nhelp: is the switch running? If its configuration has another \
         [api] socket, name it with --socket"
    )]
    Absent,
    /// No process listens on the socket.
    #[error(
        "nobody listens there\nhelp: is the switch running? A switch that was killed leaves its \
         socket behind"
    )]
    Refused,
    /// The file's permissions forbid it.
    #[error(
        "permission denied\nhelp: ask as root, or as a member of the group that [api] group names"
    )]
    Denied,
    /// Another failure to connect.
    #[error("cannot connect: {0}\nhelp: check the path of the socket")]
    Connect(#[source] io::Error),
    /// The answer is not HTTP.
    #[error(
        "this is not the socket of a vswitch: {0}\nhelp: check [api] socket in the configuration"
    )]
    NotHttp(#[source] hyper::Error),
    /// The connection ended before the answer.
    #[error(
        "the switch ended before it answered\nhelp: it stopped, or was killed: see its log, and try \
         again when it runs"
    )]
    Broken,
    /// The connection ended before the answer to a change.
    #[error(
        "the switch ended before it answered\nhelp: the change may have been made or not: `vswitch \
         show config` tells when it runs again; see also the log of the switch"
    )]
    BrokenInChange,
    /// The answer is HTTP, but neither a success nor a problem.
    #[error(
        "the switch answered {status}: {body}\nhelp: is this the vswitch binary that is running?"
    )]
    Status {
        /// The status.
        status: StatusCode,
        /// The body.
        body: String,
    },
    /// The switch refuses, and says why.
    #[error("{}", ProblemText { problem, base: *base })]
    Problem {
        /// The reason.
        problem: Problem,
        /// The generation that the change was based on.
        base: Option<u64>,
    },
    /// The switch does not answer.
    #[error(
        "no answer within {} seconds\nhelp: see the log of the switch; its management core may be \
         overloaded",
        .0.as_secs()
    )]
    Silent(Duration),
    /// The switch does not answer a change.
    #[error(
        "no answer within {} seconds\nhelp: the change may have been made or not: `vswitch show \
         config` tells; see also the log of the switch",
        .0.as_secs()
    )]
    SilentAboutChange(Duration),
    /// This version does not know the form of the answer.
    #[error(
        "the answer is not what this version of vswitch understands: {0}\nhelp: use the vswitch \
         binary that is running, or --json"
    )]
    NotUnderstood(String),
    /// The stream of events ended.
    #[error("the switch ended the stream\nhelp: it stopped, or was restarted: try again")]
    Ended,
    /// The runtime cannot be created.
    #[error("cannot create a runtime: {0}\nhelp: check the limits of this process")]
    Runtime(#[source] io::Error),
}

impl ClientError {
    /// The exit status of the command.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Problem { problem, .. }
                if problem.is(Kind::Invalid)
                    || problem.is(Kind::BadRequest)
                    || problem.is(Kind::BadFilter) =>
            {
                Exit::Usage
            }
            _ => Exit::Failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_wrong_ends_differently_from_what_cannot_be_done() {
        let exit =
            |kind| ClientError::Problem { problem: Problem::new(kind, ""), base: None }.exit();
        assert_eq!(exit(Kind::Invalid), Exit::Usage);
        assert_eq!(exit(Kind::BadRequest), Exit::Usage);
        assert_eq!(exit(Kind::PreconditionFailed), Exit::Failure);
        assert_eq!(ClientError::Absent.exit(), Exit::Failure);
    }
}
