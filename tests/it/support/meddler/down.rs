//! From the server to the client.

use std::io::BufReader;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::support::meddler::Ways;
use crate::support::meddler::reading;
use crate::support::meddler::trouble::Counted;
use crate::support::meddler::trouble::Kind;
use crate::support::meddler::trouble::Lie;
use crate::support::meddler::up::Both;

/// Between two octets of a drip, and how many drip before the rest comes at once.
const DROP: Duration = Duration::from_millis(2);
const DROPS: usize = 120;

/// The direction from the server to the client.
pub(super) struct Down {
    both: Arc<Both>,
    from: BufReader<TcpStream>,
    /// Bodies and the success of the running FETCH are kept back: it ends with NO.
    refusing: bool,
    /// The UID that the reply to the next APPEND has to have, after one that had its neighbour's.
    owed: Option<u64>,
}

impl Down {
    pub(super) fn new(both: Arc<Both>, from: TcpStream) -> Self {
        Self { both, from: BufReader::new(from), refusing: false, owed: None }
    }

    /// Passes responses on until the connection ends.
    pub(super) fn run(mut self) -> std::io::Result<()> {
        let ended = self.pass();
        let mut waiting = self.both.waiting();
        waiting.over = true;
        let mute = waiting.mute;
        let unanswered: Vec<_> =
            waiting.commands.drain(..).filter_map(|expected| expected.fault).collect();
        drop(waiting);
        for fault in unanswered {
            self.both.shared.lock().put_off(fault);
        }
        self.both.answered.notify_all();
        if !mute {
            self.both.leave_client();
        }
        ended
    }

    fn pass(&mut self) -> std::io::Result<()> {
        loop {
            let response = reading::response(&mut self.from)?;
            if response.starts_with(b"+") {
                self.challenge(&response)?;
            } else if response.starts_with(b"* ") {
                self.untagged(response)?;
            } else {
                self.tagged(&response)?;
            }
        }
    }

    fn tell(&self, octets: &[u8]) -> std::io::Result<()> {
        if self.both.waiting().mute { Ok(()) } else { self.both.tell(octets) }
    }

    fn drip(&self, octets: &[u8]) -> std::io::Result<()> {
        let (slow, rest) = octets.split_at(octets.len().min(DROPS));
        for octet in slow {
            self.tell(&[*octet])?;
            std::thread::sleep(DROP);
        }
        self.tell(rest)
    }

    /// A server asks: the client's line goes on to it.
    fn challenge(&self, response: &[u8]) -> std::io::Result<()> {
        if let Some(expected) = self.both.waiting().commands.front_mut() {
            expected.verb.push('+');
        }
        self.tell(response)?;
        self.both.answered.notify_all();
        Ok(())
    }

    fn untagged(&mut self, response: Vec<u8>) -> std::io::Result<()> {
        if self.both.shared.hides_ids && response.starts_with(b"* OK [MAILBOXID ") {
            return Ok(());
        }
        let response = self.without_ways(response);
        let upper = response[..response.len().min(400)].to_ascii_uppercase();
        let body = [&b" BODY[] {"[..], b" BODY[] \""]
            .iter()
            .any(|item| upper.windows(item.len()).any(|part| part == *item));
        if !body {
            return self.tell(&response);
        }
        if self.refusing {
            return Ok(());
        }
        let strikes = self.both.shared.lock().comes(Counted::Body);
        let Some(kind) = strikes.map(|fault| fault.kind) else { return self.tell(&response) };
        self.both.shared.lock().took(kind);
        let half = &response[..response.len() / 2];
        match kind {
            Kind::CutInBody => {
                self.tell(half)?;
                self.both.leave_client();
            }
            Kind::StallInBody => {
                self.tell(half)?;
                self.both.waiting().mute = true;
            }
            Kind::DripBody => self.drip(&response)?,
            Kind::ByeInFetch => self.both.bye(),
            Kind::NoToFetch => self.refusing = true,
            // The others do not strike at a body; this one keeps it back.
            _ => {}
        }
        Ok(())
    }

