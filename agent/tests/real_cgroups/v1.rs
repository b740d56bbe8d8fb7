//! A tree for each controller, as the cgroupfs driver names it.

use cairn_agent::sources::cgroup::hierarchy::Version;
use cairn_agent::sources::place::Driver;
use cairn_proto::catalogue::table;

use crate::bed::{Bed, Container};
use crate::claims::{self, both};

fn bed() -> Option<(Bed, Container)> {
    Bed::with_container(Version::V1, Driver::Cgroupfs)
}

#[test]
fn cpu_memory_and_io_are_what_the_process_says_of_itself() {
    let Some((bed, container)) = bed() else {
        return;
    };
    claims::all_is_what_the_process_says(&bed, &container);
}

#[test]
fn throttling_is_what_the_process_waited() {
    let Some((bed, container)) = bed() else {
        return;
    };
    claims::throttling_is_what_the_process_waited(&bed, &container);
}

#[test]
fn a_kill_by_the_memory_limit_is_counted() {
    let Some((bed, container)) = bed() else {
        return;
    };
    let read = claims::a_kill_by_the_memory_limit_is_counted(&bed, &container);
    // It counts in the cgroup whose limit it was, not in those above.
    assert_eq!(both(&read)[0].figures.value(table::OOM_EVENTS), Some(0));
}

#[test]
fn what_comes_in_the_place_of_another_begins_anew() {
    let Some((bed, container)) = bed() else {
        return;
    };
    claims::what_comes_in_the_place_of_another_begins_anew(&bed, &container);
}

#[test]
fn ten_thousand_cgroups_below_a_container_cost_nothing() {
    let Some((bed, container)) = bed() else {
        return;
    };
    claims::ten_thousand_cgroups_below_cost_nothing(&bed, &container);
}

#[test]
fn of_a_pod_and_a_container_that_the_kernel_walks_one_is_read_at_a_tick() {
    let Some((bed, container)) = bed() else {
        return;
    };
    claims::of_two_that_are_walked_one_is_read_at_a_tick(&bed, &container);
}
