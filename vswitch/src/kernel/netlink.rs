//! Questions to the kernel over rtnetlink, answered before the call returns.
//!
//! The kernel handles a request inside the `send` call: when it returns, the answers wait in the
//! socket. So one question costs two system calls and no waiting, a batch of them costs hardly
//! more, and there is no task, no timer and no half-finished exchange to cancel. Dumps come in
//! parts, each prepared while the one before is read.
//!
//! Owned by the host interface (at start-up) and the underlay mirror. Runs on the control thread;
//! about 10 µs per question with its answer read. The message types are `rtnetlink`'s.

use std::io;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkMessage, NetlinkPayload,
};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket as RawSocket, SocketAddr};

/// Requests per `send`. Their answers, about 1 KiB of socket memory each, must fit the socket's
/// receive buffer together.
const BATCH: usize = 32;

/// The longest wait for an answer that the kernel owes us. It is there already; the bound only
/// keeps a kernel that lost one (out of memory) from stopping the control thread.
const ANSWER_WAIT_US: i64 = 200_000;

/// Room for the largest datagram of a dump (32 KiB since Linux 4.9).
const RECEIVE_BYTES: usize = 64 * 1024;

/// The socket's receive buffer: the kernel's default fits a batch, but not a slow reader of a dump.
const SOCKET_BUFFER_BYTES: usize = 1 << 20;

/// What the kernel said to one request: a message, or nothing but "done", or its error number.
pub(super) type Answer = io::Result<Option<RouteNetlinkMessage>>;

/// An rtnetlink socket for questions, in the network namespace of the thread that opened it.
pub(super) struct Socket {
    inner: RawSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace.
    pub(super) fn open() -> io::Result<Self> {
        let mut inner = RawSocket::new(NETLINK_ROUTE)?;
        inner.bind_auto()?;
        enlarge(&inner);
        setsockopt(&inner, sockopt::ReceiveTimeout, &TimeVal::new(0, ANSWER_WAIT_US))?;
        Ok(Self { inner, sequence: 0, buffer: Vec::with_capacity(RECEIVE_BYTES) })
    }

    /// Asks every question; the answers come in the same order. The outer error is the socket's.
    pub(super) fn ask(&mut self, questions: Vec<RouteNetlinkMessage>) -> io::Result<Vec<Answer>> {
        self.exchange(questions, 0)
    }

    /// Requests one change with the given `NLM_F_*` flags beside REQUEST and ACK.
    pub(super) fn change(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        let answers = self.change_all(vec![message], flags)?;
        answers.into_iter().next().unwrap_or(Ok(None)).map(drop)
    }

    /// Requests changes as [`Self::change`] does; the answers come in the same order.
    pub(super) fn change_all(
        &mut self,
        messages: Vec<RouteNetlinkMessage>,
        flags: u16,
    ) -> io::Result<Vec<Answer>> {
        self.exchange(messages, NLM_F_ACK | flags)
    }

    /// Everything of the kind that `request` asks for.
    pub(super) fn dump(
        &mut self,
        request: RouteNetlinkMessage,
    ) -> io::Result<Vec<RouteNetlinkMessage>> {
        self.drain();
        let sequence = self.send(vec![request], NLM_F_DUMP)?;
        let mut found = Vec::new();
        loop {
            for (number, payload) in self.receive()? {
                if number != sequence {
                    continue;
                }
                match payload {
                    Some(NetlinkPayload::InnerMessage(message)) => found.push(message),
                    Some(NetlinkPayload::Error(error)) if error.code.is_some() => {
                        return Err(error.to_io());
                    }
                    Some(NetlinkPayload::Done(_) | NetlinkPayload::Error(_)) => return Ok(found),
                    // A kind of message that the parser does not know is not what we asked for.
                    Some(_) | None => {}
                }
            }
        }
    }