    fn tagged(&mut self, response: &[u8]) -> std::io::Result<()> {
        let response = self.without_ways(response.to_vec());
        let tag = response.split(|octet| *octet == b' ').next().unwrap_or_default().to_vec();
        let mut waiting = self.both.waiting();
        let at = waiting.commands.iter().position(|expected| expected.tag.as_bytes() == tag);
        let Some(expected) = at.and_then(|at| waiting.commands.remove(at)) else {
            drop(waiting);
            return self.tell(&response);
        };
        drop(waiting);
        let ok = response[tag.len()..].starts_with(b" OK");
        let kind = expected.fault.map(|fault| fault.kind);
        let mut reply = response;
        if std::mem::take(&mut self.refusing) {
            reply = [&tag[..], b" NO cannot read that now\r\n"].concat();
        } else if ok && expected.verb == "APPEND" {
            reply = self.append_reply(&tag, reply, kind);
        }
        let told = if ok && kind == Some(Kind::DripReply) {
            self.both.shared.lock().took(Kind::DripReply);
            self.drip(&reply)
        } else {
            self.tell(&reply)
        };
        self.both.answered.notify_all();
        told
    }

    fn append_reply(&mut self, tag: &[u8], reply: Vec<u8>, kind: Option<Kind>) -> Vec<u8> {
        if kind == Some(Kind::NoAfterStored) {
            self.both.shared.lock().took(Kind::NoAfterStored);
            return [tag, b" NO it took too long\r\n"].concat();
        }
        let text = String::from_utf8_lossy(&reply).into_owned();
        let lie = if let Some(Kind::Lying(lie)) = kind { Some(lie) } else { None };
        let Some((before, validity, mut uids, after)) = append_uid(&text) else { return reply };
        // Whose neighbour has its UID gets that one's, which is the one before.
        let owed = self.owed.take().filter(|owed| uids.as_slice() == [*owed + 1]);
        if let Some(owed) = owed {
            return format!("{before}[APPENDUID {validity} {owed}]{after}").into_bytes();
        }
        let Some(lie) = lie else { return reply };
        self.both.shared.lock().took(Kind::Lying(lie));
        let code = match lie {
            Lie::Missing => return format!("{before}{}", after.trim_start()).into_bytes(),
            Lie::Foreign => format!("[APPENDUID {} {}]", validity + 77, set(&uids)),
            Lie::Short => {
                uids.pop();
                let set = set(&uids);
                let blank = if set.is_empty() { "" } else { " " };
                format!("[APPENDUID {validity}{blank}{set}]")
            }
            Lie::Swapped if uids.len() > 1 => {
                uids.swap(0, 1);
                format!("[APPENDUID {validity} {}]", set(&uids))
            }
            Lie::Swapped => {
                self.owed = Some(uids[0]);
                format!("[APPENDUID {validity} {}]", uids[0] + 1)
            }
        };
        format!("{before}{code}{after}").into_bytes()
    }

    /// Takes capabilities away.
    fn without_ways(&self, response: Vec<u8>) -> Vec<u8> {
        let ways = self.both.shared.ways;
        let head = &response[..response.len().min(200)];
        let as_it_is = ways == Ways::Multi && !self.both.shared.hides_ids;
        if as_it_is || !head.windows(11).any(|part| part == b"CAPABILITY ") {
            return response;
        }
        let text = String::from_utf8_lossy(&response).into_owned();
        let hidden = if self.both.shared.hides_ids { " OBJECTID" } else { " MULTIAPPEND" };
        let text = text.replace(hidden, "");
        let text = match ways {
            Ways::Multi | Ways::Plus => text,
            Ways::Minus => text.replace(" LITERAL+", " LITERAL-"),
            Ways::Waiting => text.replace(" LITERAL+", ""),
        };
        text.into_bytes()
    }
}

/// What stands before APPENDUID, the UIDVALIDITY in it, the UIDs, and what stands behind it.
fn append_uid(reply: &str) -> Option<(&str, u64, Vec<u64>, &str)> {
    let (before, rest) = reply.split_once("[APPENDUID ")?;
    let (code, after) = rest.split_once(']')?;
    let (validity, set) = code.split_once(' ')?;
    let mut uids = Vec::new();
    for range in set.split(',') {
        let (low, high) = range.split_once(':').unwrap_or((range, range));
        let (low, high): (u64, u64) = (low.parse().ok()?, high.parse().ok()?);
        uids.extend(low.min(high)..=low.max(high));
    }
    Some((before, validity.parse().ok()?, uids, after))
}

fn set(uids: &[u64]) -> String {
    uids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
}
