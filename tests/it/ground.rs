//! The ground the other tests stand on is itself tested here.

mod dovecot;
mod proxy;
mod scripted;