    fn exchange(
        &mut self,
        messages: Vec<RouteNetlinkMessage>,
        flags: u16,
    ) -> io::Result<Vec<Answer>> {
        self.drain();
        let mut answers = Vec::with_capacity(messages.len());
        let mut messages = messages.into_iter();
        loop {
            let batch: Vec<_> = messages.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(answers);
            }
            let count = batch.len();
            let first = self.send(batch, flags)?;
            let heard = self.collect(first, count)?;
            answers.extend(heard.into_iter().map(|answer| answer.unwrap_or_else(|| Err(lost()))));
        }
    }

    /// The answers to `count` requests, the first of which has the sequence number `first`.
    fn collect(&mut self, first: u32, count: usize) -> io::Result<Vec<Option<Answer>>> {
        let mut heard: Vec<Option<Answer>> = (0..count).map(|_| None).collect();
        while heard.iter().any(Option::is_none) {
            let messages = match self.receive() {
                Ok(messages) => messages,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            for (number, payload) in messages {
                let Some(slot) = heard.get_mut(number.wrapping_sub(first) as usize) else {
                    continue;
                };
                *slot = Some(match payload {
                    Some(NetlinkPayload::InnerMessage(message)) => Ok(Some(message)),
                    Some(NetlinkPayload::Error(error)) if error.code.is_some() => {
                        Err(error.to_io())
                    }
                    Some(_) => Ok(None),
                    None => Err(io::Error::from(io::ErrorKind::InvalidData)),
                });
            }
        }
        Ok(heard)
    }

    /// Sends messages in one datagram; returns the sequence number of the first.
    fn send(&mut self, messages: Vec<RouteNetlinkMessage>, flags: u16) -> io::Result<u32> {
        let first = self.sequence.wrapping_add(1);
        let mut datagram = Vec::new();
        for message in messages {
            self.sequence = self.sequence.wrapping_add(1);
            let mut message = NetlinkMessage::from(message);
            message.header.flags = NLM_F_REQUEST | flags;
            message.header.sequence_number = self.sequence;
            message.finalize();
            let start = datagram.len();
            // A message starts at a multiple of four bytes (netlink(7), NLMSG_ALIGN).
            datagram.resize((start + message.buffer_len()).next_multiple_of(4), 0);
            message.serialize(&mut datagram[start..]);
        }
        self.inner.send_to(&datagram, &SocketAddr::new(0, 0), 0)?;
        Ok(first)
    }

    /// The next datagram's messages with their sequence numbers; `None` for one that does not
    /// parse.
    fn receive(&mut self) -> io::Result<Vec<(u32, Option<NetlinkPayload<RouteNetlinkMessage>>)>> {
        self.buffer.clear();
        loop {
            match self.inner.recv(&mut self.buffer, 0) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(split(&self.buffer)
            .map(|message| (message.sequence_number(), parse(&message).map(|(_, inner)| inner)))
            .collect())
    }

    /// Throws away what an earlier, failed exchange may have left in the socket.
    fn drain(&mut self) {
        loop {
            self.buffer.clear();
            match self.inner.recv(&mut self.buffer, libc::MSG_DONTWAIT) {
                Ok(_) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => return,
            }
        }
    }
}

/// Gives a netlink socket a receive buffer of [`SOCKET_BUFFER_BYTES`].
pub(super) fn enlarge(socket: &RawSocket) {
    // Beyond net.core.rmem_max only with CAP_NET_ADMIN; without it, what is allowed has to do.
    if setsockopt(socket, sockopt::RcvBufForce, &SOCKET_BUFFER_BYTES).is_err() {
        let _ = setsockopt(socket, sockopt::RcvBuf, &SOCKET_BUFFER_BYTES);
    }
}

/// The messages of one datagram. Stops at the first whose length makes no sense.
pub(super) fn split(datagram: &[u8]) -> impl Iterator<Item = NetlinkBuffer<&[u8]>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let length = NetlinkBuffer::new_checked(rest).ok()?.length() as usize;
        let message = NetlinkBuffer::new(rest.get(..length)?);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// One message with its type, or `None` if it does not parse.
pub(super) fn parse(
    message: &NetlinkBuffer<&[u8]>,
) -> Option<(u16, NetlinkPayload<RouteNetlinkMessage>)> {
    let bytes = (*message).clone().into_inner();
    let (header, payload) = NetlinkMessage::deserialize(bytes).ok()?.into_parts();
    Some((header.message_type, payload))
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the kernel did not answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_splits_at_any_length_without_panic() {
        let mut bytes = [0u8; 64];
        for length in 0..80u32 {
            bytes[..4].copy_from_slice(&length.to_ne_bytes());
            for cut in 0..bytes.len() {
                for message in split(&bytes[..cut]) {
                    let _ = parse(&message);
                }
            }
        }
    }

    #[test]
    fn two_messages_in_one_datagram_are_two() {
        let mut bytes = Vec::new();
        for sequence in [7u32, 8] {
            // 18 bytes of message, padded to 20.
            bytes.extend_from_slice(&18u32.to_ne_bytes());
            bytes.extend_from_slice(&[1, 0, 0, 0]);
            bytes.extend_from_slice(&sequence.to_ne_bytes());
            bytes.extend_from_slice(&[0; 8]);
        }
        let numbers: Vec<u32> = split(&bytes).map(|m| m.sequence_number()).collect();
        assert_eq!(numbers, [7, 8]);
    }

    #[test]
    fn the_loopback_answers() {
        use rtnetlink::packet_route::link::LinkMessage;
        let mut socket = Socket::open().unwrap();
        let mut link = LinkMessage::default();
        link.header.index = 1;
        let mut absent = LinkMessage::default();
        absent.header.index = 0x7fff_fff0;
        let answers = socket
            .ask(vec![RouteNetlinkMessage::GetLink(absent), RouteNetlinkMessage::GetLink(link)])
            .unwrap();
        assert_eq!(answers[0].as_ref().unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(
            matches!(&answers[1], Ok(Some(RouteNetlinkMessage::NewLink(l))) if l.header.index == 1)
        );
    }
}
