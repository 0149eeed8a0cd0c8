//! Reads the commands out of what goes by.

use std::collections::BTreeMap;

use crate::support::proxy::Way;
use crate::support::syntax::Literal;
use crate::support::syntax::announced_literal;

/// How much of a command is kept.
const KEPT: usize = 64 * 1024;

/// All commands of all connections, in the order in which they went by.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    connections: BTreeMap<u32, Reader>,
    commands: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
struct Reader {
    line: Vec<u8>,
    command: Vec<u8>,
    /// Octets of a literal that are still to come.
    literal: usize,
    /// A literal for which the server has not asked yet.
    waiting: Option<usize>,
    /// Between AUTHENTICATE and its tagged reply, lines are not commands.
    authenticating: bool,
    down: Vec<u8>,
}

impl Transcript {
    /// Takes what goes by on one connection.
    pub(super) fn note(&mut self, connection: u32, way: Way, octets: &[u8]) {
        let reader = self.connections.entry(connection).or_default();
        match way {
            Way::Up => reader.up(octets, &mut self.commands),
            Way::Down => reader.down(octets, &mut self.commands),
        }
    }

    /// Returns all commands so far, without tags.
    pub(super) fn commands(&self) -> Vec<String> {
        let texts = self.commands.iter().map(|line| String::from_utf8_lossy(line).into_owned());
        texts
            .map(|text| text.split_once(' ').map_or(text.clone(), |(_, rest)| rest.to_owned()))
            .collect()
    }
}

impl Reader {
    fn up(&mut self, mut octets: &[u8], commands: &mut Vec<Vec<u8>>) {
        while !octets.is_empty() {
            if self.literal > 0 {
                let skipped = self.literal.min(octets.len());
                self.literal -= skipped;
                octets = &octets[skipped..];
                continue;
            }
            let end = octets.iter().position(|octet| *octet == b'\n').map(|end| end + 1);
            let (now, later) = octets.split_at(end.unwrap_or(octets.len()));
            if self.line.len() < KEPT {
                self.line.extend_from_slice(now);
            }
            octets = later;
            if end.is_some() {
                self.line_ended(commands);
            }
        }
    }

    fn line_ended(&mut self, commands: &mut Vec<Vec<u8>>) {
        let line = std::mem::take(&mut self.line);
        let literal = announced_literal(&line);
        self.command.extend_from_slice(line.trim_ascii_end());
        self.command.truncate(KEPT);
        match literal {
            Some((octets, Literal::NonSynchronising)) => self.literal = octets,
            Some((octets, Literal::Synchronising)) => self.waiting = Some(octets),
            None => self.command_ended(commands),
        }
    }

    fn command_ended(&mut self, commands: &mut Vec<Vec<u8>>) {
        let command = std::mem::take(&mut self.command);
        if self.authenticating {
            return;
        }
        let verb = command.split(|octet| *octet == b' ').nth(1).unwrap_or_default();
        self.authenticating = verb.eq_ignore_ascii_case(b"AUTHENTICATE");
        commands.push(command);
    }

    fn down(&mut self, octets: &[u8], commands: &mut Vec<Vec<u8>>) {
        for octet in octets {
            if self.down.len() < 64 {
                self.down.push(*octet);
            }
            if *octet != b'\n' {
                continue;
            }
            let line = std::mem::take(&mut self.down);
            match line.first() {
                Some(b'+') => {
                    if let Some(octets) = self.waiting.take() {
                        self.literal = octets;
                    }
                }
                Some(b'*') => {}
                _ => {
                    // Lines of a message read like this, too, and so do replies to what was sent
                    // before: only the waiting command's own tag refuses its literal.
                    if self.waiting.is_some() && tag(&line) == tag(&self.command) {
                        self.waiting = None;
                        self.command_ended(commands);
                    }
                    self.authenticating = false;
                }
            }
        }
    }
}

fn tag(line: &[u8]) -> &[u8] {
    line.split(|octet| *octet == b' ').next().unwrap_or_default()
}
