//! What everybody relies on, between servers of three kinds: Dovecot, Cyrus and Courier, each as
//! source and as destination. One list of behaviours, run for every pair.

mod behaviour;
mod courier;
mod cyrus;
mod mailbox;

use crate::support::dovecot::Dovecot;
use crate::support::dovecot::DovecotOptions;
use crate::support::server::Courier;
use crate::support::server::Cyrus;

/// Makes a module of tests for one pair of servers.
macro_rules! pair {
    ($name:ident, $source:expr, $destination:expr) => {
        mod $name {
            use super::*;
            use crate::suite::behaviour;
            use crate::suite::mailbox::Pair;

            fn pair() -> Pair {
                Pair::start(|| Box::new($source), || Box::new($destination))
            }

            #[test]
            fn first_copy_is_equal_and_there_is_nothing_left_to_do() {
                behaviour::first_copy_is_equal_and_there_is_nothing_left_to_do(&pair());
            }

            #[test]
            fn what_changed_since_is_copied_and_nothing_else() {
                behaviour::what_changed_since_is_copied_and_nothing_else(&pair());
            }

            #[test]
            fn state_that_is_lost_costs_no_message_and_doubles_none() {
                behaviour::state_that_is_lost_costs_no_message_and_doubles_none(&pair());
            }

            #[test]
            fn killed_at_some_moments_and_run_again_nothing_is_lost_and_nothing_twice() {
                behaviour::killed_and_run_again_nothing_is_lost_and_nothing_twice(&pair());
            }

            #[test]
            fn message_that_is_missing_is_found_by_verify() {
                behaviour::message_that_is_missing_is_found_by_verify(&pair());
            }
        }
    };
}

pair!(
    dovecot_to_dovecot,
    Dovecot::start(DovecotOptions::slash()),
    Dovecot::start(DovecotOptions::dot())
);
pair!(dovecot_to_cyrus, Dovecot::start(DovecotOptions::slash()), Cyrus::start());
pair!(dovecot_to_courier, Dovecot::start(DovecotOptions::slash()), Courier::start());
pair!(cyrus_to_dovecot, Cyrus::start(), Dovecot::start(DovecotOptions::dot()));
pair!(courier_to_dovecot, Courier::start(), Dovecot::start(DovecotOptions::slash()));
