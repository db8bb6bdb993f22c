//! Server-sent events, as the HTML standard defines them (§9.2.6): name and data only.

use std::ops::ControlFlow;

/// Parses a stream of events that comes in pieces.
#[derive(Default)]
pub(super) struct EventParser {
    rest: Vec<u8>,
    event: String,
    data: String,
}

impl EventParser {
    /// Takes the next piece, and calls `each` with the name and the data of every event in it.
    pub(super) fn take<T>(
        &mut self,
        piece: &[u8],
        each: &mut impl FnMut(&str, &str) -> ControlFlow<T>,
    ) -> ControlFlow<T> {
        self.rest.extend_from_slice(piece);
        while let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let (event, data) =
                    (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
                if !data.is_empty() {
                    each(&event, &data)?;
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event),
                "data" => self.data.push_str(value),
                _ => {}
            }
        }
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_any_pieces() {
        let text =
            b": hello\n\nid: 1\nevent: port-up\ndata: {\"a\":1}\n\r\nevent: x\n\ndata: 2\n\n";
        for size in 1..text.len() {
            let (mut parser, mut seen) = (EventParser::default(), Vec::new());
            for piece in text.chunks(size) {
                let taken = parser.take(piece, &mut |event: &str, data: &str| {
                    seen.push(format!("{event}={data}"));
                    ControlFlow::<()>::Continue(())
                });
                assert!(taken.is_continue());
            }
            assert_eq!(seen, ["port-up={\"a\":1}", "=2"]);
        }
    }
}
