//! The promises, kept by the program itself between real servers.

mod again;
mod bulk;
mod codes;
mod compress;
mod cut;
mod flags;
mod killed;
mod late;
mod limits;
mod mailbox;
mod nasty;
mod proof;
mod replaced;
mod signals;
