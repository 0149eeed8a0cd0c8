//! One behavioural suite for everything that implements the ports.
//!
//! A [`Ground`] is one account on one server, reached through the ports under test and, apart from
//! them, by its own means for filling and reading back. `suite!(constructor)` expands to one
//! `#[test]` for each case.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod append;
mod folder;
mod read;
mod support;

pub(crate) use append::*;
pub(crate) use folder::*;
pub(crate) use read::*;
pub(crate) use support::{Ground, Kept, Sample};

/// Makes one test of each case, on a ground that the constructor makes anew each time.
macro_rules! suite {
    ($ground:expr) => {
        $crate::store_suite::suite! { @each $ground;
            inbox_is_listed_once_and_opens
            created_folder_is_listed_with_its_namespace
            created_folder_below_another_is_listed
            folder_name_beyond_ascii_comes_back_as_it_was_sent
            creating_twice_is_once
            role_is_listed_where_the_server_can_set_it
            subscribing_twice_is_once
            listed_counts_agree_with_status
            status_tells_counts
            missing_folder_is_refused_and_the_connection_stays_good
            opening_again_tells_the_state_as_of_now
            another_session_works_after_one_is_dropped
            scan_tells_facts
            scan_tells_only_what_was_asked
            scan_of_one_side_by_side_with_another_folder_does_not_mix_them
            scan_above_the_highest_uid_gives_no_row
            scan_lists_a_message_that_is_gone
            scan_of_all_is_complete
            scan_gives_the_header_fields_that_were_asked
            fetched_octets_are_those_that_the_server_holds
            big_body_comes_in_small_pieces
            bodies_come_newest_first_where_that_is_asked_for
            fetch_lists_a_message_that_is_gone_and_gives_the_others
            stopped_fetch_lists_what_was_not_asked
            reading_leaves_no_mark
            search_finds_by_flag_and_uid
            search_of_two_lines_is_never_sent
            unknown_search_is_refused_and_the_connection_stays_good
            appended_message_is_kept_as_it_was_sent
            flags_and_dates_are_kept
            message_without_flags_and_date_is_stored
            order_is_kept_over_many_messages
            reported_uids_are_those_of_the_messages
            append_to_a_missing_folder_is_refused_and_makes_none
            refused_message_is_reported_and_the_others_are_stored
            refused_message_in_a_batch_is_found_and_the_others_are_stored
            batch_is_stored_or_refused_as_one
            message_with_a_nul_is_stored_or_refused_alone
            source_lost_inside_a_message_stores_nothing_of_it
            big_message_is_appended
            flags_change_by_difference_only
            flags_of_a_missing_message_are_not_reported
            changed_message_is_left_alone_where_mod_seq_tells
        }
    };
    (@each $ground:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::store_suite::$case(&mut $ground);
            }
        )*
    };
}
pub(crate) use suite;
